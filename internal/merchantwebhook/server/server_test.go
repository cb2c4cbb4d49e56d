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
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
	"holdfast/internal/auth/authtest"
	"holdfast/internal/consumer"
	"holdfast/internal/database"
	"holdfast/internal/events"
	"holdfast/internal/httpx"
	"holdfast/internal/merchantwebhook"
	"holdfast/internal/merchantwebhook/server"
	"holdfast/internal/merchantwebhook/webhookapi"
	"holdfast/internal/problem"
	"holdfast/internal/servicetoken"
	"holdfast/internal/telemetry"
	"holdfast/internal/webhook"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

type edge struct {
	t     *testing.T
	url   string
	store *merchantwebhook.Store
	pool  *pgxpool.Pool
}

func start(t *testing.T) edge {
	t.Helper()
	url := testenv.Database(t)
	_, err := database.Migrate(t.Context(), url, database.Orders)
	require.NoError(t, err)
	pool, err := pgxpool.New(context.WithoutCancel(t.Context()), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)

	store := merchantwebhook.NewStore(pool)
	s := httptest.NewServer(router(t, store))
	t.Cleanup(s.Close)
	return edge{t, s.URL, store, pool}
}

func router(t *testing.T, store server.Store) *httpx.Router {
	t.Helper()
	r := httpx.NewRouter(httpx.Options{
		Log: slog.New(slog.DiscardHandler), Registry: telemetry.NewRegistry(), Health: httpx.NewHealth(),
	})
	addresses := merchantwebhook.NewAddresses(merchantwebhook.Config{})
	guard := authtest.Guard(t, servicetoken.Events, merchantwebhook.OpenAPI)
	require.NoError(t, server.Register(r, store, addresses, guard))
	return r
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
	if len(raw) > 0 {
		require.NoError(e.t, json.Unmarshal(raw, &out), "%s", raw)
	}
	return res.StatusCode, out
}

const shop = `{"url":"https://shop.example/hooks","event_types":["order.*"],"description":"the shop"}`

// create adds a webhook.
func (e edge) create() webhookapi.Webhook {
	e.t.Helper()
	status, out := send[webhookapi.Webhook](e, auth.Operator, http.MethodPost, "/admin/webhooks", shop)
	require.Equal(e.t, http.StatusCreated, status)
	return out
}

// deliver writes n deliveries.
func (e edge) deliver(n int) {
	e.t.Helper()
	for range n {
		event := events.Envelope{
			EventType:   events.TypeOrderPaid,
			EventID:     uuid.Must(uuid.NewV7()),
			Timestamp:   time.Now().UTC(),
			Version:     events.SchemaVersion,
			AggregateID: uuid.New(),
			Data:        json.RawMessage(`{}`),
		}
		effect, err := merchantwebhook.NewHandler(e.store).Handle(e.t.Context(), event)
		require.NoError(e.t, err)
		_, err = consumer.NewInbox(e.pool, merchantwebhook.Name).Add(e.t.Context(), event.EventID, effect)
		require.NoError(e.t, err)
	}
}

// operations lists the method and path of each operation of the document.
func operations(t *testing.T) [][2]string {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(merchantwebhook.OpenAPI)
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context()))
	var out [][2]string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			out = append(out, [2]string{method, path})
		}
	}
	return out
}

// TestRoutesAreTheSpecifications: the routes are exactly the operations of the document.
func TestRoutesAreTheSpecifications(t *testing.T) {
	t.Parallel()
	var got [][2]string
	for _, r := range router(t, nil).Routes() {
		if strings.HasPrefix(r.Path, "/admin/") {
			got = append(got, [2]string{r.Method, regexp.MustCompile(`:(\w+)`).ReplaceAllString(r.Path, "{$1}")})
		}
	}
	require.ElementsMatch(t, operations(t), got)
}

// TestOnlyOperators: customers see nothing and change nothing.
func TestOnlyOperators(t *testing.T) {
	t.Parallel()
	e := start(t)
	id := regexp.MustCompile(`\{\w+\}`)
	for _, op := range operations(t) {
		path := id.ReplaceAllString(op[1], uuid.NewString())
		status, _ := send[problem.Problem](e, auth.Customer, op[0], path, "")
		require.Equal(t, http.StatusForbidden, status, path)
		status, _ = send[problem.Problem](e, "", op[0], path, "")
		require.Equal(t, http.StatusUnauthorized, status, path)
	}
}

