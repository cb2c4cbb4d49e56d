package provider

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"holdfast/internal/breaker"
	"holdfast/internal/config"
	"holdfast/internal/payment"
	"holdfast/internal/payment/sandbox"
	"holdfast/internal/problem"
	"holdfast/internal/service"
)

// TestGuard: calls without an answer open the breaker. Then nothing is sent, and the outcome of a payment is unknown,
// neither declined nor refused. Answers of the provider, declines among them, never open it.
func TestGuard(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	var fails atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if fails.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", problem.ContentType)
		w.WriteHeader(http.StatusPaymentRequired)
		_, _ = w.Write([]byte(`{"code":"` + string(sandbox.CodeDeclined) + `","detail":"card_declined"}`))
	}))
	t.Cleanup(server.Close)
	cfg, err := config.LoadFrom[Config](map[string]string{"PAYMENT_SANDBOX_URL": server.URL})
	require.NoError(t, err)
	p, err := New(cfg, "worker", "a-key", server.Client())
	require.NoError(t, err)
	env := service.Env{Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry()}
	p = Guard(p, cfg, env)
	authorise := func() payment.Outcome { return payment.OutcomeOf(p.Authorise(t.Context(), payment.Authorisation{})) }

	for range 2 * breaker.MinCalls {
		require.Equal(t, payment.OutcomeDeclined, authorise())
	}
	fails.Store(true)
	for n := 0; n < 3*breaker.MinCalls && asked.Load() < 4*breaker.MinCalls; n++ {
		require.Equal(t, payment.OutcomeUnknown, authorise())
	}
	require.Equal(t, int64(4*breaker.MinCalls), asked.Load(), "at half of the calls it opens")
	for range 5 {
		require.Equal(t, payment.OutcomeUnknown, authorise())
	}
	_, err = p.Get(t.Context(), "key")
	var open *breaker.OpenError
	require.ErrorAs(t, err, &open)
	require.NotErrorIs(t, err, payment.ErrUnknown, "nothing is known of the key")
	require.Equal(t, int64(4*breaker.MinCalls), asked.Load(), "nothing is sent")
	n, err := testutil.GatherAndCount(env.Registry, "payment_circuit_breaker_state")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NoError(t, testutil.GatherAndCompare(env.Registry, strings.NewReader(fmt.Sprintf(`
# HELP payment_calls_total `+callsHelp+`
# TYPE payment_calls_total counter
payment_calls_total{operation="authorise",outcome="declined"} %d
payment_calls_total{operation="authorise",outcome="error"} %d
payment_calls_total{operation="authorise",outcome="not_asked"} 5
payment_calls_total{operation="look_up",outcome="not_asked"} 1
`, 2*breaker.MinCalls, 2*breaker.MinCalls)), "payment_calls_total"))
}

// TestGuardLimitsTime: a provider that hangs is given up after the configured time.
func TestGuardLimitsTime(t *testing.T) {
	t.Parallel()
	hung := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(hung.Close)
	cfg, err := config.LoadFrom[Config](map[string]string{"PAYMENT_SANDBOX_URL": hung.URL, "PAYMENT_TIMEOUT": "100ms"})
	require.NoError(t, err)
	p, err := New(cfg, "worker", "a-key", hung.Client())
	require.NoError(t, err)
	p = Guard(p, cfg, service.Env{Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry()})

	begin := time.Now()
	_, err = p.Get(t.Context(), "key")
	require.Error(t, err)
	require.Less(t, time.Since(begin), 5*time.Second)
	_, err = config.LoadFrom[Config](map[string]string{"PAYMENT_TIMEOUT": "11s"})
	require.ErrorContains(t, err, "PAYMENT_TIMEOUT")
}

// TestShortCallersOpenNothing: callers that have less time than a call may take say nothing about the provider.
func TestShortCallersOpenNothing(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the server notices only then that the caller has left
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	cfg, err := config.LoadFrom[Config](map[string]string{"PAYMENT_SANDBOX_URL": server.URL})
	require.NoError(t, err)
	p, err := New(cfg, "worker", "a-key", server.Client())
	require.NoError(t, err)
	p = Guard(p, cfg, service.Env{Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry()})

	for range 3 * breaker.MinCalls {
		short, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		_, err := p.Authorise(short, payment.Authorisation{})
		cancel()
		require.Error(t, err)
		var open *breaker.OpenError
		require.NotErrorAs(t, err, &open)
	}
}
