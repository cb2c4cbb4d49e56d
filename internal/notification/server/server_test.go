package server_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
	"holdfast/internal/auth/authtest"
	"holdfast/internal/database"
	"holdfast/internal/httpx"
	"holdfast/internal/notification"
	"holdfast/internal/notification/notificationapi"
	"holdfast/internal/notification/server"
	"holdfast/internal/problem"
	"holdfast/internal/servicetoken"
	"holdfast/internal/telemetry"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

type edge struct {
	t     *testing.T
	url   string
	store *notification.Store
	pool  *pgxpool.Pool
}

func newRouter(t *testing.T, store server.Store) *httpx.Router {
	t.Helper()
	router := httpx.NewRouter(httpx.Options{
		Log: slog.New(slog.DiscardHandler), Registry: telemetry.NewRegistry(), Health: httpx.NewHealth(),
	})
	require.NoError(t, server.Register(router, store, authtest.Guard(t, servicetoken.Events, notification.OpenAPI)))
	return router
}

func start(t *testing.T) edge {
	t.Helper()
	url := testenv.Database(t)
	_, err := database.Migrate(t.Context(), url, database.Orders)
	require.NoError(t, err)
	pool, err := pgxpool.New(context.WithoutCancel(t.Context()), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	store := notification.NewStore(pool)
	s := httptest.NewServer(newRouter(t, store))
	t.Cleanup(s.Close)
	return edge{t, s.URL, store, pool}
}

// order inserts an order with n notifications that wait, and returns its id.
func (e edge) order(n int) uuid.UUID {
	e.t.Helper()
	id := uuid.New()
	_, err := e.pool.Exec(e.t.Context(), `
		INSERT INTO orders (order_id, seq, state, request_hash, customer_id, total_minor, currency, email, workflow_id,
		                    run_id, created_at, updated_at)
		VALUES ($1, 1, 'confirmed', sha256('x'), 'alice', 100, 'EUR', 'zoe@example.org', 'w', 'run', now(), now())`, id)
	require.NoError(e.t, err)
	for range n {
		n := notification.New{
			EventID: uuid.Must(uuid.NewV7()), OrderID: id, Kind: notification.Confirmed, OccurredAt: time.Now(),
		}
		require.NoError(e.t, pgx.BeginFunc(e.t.Context(), e.pool, func(tx pgx.Tx) error {
			return e.store.Add(e.t.Context(), tx, n)
		}))
	}
	return id
}

// send sends a request and decodes the answer.
func send[T any](e edge, role auth.Role, method, path string) (status int, out T) {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.t.Context(), method, e.url+path, http.NoBody)
	require.NoError(e.t, err)
	if role != "" {
		token := authtest.Token(e.t, servicetoken.Events, "olga", role)
		req.Header.Set(servicetoken.Header, token)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	require.NoError(e.t, err)
	raw, err := io.ReadAll(res.Body)
	require.NoError(e.t, err)
	require.NoError(e.t, res.Body.Close())
	require.NotContains(e.t, string(raw), "zoe@")
	require.NoError(e.t, json.Unmarshal(raw, &out), "%s", raw)
	return res.StatusCode, out
}

// TestRoutesAreTheSpecifications: the routes are exactly the operations of the document.
func TestRoutesAreTheSpecifications(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(notification.OpenAPI)
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context()))
	var want, got []string
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			require.Contains(t, op.Extensions, "x-gateway", "%s %s", method, path)
			want = append(want, method+" "+path)
		}
	}
	for _, r := range newRouter(t, nil).Routes() {
		if strings.HasPrefix(r.Path, "/admin/") {
			got = append(got, r.Method+" "+regexp.MustCompile(`:(\w+)`).ReplaceAllString(r.Path, "{$1}"))
		}
	}
	require.ElementsMatch(t, want, got)
}

// TestOnlyOperators: customers see nothing and change nothing.
func TestOnlyOperators(t *testing.T) {
	t.Parallel()
	e := start(t)
	at := "/admin/notifications/" + uuid.NewString()
	for _, request := range [][2]string{
		{http.MethodGet, "/admin/notifications"}, {http.MethodGet, at}, {http.MethodPost, at + "/send"},
	} {
		status, _ := send[problem.Problem](e, auth.Customer, request[0], request[1])
		require.Equal(t, http.StatusForbidden, status, request[1])
		status, _ = send[problem.Problem](e, "", request[0], request[1])
		require.Equal(t, http.StatusUnauthorized, status, request[1])
	}
}

// TestLists: an order's notifications in pages, and those of all orders by status.
func TestLists(t *testing.T) {
	t.Parallel()
	e := start(t)
	mine := e.order(5)
	e.order(1)
	seen, path := map[uuid.UUID]bool{}, "/admin/notifications?limit=2&order_id="+mine.String()
	for next := path; next != ""; {
		status, page := send[notificationapi.NotificationList](e, auth.Operator, http.MethodGet, next)
		require.Equal(t, http.StatusOK, status)
		require.LessOrEqual(t, len(page.Items), 2)
		for _, n := range page.Items {
			require.Equal(t, mine, n.OrderID)
			seen[n.NotificationID] = true
		}
		if next = ""; page.NextCursor != "" {
			next = path + "&cursor=" + page.NextCursor
		}
	}
	require.Len(t, seen, 5)

	for query, want := range map[string]int{
		"": 0, "?status=pending": 6, "?status=sent": 0, "?status=failed&order_id=" + mine.String(): 0,
	} {
		_, page := send[notificationapi.NotificationList](e, auth.Operator, http.MethodGet, "/admin/notifications"+query)
		require.Len(t, page.Items, want, query)
	}
	for _, wrong := range []string{"?limit=501", "?status=lost", "?cursor=x", "?order_id=7", "?what=1"} {
		status, p := send[problem.Problem](e, auth.Operator, http.MethodGet, "/admin/notifications"+wrong)
		require.Equal(t, http.StatusBadRequest, status, wrong)
		require.Equal(t, problem.InvalidInput, p.Code)
	}
}

// TestSendAgain: an operator sends a notification again once it is settled, and the answer names the operator.
func TestSendAgain(t *testing.T) {
	t.Parallel()
	e := start(t)
	e.order(1)
	leased, err := e.store.Lease(t.Context(), 1, time.Minute)
	require.NoError(t, err)
	at := "/admin/notifications/" + leased[0].NotificationID.String()
	status, p := send[problem.Problem](e, auth.Operator, http.MethodPost, at+"/send")
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, notificationapi.NotificationPending, p.Code)

	_, err = e.store.Settle(t.Context(), leased[0], notification.Outcome{Status: notification.Refused, Detail: "550"})
	require.NoError(t, err)
	_, n := send[notificationapi.Notification](e, auth.Operator, http.MethodGet, at)
	require.Equal(t, "550", n.Detail)
	require.False(t, n.ResolvedAt.IsZero())
	status, n = send[notificationapi.Notification](e, auth.Operator, http.MethodPost, at+"/send")
	require.Equal(t, http.StatusAccepted, status)
	require.Equal(t, []any{"pending", 1, "olga"}, []any{string(n.Status), n.Resends, n.Actions[0].Actor})
	require.False(t, n.DueAt.IsZero())

	status, p = send[problem.Problem](e, auth.Operator, http.MethodGet, "/admin/notifications/"+uuid.NewString())
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, notificationapi.NotificationNotFound, p.Code)
}
