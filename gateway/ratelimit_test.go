package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
	"holdfast/internal/servicekey"
	"holdfast/tests/fault"
	"holdfast/tests/testenv"
)

// limited are the variables of a gateway with limits, before a service that answers everything.
func limited(t *testing.T, pairs ...string) map[string]string {
	t.Helper()
	service := newBackend(t, "", answering(""))
	vars := before(service.URL)
	vars["REDIS_URL"], vars["RATE_LIMIT_REDIS_TIMEOUT"] = testenv.Redis(t), "10s" // a busy machine is no outage
	for i := 0; i+1 < len(pairs); i += 2 {
		vars[pairs[i]] = pairs[i+1]
	}
	return vars
}

// as sends a request with a token for a subject.
func as(t *testing.T, subject, url, route string, headers map[string]string) *http.Response {
	t.Helper()
	return request(t, url, route, "", subject, auth.Customer, headers)
}

// TestLimitIsExactAcrossGateways: two gateways together allow a client as much as its limit, within 1 %, whatever the
// order of the requests, and not a request to another client's account.
func TestLimitIsExactAcrossGateways(t *testing.T) {
	t.Parallel()
	const limit = 600
	vars := limited(t, "RATE_LIMIT_READS", strconv.Itoa(limit))
	a, b := run(t, configured(t, vars)), run(t, configured(t, vars))
	subject := "alice " + uuid.NewString()
	token, err := auth.Sign(testAuth, subject, auth.Customer, time.Hour)
	require.NoError(t, err)
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	t.Cleanup(transport.CloseIdleConnections)

	var allowed, refused, other atomic.Int64
	send := func(n int) int {
		url := []string{a.url, b.url}[n%2] + "/api/orders"
		req, _ := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, url, nil)
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			other.Add(1)
			return 0
		}
		_ = res.Body.Close()
		switch res.StatusCode {
		case http.StatusOK:
			allowed.Add(1)
		case http.StatusTooManyRequests:
			refused.Add(1)
		default:
			other.Add(1)
		}
		return res.StatusCode
	}
	var callers sync.WaitGroup
	start := time.Now()
	for caller := range 16 {
		callers.Go(func() {
			for n := range 100 {
				send(caller + n)
			}
		})
	}
	callers.Wait()
	// On a busy machine the callers do not use up what is given back meanwhile. At a refusal, nothing is left.
	for n := 0; send(n) == http.StatusOK; n++ {
	}
	exact := limit + limit/60*time.Since(start).Seconds()

	require.Zero(t, other.Load())
	require.Positive(t, refused.Load())
	require.InDelta(t, exact, float64(allowed.Load()), limit/100, "1 %%")
	require.Equal(t, http.StatusOK, as(t, "bob "+uuid.NewString(), a.url, "GET /api/orders", nil).StatusCode)
}

// TestAnswerOfALimit: every answer tells what is left, and a refusal tells when to come back.
func TestAnswerOfALimit(t *testing.T) {
	t.Parallel()
	edge := run(t, configured(t, limited(t, "RATE_LIMIT_READS", "2", "RATE_LIMIT_WRITES", "1", "RATE_LIMIT_ORDERS", "1")))
	alice := "alice " + uuid.NewString()

	res := as(t, alice, edge.url, "GET /api/orders", nil)
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, `"read";q=2;w=60`, res.Header.Get("RateLimit-Policy"))
	require.Equal(t, `"read";r=1;t=30`, res.Header.Get("RateLimit"))
	require.Equal(t, "2", res.Header.Get("X-RateLimit-Limit"))
	require.Equal(t, "1", res.Header.Get("X-RateLimit-Remaining"))
	require.Equal(t, "30", res.Header.Get("X-RateLimit-Reset"))

	require.Equal(t, http.StatusOK, as(t, alice, edge.url, "GET /api/products", nil).StatusCode)
	res = as(t, alice, edge.url, "GET /api/orders", nil)
	require.Equal(t, http.StatusTooManyRequests, res.StatusCode)
	require.Equal(t, problemType, res.Header.Get("Content-Type"))
	require.Equal(t, "0", res.Header.Get("X-RateLimit-Remaining"))
	after, err := strconv.Atoi(res.Header.Get("Retry-After"))
	require.NoError(t, err)
	require.InDelta(t, 30, after, 5)
	require.InDelta(t, 1, edge.metric(t, "gateway_rate_limited_total"), 0)

	for _, route := range []string{"POST /api/orders", "POST /api/orders/1/pay"} { // two classes
		require.Equal(t, http.StatusOK, as(t, alice, edge.url, route, nil).StatusCode, route)
		require.Equal(t, http.StatusTooManyRequests, as(t, alice, edge.url, route, nil).StatusCode, route)
	}
	key := map[string]string{servicekey.Header: "our-key"}
	require.Equal(t, http.StatusOK, as(t, alice, edge.url, "GET /api/orders", key).StatusCode, "our own services")
	key[servicekey.Header] = "another"
	require.Equal(t, http.StatusTooManyRequests, as(t, alice, edge.url, "GET /api/orders", key).StatusCode)
}

