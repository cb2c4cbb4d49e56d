package server_test

import (
	"context"
	"encoding/json"
	"fmt"
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
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
	"holdfast/internal/auth/authtest"
	"holdfast/internal/database"
	"holdfast/internal/deadletter"
	"holdfast/internal/deadletter/deadletterapi"
	"holdfast/internal/deadletter/server"
	"holdfast/internal/httpx"
	"holdfast/internal/problem"
	"holdfast/internal/servicetoken"
	"holdfast/internal/telemetry"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// queues is what the dead-letter queues hold.
type queues struct{ messages int }

func (q queues) Queued() (int, time.Time) { return q.messages, time.Unix(1_700_000_000, 0) }

type edge struct {
	t     *testing.T
	url   string
	store *deadletter.Store
	pool  *pgxpool.Pool
}

func start(t *testing.T, queued int) edge {
	t.Helper()
	url := testenv.Database(t)
	_, err := database.Migrate(t.Context(), url, database.Orders)
	require.NoError(t, err)
	pool, err := pgxpool.New(context.WithoutCancel(t.Context()), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)

	router := httpx.NewRouter(httpx.Options{
		Log: slog.New(slog.DiscardHandler), Registry: telemetry.NewRegistry(), Health: httpx.NewHealth(),
	})
	store := deadletter.NewStore(pool)
	guard := authtest.Guard(t, servicetoken.Events, deadletter.OpenAPI)
	require.NoError(t, server.Register(router, store, queues{queued}, guard))
	s := httptest.NewServer(router)
	t.Cleanup(s.Close)
	return edge{t, s.URL, store, pool}
}

// keep stores n dead messages.
func (e edge) keep(n int, body string) {
	e.t.Helper()
	for range n {
		id := uuid.Must(uuid.NewV7())
		_, err := e.store.Keep(e.t.Context(), deadletter.Message{
			Queue: "orders.inventory_events", MessageKey: id.String(), EventType: "inventory.released", EventID: &id,
			AggregateID: &id, Body: []byte(body), Headers: []byte("{}"), Cause: "poison", Error: "no", Attempts: 1,
			MaxAttempts: 10,
		})
		require.NoError(e.t, err)
	}
}

// send sends a request and decodes the answer.
func send[T any](e edge, role auth.Role, method, path, body string) (status int, out T) {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.t.Context(), method, e.url+path, strings.NewReader(body))
	require.NoError(e.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if role != "" {
		token := authtest.Token(e.t, servicetoken.Events, "olga", role)
		req.Header.Set(servicetoken.Header, token)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	require.NoError(e.t, err)
	raw, err := io.ReadAll(res.Body)
	require.NoError(e.t, err)
	require.NoError(e.t, res.Body.Close())
	require.NoError(e.t, json.Unmarshal(raw, &out), "%s", raw)
	return res.StatusCode, out
}

// TestRoutesAreTheSpecifications: the routes are exactly the operations of the document.
func TestRoutesAreTheSpecifications(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(deadletter.OpenAPI)
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context()))
	var want, got []string
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			require.Contains(t, op.Extensions, "x-gateway", "%s %s", method, path)
			want = append(want, method+" "+path)
		}
	}

	router := httpx.NewRouter(httpx.Options{
		Log: slog.New(slog.DiscardHandler), Registry: telemetry.NewRegistry(), Health: httpx.NewHealth(),
	})
	require.NoError(t, server.Register(router, nil, nil, authtest.Guard(t, servicetoken.Events, deadletter.OpenAPI)))
	for _, r := range router.Routes() {
		if strings.HasPrefix(r.Path, "/admin/") {
			got = append(got, r.Method+" "+regexp.MustCompile(`:(\w+)`).ReplaceAllString(r.Path, "{$1}"))
		}
	}
	require.ElementsMatch(t, want, got)
}

// TestOnlyOperators: customers see nothing and change nothing.
func TestOnlyOperators(t *testing.T) {
	t.Parallel()
	e := start(t, 0)
	id := uuid.NewString()
	for _, request := range [][2]string{
		{http.MethodGet, "/admin/dlq"},
		{http.MethodGet, "/admin/dlq/count"},
		{http.MethodGet, "/admin/dlq/" + id},
		{http.MethodPost, "/admin/dlq/" + id + "/retry"},
		{http.MethodPost, "/admin/dlq/" + id + "/discard"},
		{http.MethodPost, "/admin/dlq/retry"},
	} {
		status, _ := send[problem.Problem](e, auth.Customer, request[0], request[1], "")
		require.Equal(t, http.StatusForbidden, status, request[1])
		status, _ = send[problem.Problem](e, "", request[0], request[1], "")
		require.Equal(t, http.StatusUnauthorized, status, request[1])
	}
}