// TestSecretIsShownOnce: in the answers that create and rotate it, and nowhere else.
func TestSecretIsShownOnce(t *testing.T) {
	t.Parallel()
	e := start(t)
	created := e.create()
	_, err := webhook.ParseKeys([]string{created.Secret})
	require.NoError(t, err)
	path := "/admin/webhooks/" + created.WebhookID.String()
	_, rotated := send[webhookapi.Webhook](e, auth.Operator, http.MethodPost, path+"/rotate-secret?overlap_seconds=60", "")
	require.NotEqual(t, created.Secret, rotated.Secret)
	_, err = webhook.ParseKeys([]string{rotated.Secret})
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(time.Minute), rotated.PreviousSecretUntil, 10*time.Second)
	_, rotated = send[webhookapi.Webhook](e, auth.Operator, http.MethodPost, path+"/rotate-secret", "")
	require.WithinDuration(t, time.Now().Add(24*time.Hour), rotated.PreviousSecretUntil, 10*time.Second)

	e.deliver(1)
	for _, look := range [][3]string{
		{http.MethodGet, path},
		{http.MethodGet, "/admin/webhooks"},
		{http.MethodPatch, path, `{"description":"another"}`},
		{http.MethodGet, "/admin/webhooks/deliveries"},
	} {
		status, answer := send[json.RawMessage](e, auth.Operator, look[0], look[1], look[2])
		require.Equal(t, http.StatusOK, status)
		require.NotContains(t, string(answer), "whsec_", look[1])
	}
}

// TestRefusals name the field at fault and say what to do.
func TestRefusals(t *testing.T) {
	t.Parallel()
	e := start(t)
	path := "/admin/webhooks/" + e.create().WebhookID.String()
	const webhooks = "/admin/webhooks"
	for _, c := range []struct{ method, path, body, field, detail string }{
		{http.MethodPost, webhooks, `{"url":"http://a.example","event_types":["order.*"]}`, "url", "https"},
		{http.MethodPost, webhooks, `{"url":"https://10.0.0.1","event_types":["order.*"]}`, "url", "public internet"},
		{http.MethodPost, webhooks, `{"url":"https://a.example","event_types":[]}`, "event_types", "elements"},
		{
			http.MethodPost, webhooks, `{"url":"https://a.example","event_types":["order.paid","order.payed"]}`,
			"event_types[1]", "order.paid",
		},
		{http.MethodPost, webhooks, `{"event_types":["order.*"]}`, "url", "required"},
		{
			http.MethodPost, webhooks, `{"url":"https://a.example","event_types":["order.*"],"secret":"x"}`,
			"secret", "no field",
		},
		{http.MethodPatch, path, `{"url":"https://u:p@shop.example"}`, "url", "password"},
		{http.MethodPatch, path, `{"event_types":["stock.*"]}`, "event_types[0]", "inventory.*"},
		{http.MethodPatch, path, `{}`, "", "number of fields"},
		{http.MethodPost, path + "/rotate-secret?overlap_seconds=604801", "", "overlap_seconds", "between"},
		{http.MethodGet, webhooks + "?cursor=x", "", "cursor", "next_cursor"},
		{http.MethodGet, webhooks + "/deliveries?status=lost", "", "status", "pending"},
		{http.MethodPost, path + "/redeliver?from=yesterday", "", "from", "RFC 3339"},
	} {
		status, p := send[problem.Problem](e, auth.Operator, c.method, c.path, c.body)
		require.Equal(t, http.StatusBadRequest, status, "%s: %s", c.body, p.Detail)
		require.Equal(t, c.field, p.Field, "%s: %s", c.body, p.Detail)
		require.Contains(t, p.Detail, c.detail)
	}
	for _, missing := range []string{
		"/admin/webhooks/" + uuid.NewString(), "/admin/webhooks/deliveries/" + uuid.NewString(),
	} {
		status, _ := send[problem.Problem](e, auth.Operator, http.MethodGet, missing, "")
		require.Equal(t, http.StatusNotFound, status)
	}
}

