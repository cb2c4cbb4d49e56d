package gateway

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"holdfast/api"
	"holdfast/internal/auth"
	"holdfast/internal/auth/authtest"
	"holdfast/internal/deadletter"
	"holdfast/internal/merchantwebhook"
	"holdfast/internal/notification"
	"holdfast/internal/service"
	"holdfast/internal/servicekey"
	"holdfast/internal/servicetoken"
	"holdfast/internal/telemetry"
	"holdfast/inventory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// contracts are the documents of the real services.
var contracts = Contracts{
	API:           api.Spec,
	Inventory:     inventory.OpenAPI,
	DeadMessages:  deadletter.OpenAPI,
	Webhooks:      merchantwebhook.OpenAPI,
	Notifications: notification.OpenAPI,
}

var testAuth = auth.Config{Secret: strings.Repeat("s", 32), Issuer: "holdfast", Audience: "holdfast"}

// start runs a gateway before the given service, which stands for api, inventory and events.
func start(t *testing.T, upstream http.HandlerFunc) string {
	t.Helper()
	behind := httptest.NewServer(upstream)
	t.Cleanup(behind.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)

	cfg := Config{
		APIURL:       behind.URL,
		InventoryURL: behind.URL,
		EventsURL:    behind.URL,
		ServiceKeys:  []string{"our-key"},
		Internal:     authtest.Internal,
		Auth:         testAuth,
	}
	env := service.Env{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Registry: telemetry.NewRegistry()}
	router, _, err := newRouter(t.Context(), cfg, env, transport, contracts)
	require.NoError(t, err)

	edge := httptest.NewServer(router)
	t.Cleanup(edge.Close)
	return edge.URL
}

// vouched returns for whom the gateway vouches in a request to the given service; ok is false if it does not, or if the
// service would not accept it.
func vouched(header http.Header, service string) (as servicetoken.Caller, ok bool) {
	as, err := servicetoken.NewVerifier(authtest.Internal, service).Verify(header.Get(servicetoken.Header))
	return as, err == nil
}

func send(t *testing.T, url string, headers map[string]string) *http.Response {
	t.Helper()
	token, err := auth.Sign(testAuth, "alice", auth.Customer, time.Minute)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res
}

// TestClientsCannotSpeakForServices sends headers that only our services may set, and names some in Connection.
func TestClientsCannotSpeakForServices(t *testing.T) {
	t.Parallel()
	var seen http.Header
	edge := start(t, func(_ http.ResponseWriter, r *http.Request) { seen = r.Header.Clone() })
	evil := map[string]string{
		servicekey.Header:   "stolen",
		servicetoken.Header: authtest.Token(t, servicetoken.API, "mallory", auth.Admin),
		"X-Source-Service":  "worker",
		"X-User-ID":         "admin",
		"X-User-Role":       "admin",
		"Connection":        "X-Correlation-ID, Authorization, X-API-Key, " + servicetoken.Header,
	}
	alice := servicetoken.Caller{Service: "gateway", Subject: "alice", Issuer: "holdfast", Role: "customer"}

	require.Equal(t, http.StatusOK, send(t, edge+"/api/orders/1", evil).StatusCode)
	for _, name := range []string{
		servicekey.Header, "X-Source-Service", "X-User-Id", "X-User-Role", "Authorization",
	} {
		require.Empty(t, seen.Get(name), name)
	}
	require.NotEmpty(t, seen.Get("X-Correlation-Id"))
	as, ok := vouched(seen, servicetoken.API)
	require.True(t, ok)
	require.Equal(t, alice, as)

	require.Equal(t, http.StatusOK, send(t, edge+"/api/inventory/1", evil).StatusCode)
	as, ok = vouched(seen, servicetoken.Inventory)
	require.True(t, ok)
	require.Equal(t, alice, as)
	_, ok = vouched(seen, servicetoken.API)
	require.False(t, ok, "a token for inventory is of no use at another service")
	require.Empty(t, seen.Get("Authorization"), "no service gets a client's token")

	delete(evil, "Connection") // it made the proxy drop some of them
	require.Equal(t, http.StatusOK, send(t, edge+"/docs", evil).StatusCode)
	require.Empty(t, seen.Values(servicetoken.Header), "the gateway vouches for nobody on a public route")
	require.Empty(t, seen.Get("Authorization"))
}

// TestUpstreamGone answers a problem at once when a service does not listen.
func TestUpstreamGone(t *testing.T) {
	t.Parallel()
	edge := start(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	res := send(t, edge+"/api/orders/1", nil)
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	require.Equal(t, "application/problem+json", res.Header.Get("Content-Type"))
	require.NotEmpty(t, res.Header.Get("Retry-After"))
}
