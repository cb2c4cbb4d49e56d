package gateway

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/api"
	"holdfast/internal/auth"
	"holdfast/internal/auth/authtest"
	"holdfast/internal/config"
	"holdfast/internal/deadletter"
	"holdfast/internal/merchantwebhook"
	"holdfast/internal/notification"
	"holdfast/internal/service"
	"holdfast/internal/servicekey"
	"holdfast/internal/servicetoken"
	"holdfast/internal/telemetry"
	"holdfast/inventory"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// contracts are the documents of the real services.
var contracts = Contracts{
	API:           api.Spec,
	Inventory:     inventory.OpenAPI,
	DeadMessages:  deadletter.OpenAPI,
	Webhooks:      merchantwebhook.OpenAPI,
	Notifications: notification.OpenAPI,
}

var testAuth = auth.Config{Secret: strings.Repeat("s", 32), Issuer: "holdfast", Audience: "holdfast"}

// configured returns a configuration with the defaults of the environment, except that nothing is limited.
func configured(t *testing.T, vars map[string]string) Config {
	t.Helper()
	all := map[string]string{
		"SERVICE_API_KEYS":       "our-key",
		"JWT_SECRET":             testAuth.Secret,
		"INTERNAL_TOKEN_SECRETS": strings.Join(authtest.Internal.Secrets, ","),
		"RATE_LIMIT_READS":       "0", "RATE_LIMIT_WRITES": "0", "RATE_LIMIT_ORDERS": "0",
		"RATE_LIMIT_ADMIN": "0", "RATE_LIMIT_WEBHOOKS": "0", "RATE_LIMIT_UNAUTHENTICATED": "0",
	}
	maps.Copy(all, vars)
	cfg, err := config.LoadFrom[Config](all)
	require.NoError(t, err)
	return cfg
}

// before are the variables of a gateway before services that all have the given addresses.
func before(addresses ...string) map[string]string {
	all := strings.Join(addresses, ",")
	return map[string]string{"API_URL": all, "INVENTORY_URL": all, "EVENTS_URL": all}
}

// edge is a gateway under test.
type edgeServer struct {
	*gateway
	url  string
	stop context.CancelFunc // as the end of the process would
	logs *logBuffer
}

// run runs a gateway with the given configuration behind a server that is like the process's, and watches the health of
// its services.
func run(t *testing.T, cfg Config, change ...func(*http.Server)) *edgeServer {
	t.Helper()
	transport := newTransport()
	t.Cleanup(transport.CloseIdleConnections)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	e := &edgeServer{stop: cancel, logs: &logBuffer{}}
	env := service.Env{Log: telemetry.NewLogger(e.logs, "gateway", slog.LevelInfo), Registry: telemetry.NewRegistry()}
	g, err := newGateway(ctx, cfg, env, transport, contracts)
	require.NoError(t, err)
	e.gateway = g

	var watching sync.WaitGroup
	for _, u := range []*upstream{g.api, g.inventory, g.events} {
		watching.Go(func() { u.watch(ctx) })
	}
	server := httptest.NewUnstartedServer(g.router)
	for _, c := range change {
		c(server.Config)
	}
	server.Start()
	e.url = server.URL
	t.Cleanup(func() {
		server.Close()
		cancel()
		watching.Wait()
		require.NoError(t, g.close())
	})
	return e
}

// metric returns the sum of a metric over its labels.
func (e *edgeServer) metric(t *testing.T, name string) float64 {
	t.Helper()
	return e.metricOf(t, name, "", "")
}

// metricOf returns the sum of a metric's series that have the given label; "" stands for all.
func (e *edgeServer) metricOf(t *testing.T, name, label, value string) float64 {
	t.Helper()
	families, err := e.metrics.Gather()
	require.NoError(t, err)
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			has := label == ""
			for _, l := range m.GetLabel() {
				has = has || l.GetName() == label && l.GetValue() == value
			}
			if has {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// logBuffer keeps what is logged.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start runs a gateway before the given service, which stands for api, inventory and events.
func start(t *testing.T, upstream http.HandlerFunc) string {
	t.Helper()
	behind := httptest.NewServer(upstream)
	t.Cleanup(behind.Close)
	return run(t, configured(t, before(behind.URL))).url
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

var discard = slog.New(slog.DiscardHandler)

// leave sends a request, and closes the connection when the request has arrived at the service.
func leave(t *testing.T, url string, arrived <-chan struct{}) {
	t.Helper()
	token, err := auth.Sign(testAuth, "alice", auth.Customer, time.Minute)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	go func() {
		<-arrived
		cancel()
	}()
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err == nil {
		_ = res.Body.Close()
	}
	require.ErrorIs(t, err, context.Canceled)
}