// TestLife: a webhook is listed, changed, switched off and on, and deleted, and each act is recorded with its actor.
func TestLife(t *testing.T) {
	t.Parallel()
	e := start(t)
	path := "/admin/webhooks/" + e.create().WebhookID.String()
	for _, change := range []string{
		`{"url":"https://shop.example/other"}`,
		`{"enabled":false}`,
		`{"enabled":false}`,
	} {
		status, _ := send[webhookapi.Webhook](e, auth.Operator, http.MethodPatch, path, change)
		require.Equal(t, http.StatusOK, status)
	}
	for filter, want := range map[string]int{"": 1, "?enabled=true": 0, "?enabled=false": 1} {
		_, page := send[webhookapi.WebhookList](e, auth.Operator, http.MethodGet, "/admin/webhooks"+filter, "")
		require.Len(t, page.Items, want, filter)
	}
	_, changed := send[webhookapi.Webhook](e, auth.Operator, http.MethodPatch, path, `{"enabled":true}`)
	require.True(t, changed.Enabled)
	require.Equal(t, []any{"https://shop.example/other", "the shop", []string{"order.*"}},
		[]any{changed.URL, changed.Description, changed.EventTypes}, "what is absent stays")
	var actions []string
	for _, a := range changed.Actions {
		require.Equal(t, "olga", a.Actor)
		actions = append(actions, a.Action)
	}
	require.Equal(t, []string{"create", "update", "disable", "enable"}, actions)

	status, _ := send[json.RawMessage](e, auth.Operator, http.MethodDelete, path, "")
	require.Equal(t, http.StatusNoContent, status)
	status, p := send[problem.Problem](e, auth.Operator, http.MethodDelete, path, "")
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, webhookapi.WebhookNotFound, p.Code)
}

// TestPages: the cursor leads through all webhooks and all deliveries.
func TestPages(t *testing.T) {
	t.Parallel()
	e := start(t)
	for range 3 {
		e.create()
	}
	e.deliver(20)
	for path, want := range map[string]int{"/admin/webhooks?limit=2": 3, "/admin/webhooks/deliveries?limit=25": 60} {
		seen, next := 0, path
		for next != "" {
			status, page := send[struct {
				Items      []json.RawMessage `json:"items"`
				NextCursor string            `json:"next_cursor"`
			}](e, auth.Operator, http.MethodGet, next, "")
			require.Equal(t, http.StatusOK, status)
			seen += len(page.Items)
			next = ""
			if page.NextCursor != "" {
				next = path + "&cursor=" + page.NextCursor
			}
		}
		require.Equal(t, want, seen, path)
	}
}

// TestRedeliver: an operator sees what a range would send, and sends it. What is sent again does not match again.
func TestRedeliver(t *testing.T) {
	t.Parallel()
	e := start(t)
	path := "/admin/webhooks/" + e.create().WebhookID.String()
	off := `{"enabled":false}`
	_, _ = send[webhookapi.Webhook](e, auth.Operator, http.MethodPatch, path, off)
	e.deliver(3)
	status, result := send[webhookapi.RedeliverResult](e, auth.Operator, http.MethodPost,
		path+"/redeliver?dry_run=true", "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, []any{true, int64(3), 0, int64(3)},
		[]any{result.DryRun, result.Matched, result.Sent, result.Remaining})
	status, p := send[problem.Problem](e, auth.Operator, http.MethodPost, path+"/redeliver", "")
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, webhookapi.WebhookDisabled, p.Code)

	_, _ = send[webhookapi.Webhook](e, auth.Operator, http.MethodPatch, path, `{"enabled":true}`)
	_, result = send[webhookapi.RedeliverResult](e, auth.Operator, http.MethodPost,
		path+"/redeliver?to=2020-01-01T00:00:00Z", "")
	require.Zero(t, result.Matched)
	_, result = send[webhookapi.RedeliverResult](e, auth.Operator, http.MethodPost, path+"/redeliver", "")
	require.Equal(t, []any{int64(3), 3, int64(0)}, []any{result.Matched, result.Sent, result.Remaining})
	require.False(t, result.EndedBefore.IsZero())

	_, page := send[webhookapi.WebhookDeliveryList](e, auth.Operator, http.MethodGet,
		"/admin/webhooks/deliveries?status=pending", "")
	require.Len(t, page.Items, 3)
	one := "/admin/webhooks/deliveries/" + page.Items[0].DeliveryID.String()
	_, d := send[webhookapi.WebhookDelivery](e, auth.Operator, http.MethodGet, one, "")
	require.NotEmpty(t, d.Payload)
	require.False(t, d.NextAttemptAt.IsZero())
	status, p = send[problem.Problem](e, auth.Operator, http.MethodPost, one+"/redeliver", "")
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, webhookapi.DeliveryPending, p.Code)
}
