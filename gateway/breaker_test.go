package gateway

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/breaker"
)

// TestBreakerOpensProbesCloses: when half of the requests fail, the service is not asked any more and clients get 503
// at once. After the pause a single request is the test: while it fails, the breaker stays open; when it succeeds, the
// breaker closes.
func TestBreakerOpensProbesCloses(t *testing.T) {
	t.Parallel()
	const pause = 300 * time.Millisecond
	var broken atomic.Bool
	service := newBackend(t, "", func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	vars := before(service.URL)
	vars["GATEWAY_BREAKER_OPEN"] = pause.String()
	edge := run(t, configured(t, vars))
	ask := func() (int, http.Header) {
		status, _, header := customer(t)(http.MethodGet, edge.url+"/api/orders", "")
		return status, header
	}

	for range breaker.MinCalls / 2 {
		status, _ := ask()
		require.Equal(t, http.StatusOK, status)
	}
	broken.Store(true)
	for range breaker.MinCalls / 2 {
		status, _ := ask()
		require.Equal(t, http.StatusInternalServerError, status)
	}
	require.InDelta(t, 1, edge.api.breaker.State(), 0, "open")

	asked := service.served.Load()
	status, header := ask()
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, asked, service.served.Load(), "the service is not asked")
	after, err := strconv.Atoi(header.Get("Retry-After"))
	require.NoError(t, err)
	require.Equal(t, 1, after, "the pause, rounded up to seconds")
	require.Equal(t, problemType, header.Get("Content-Type"))

	half := func() bool { return edge.api.breaker.State() == 2 }
	require.Eventually(t, half, 10*time.Second, 5*time.Millisecond, "half-open after the pause")
	status, _ = ask()
	require.Equal(t, http.StatusInternalServerError, status, "one request is the test")
	require.InDelta(t, 1, edge.api.breaker.State(), 0, "open again")

	broken.Store(false)
	require.Eventually(t, half, 10*time.Second, 5*time.Millisecond)
	status, _ = ask()
	require.Equal(t, http.StatusOK, status)
	require.Zero(t, edge.api.breaker.State(), "closed")

	other, _, _ := customer(t)(http.MethodGet, edge.url+"/api/inventory/1", "")
	require.Equal(t, http.StatusOK, other, "each service has its own breaker")
}

const problemType = "application/problem+json"

// TestRestartClosesTheBreaker: a breaker that opened because nothing listened closes soon after the service listens
// again, although its pause is half a minute.
func TestRestartClosesTheBreaker(t *testing.T) {
	t.Parallel()
	service := newBackend(t, "", answering("here"))
	address := service.Listener.Addr().String()
	vars := before(service.URL)
	vars["GATEWAY_HEALTH_INTERVAL"] = "20ms"
	edge := run(t, configured(t, vars))
	ask := customer(t)
	service.kill()
	for range breaker.MinCalls {
		status, _, _ := ask(http.MethodGet, edge.url+"/api/orders", "")
		require.Equal(t, http.StatusServiceUnavailable, status)
	}
	require.InDelta(t, 1, edge.api.breaker.State(), 0, "open")

	newBackend(t, address, answering("here"))
	require.Eventually(t, func() bool { return edge.api.breaker.State() == 0 }, 10*time.Second, 5*time.Millisecond)
	_, text, _ := ask(http.MethodGet, edge.url+"/api/orders", "")
	require.Equal(t, "here", text)
}

// TestClientsThatLeaveOpenNoBreaker: requests that clients give up say nothing about the service.
func TestClientsThatLeaveOpenNoBreaker(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(service.Close)
	edge := run(t, configured(t, before(service.URL)))
	for range breaker.MinCalls + 5 {
		leave(t, edge.url+"/api/orders", arrived)
	}
	require.Eventually(t, func() bool {
		return edge.metric(t, "gateway_upstream_requests_total") == breaker.MinCalls+5
	}, 20*time.Second, 10*time.Millisecond)
	require.Zero(t, edge.api.breaker.State(), "closed")
}