// TestWithoutATokenTheAddressCounts: a client without a token is its address, and only a trusted proxy can name another
// one in X-Forwarded-For.
func TestWithoutATokenTheAddressCounts(t *testing.T) {
	t.Parallel()
	from := func(edge *edgeServer, forwarded string) int {
		t.Helper()
		return request(t, edge.url, "GET /docs", "", "", "", map[string]string{"X-Forwarded-For": forwarded}).StatusCode
	}
	// Another network for each run, because the counts outlive a test.
	net6 := func(host int) string { return fmt.Sprintf("2001:db8:%s:%d::1", uuid.NewString()[:4], host) }

	direct := run(t, configured(t, limited(t, "RATE_LIMIT_READS", "1", "REDIS_URL", "")))
	require.Equal(t, http.StatusOK, from(direct, "192.0.2.1"))
	require.Equal(t, http.StatusTooManyRequests, from(direct, "192.0.2.2"), "a client cannot be somebody else")

	behind := run(t, configured(t, limited(t, "RATE_LIMIT_READS", "1", "TRUSTED_PROXIES", "127.0.0.0/8,::1")))
	a, b := net6(1), net6(2)
	require.Equal(t, http.StatusOK, from(behind, a))
	require.Equal(t, http.StatusTooManyRequests, from(behind, a))
	require.Equal(t, http.StatusTooManyRequests, from(behind, a+"5"), "another address of the same network")
	require.Equal(t, http.StatusTooManyRequests, from(behind, "192.0.2.9, "+a), "the client itself wrote the first one")
	require.Equal(t, http.StatusOK, from(behind, a+", "+b))
}

// TestUnauthenticatedRequestsAreLimited: an address that tries tokens gets 429 instead of 401 after a while, whatever
// the tokens are. A valid token of the same address is not touched, and neither is another address.
func TestUnauthenticatedRequestsAreLimited(t *testing.T) {
	t.Parallel()
	edge := run(t, configured(t, limited(t,
		"RATE_LIMIT_UNAUTHENTICATED", "3", "TRUSTED_PROXIES", "127.0.0.0/8,::1")))
	guess := func(address string, n int) *http.Response {
		t.Helper()
		return request(t, edge.url, "GET /api/orders", "", "", "", map[string]string{
			"X-Forwarded-For": address,
			"Authorization":   []string{"", "Bearer guess", "Bearer a.b.c", "Basic x"}[n%4],
		})
	}
	// Another network for each run, because the counts outlive a test.
	flood, other := "2001:db8:"+uuid.NewString()[:4]+":1::1", "2001:db8:"+uuid.NewString()[:4]+":2::1"

	for n := range 3 {
		require.Equal(t, http.StatusUnauthorized, guess(flood, n).StatusCode)
	}
	for n := range 4 {
		res := guess(flood, n)
		require.Equal(t, http.StatusTooManyRequests, res.StatusCode)
		require.NotEmpty(t, res.Header.Get("Retry-After"))
	}
	require.InDelta(t, 4, edge.metricOf(t, "gateway_rate_limited_total", "class", "unauthenticated"), 0)
	require.Equal(t, http.StatusUnauthorized, guess(other, 0).StatusCode)
	res := as(t, "alice "+uuid.NewString(), edge.url, "GET /api/orders", map[string]string{"X-Forwarded-For": flood})
	require.Equal(t, http.StatusOK, res.StatusCode)
}