// TestPages: a page has 50 messages by default and 500 at most, and the cursor leads through all of them.
func TestPages(t *testing.T) {
	t.Parallel()
	e := start(t, 0)
	e.keep(120, `{}`)
	seen, path := 0, "/admin/dlq"
	for path != "" {
		status, page := send[deadletterapi.DeadMessageList](e, auth.Operator, http.MethodGet, path, "")
		require.Equal(t, http.StatusOK, status)
		require.LessOrEqual(t, len(page.Items), 50)
		seen += len(page.Items)
		path = ""
		if page.NextCursor != "" {
			path = "/admin/dlq?cursor=" + page.NextCursor
		}
	}
	require.Equal(t, 120, seen)

	_, all := send[deadletterapi.DeadMessageList](e, auth.Operator, http.MethodGet, "/admin/dlq?limit=500", "")
	require.Len(t, all.Items, 120)
	for _, wrong := range []string{"?limit=501", "?limit=0", "?status=lost", "?cursor=x", "?what=1"} {
		status, p := send[problem.Problem](e, auth.Operator, http.MethodGet, "/admin/dlq"+wrong, "")
		require.Equal(t, http.StatusBadRequest, status, wrong)
		require.Equal(t, problem.InvalidInput, p.Code)
	}
}

// TestCountAddsTableAndQueues: a message is counted wherever it is, and more than ten are a warning.
func TestCountAddsTableAndQueues(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		dead, queued int
		warning      bool
	}{{0, 0, false}, {4, 6, false}, {4, 7, true}, {11, 0, true}} {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			t.Parallel()
			e := start(t, test.queued)
			e.keep(test.dead, `{}`)
			status, got := send[deadletterapi.DeadMessageCount](e, auth.Operator, http.MethodGet, "/admin/dlq/count", "")
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, []any{int64(test.dead + test.queued), int64(test.dead), int64(test.queued), test.warning},
				[]any{got.Count, got.Dead, got.Queued, got.Warning})
			require.False(t, got.QueuedAsOf.IsZero())
		})
	}
}

// TestOneMessage: look at it, send it again, and find it no longer dead.
func TestOneMessage(t *testing.T) {
	t.Parallel()
	e := start(t, 0)
	e.keep(1, `{"orderId":"7"}`)
	_, list := send[deadletterapi.DeadMessageList](e, auth.Operator, http.MethodGet, "/admin/dlq", "")
	require.Empty(t, list.Items[0].Payload)
	at := "/admin/dlq/" + list.Items[0].DeadMessageID.String()

	status, m := send[deadletterapi.DeadMessage](e, auth.Operator, http.MethodGet, at, "")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"orderId":"7"}`, string(m.Payload))
	status, m = send[deadletterapi.DeadMessage](e, auth.Operator, http.MethodPost, at+"/retry", "")
	require.Equal(t, http.StatusOK, status)
	require.EqualValues(t, deadletter.Redriven, m.Status)
	require.Equal(t, "olga", m.Actions[0].Actor)

	for _, again := range []string{"/retry", "/discard"} {
		status, p := send[problem.Problem](e, auth.Operator, http.MethodPost, at+again, map[string]string{
			"/retry": "", "/discard": `{"reason":"r"}`,
		}[again])
		require.Equal(t, http.StatusConflict, status)
		require.Equal(t, deadletterapi.NotDead, p.Code)
	}
	status, p := send[problem.Problem](e, auth.Operator, http.MethodGet, "/admin/dlq/"+uuid.NewString(), "")
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, deadletterapi.DeadMessageNotFound, p.Code)
}

// TestDiscard: a reason is required, and kept. A body that is no JSON is answered in base64.
func TestDiscard(t *testing.T) {
	t.Parallel()
	e := start(t, 0)
	e.keep(1, "\xff")
	_, list := send[deadletterapi.DeadMessageList](e, auth.Operator, http.MethodGet, "/admin/dlq", "")
	at := "/admin/dlq/" + list.Items[0].DeadMessageID.String() + "/discard"
	status, _ := send[problem.Problem](e, auth.Operator, http.MethodPost, at, `{"reason":""}`)
	require.Equal(t, http.StatusBadRequest, status)
	status, m := send[deadletterapi.DeadMessage](e, auth.Operator, http.MethodPost, at, `{"reason":"a test order"}`)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "a test order", m.Actions[0].Reason)
	require.Equal(t, "/w==", m.PayloadBase64)
}

// TestRetryAll: a dry run sends nothing.
func TestRetryAll(t *testing.T) {
	t.Parallel()
	e := start(t, 0)
	e.keep(205, `{}`)
	sent := func() (n int) {
		require.NoError(t, e.pool.QueryRow(t.Context(), "SELECT count(*) FROM outbox").Scan(&n))
		return n
	}
	_, out := send[deadletterapi.RetryResult](e, auth.Admin, http.MethodPost, "/admin/dlq/retry?dry_run=true", "")
	require.Equal(t, deadletterapi.RetryResult{DryRun: true, Matched: 205, Remaining: 205}, out)
	require.Zero(t, sent())

	_, out = send[deadletterapi.RetryResult](e, auth.Admin, http.MethodPost, "/admin/dlq/retry?queue=another", "")
	require.Equal(t, deadletterapi.RetryResult{}, out)
	_, out = send[deadletterapi.RetryResult](e, auth.Admin, http.MethodPost, "/admin/dlq/retry", "")
	require.Equal(t, deadletterapi.RetryResult{Matched: 205, Sent: 205}, out)
	require.Equal(t, 205, sent())
}