// TestRedisIsDown: when Redis hangs or refuses connections, the gateway counts by itself. No request waits longer for
// Redis than the limit, none fails, and /ready says that the gateway is degraded. When Redis is back, the gateways
// count together again.
func TestRedisIsDown(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*fault.TCP){"hangs": hang, "is down": down} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := redis.ParseURL(testenv.Redis(t))
			require.NoError(t, err)
			between := fault.NewTCP(t, server.Addr)
			vars := limited(t, "RATE_LIMIT_READS", "20", "REDIS_URL", "redis://"+between.Address())
			vars["RATE_LIMIT_REDIS_TIMEOUT"] = "500ms"
			edge := run(t, configured(t, vars))
			subject := "alice " + uuid.NewString()
			together := func() float64 { return edge.metricOf(t, "gateway_rate_limit_checks_total", "place", "redis") }

			require.Equal(t, http.StatusOK, as(t, subject, edge.url, "GET /api/orders", nil).StatusCode)
			require.InDelta(t, 1, together(), 0)

			fail(between)
			slow, refused := 0, 0
			for range 30 {
				start := time.Now()
				if !edge.limits.Take(t.Context(), "key of "+subject, 20).Allowed {
					refused++
				}
				if time.Since(start) > 250*time.Millisecond {
					slow++
				}
			}
			require.LessOrEqual(t, slow, 3, "the first request waits, and one each second")
			require.InDelta(t, 10, refused, 2, "the local limiter stands in")
			require.Equal(t, http.StatusOK, as(t, subject, edge.url, "GET /api/orders", nil).StatusCode)
			require.Contains(t, edge.logs.String(), "this process counts requests by itself")
			require.Equal(t, "degraded", readiness(t, edge))

			between.Up()
			counted := together()
			require.Eventually(t, func() bool {
				edge.limits.Take(t.Context(), "another key of "+subject, 1000)
				return together() > counted
			}, 20*time.Second, 50*time.Millisecond)
			require.Equal(t, "ready", readiness(t, edge))
		})
	}
}

func hang(p *fault.TCP) { p.Hang() }

func down(p *fault.TCP) { p.Down() }

// readiness returns the status of /ready.
func readiness(t *testing.T, e *edgeServer) string {
	t.Helper()
	answer := httptest.NewRecorder()
	operators(e).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/ready", nil))
	require.Equal(t, http.StatusOK, answer.Code)
	var said struct{ Status string }
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&said))
	return said.Status
}

// TestClassesOfRoutes: what customers may not do is administration, and the other routes are reads, writes or orders.
func TestClassesOfRoutes(t *testing.T) {
	t.Parallel()
	c := newClasses(LimitConfig{})
	customers := auth.Roles()
	for want, r := range map[string]route{
		"read":  {method: http.MethodGet, path: "/api/orders", roles: customers},
		"write": {method: http.MethodPost, path: "/api/orders/:order_id/pay", roles: customers},
		"order": {method: http.MethodPost, path: "/api/orders", roles: customers},
		"admin": {method: http.MethodGet, path: "/admin/dlq", roles: []auth.Role{auth.Operator, auth.Admin}},
	} {
		require.Equal(t, want, c.of(r).Name)
	}

	offered, err := routes(contracts.API)
	require.NoError(t, err)
	var orders []string
	for _, r := range offered {
		if c.of(r).Name == "order" {
			orders = append(orders, r.path)
		}
	}
	require.ElementsMatch(t, []string{"/api/orders", "/api/inventory/reserve"}, orders, "the paths of the contract")
}
