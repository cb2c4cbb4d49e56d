package inventoryclient_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"holdfast/internal/auth/authtest"
	"holdfast/internal/breaker"
	"holdfast/internal/config"
	"holdfast/internal/service"
	"holdfast/internal/servicetoken"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventoryclient"
	"holdfast/inventory/inventorytest"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// brief are the settings of a client that does not keep a test waiting; pairs of variables and values come first.
func brief(t *testing.T, pairs ...string) inventoryclient.Config {
	t.Helper()
	vars := map[string]string{"INVENTORY_SERVICE_RETRY_DELAY": "10ms"}
	for i := 0; i+1 < len(pairs); i += 2 {
		vars[pairs[i]] = pairs[i+1]
	}
	cfg, err := config.LoadFrom[inventoryclient.Config](vars)
	require.NoError(t, err)
	return cfg
}

// dial returns a client of the instances as a process has it, and its metrics.
func dial(t *testing.T, cfg inventoryclient.Config, urls ...string) (*inventoryclient.Client, *prometheus.Registry) {
	t.Helper()
	cfg.URLs = urls
	env := service.Env{Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry()}
	c, err := inventoryclient.NewGuarded(cfg, servicetoken.NewSigner(authtest.Internal, "test"), nil, env)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c, env.Registry
}

// metric returns the sum of the series of a metric that have the given label.
func metric(t *testing.T, reg *prometheus.Registry, name, label, value string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetName() == label && l.GetValue() == value {
					sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
		}
	}
	return sum
}

// unreliable is a front of the real service: the handler answers the first requests, as many as spoil says, and the
// service answers all later ones. With after set, the service carries those requests out first.
type unreliable struct {
	*httptest.Server
	asked atomic.Int64
	spoil atomic.Int64
}

func before(t *testing.T, base string, after bool, spoil int64, answer http.HandlerFunc) *unreliable {
	t.Helper()
	target, err := url.Parse(base)
	require.NoError(t, err)
	behind := httputil.NewSingleHostReverseProxy(target)
	u := &unreliable{}
	u.spoil.Store(spoil)
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.asked.Add(1)
		if u.spoil.Add(-1) < 0 {
			behind.ServeHTTP(w, r)
			return
		}
		if after {
			behind.ServeHTTP(httptest.NewRecorder(), r)
		}
		answer(w, r)
	}))
	t.Cleanup(u.Close)
	return u
}

// status answers with a status and, if it is not empty, with Retry-After.
func status(code int, retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(code)
	}
}

// cut breaks the connection.
func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// TestRetries: a call is sent again after 503, after 429 and when the connection breaks, not before Retry-After has
// passed, and the reservation is made once, even if the service had carried out the call whose answer was lost. No
// other answer is repeated.
func TestRetries(t *testing.T) {
	t.Parallel()
	s, base := inventorytest.NewServer(t)
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		spoil  int64
		reason string // of the retries; "" if there is none
		least  time.Duration
		err    error
	}{
		{"503", status(503, ""), 2, "unavailable", 30 * time.Millisecond, nil},
		{"503 with Retry-After", status(503, "1"), 1, "unavailable", time.Second, nil},
		{"429 with Retry-After", status(429, "1"), 1, "rate_limited", time.Second, nil},
		{"the connection breaks", cut, 2, "network", 30 * time.Millisecond, nil},
		{"503 to the last attempt", status(503, ""), 3, "unavailable", 30 * time.Millisecond, inventoryapi.Unavailable},
		{"500", status(500, ""), 1, "", 0, inventoryapi.Unavailable},
		{"502", status(502, ""), 1, "", 0, inventoryapi.Unavailable},
		{"504", status(504, ""), 1, "", 0, inventoryapi.Unavailable},
		{"400", status(400, ""), 1, "", 0, inventoryapi.InvalidInput},
	} {
		for _, after := range []bool{false, true} {
			t.Run(tc.name+" after="+strconv.FormatBool(after), func(t *testing.T) {
				t.Parallel()
				product := s.Stock(t, 10)
				front := before(t, base, after, tc.spoil, tc.answer)
				client, reg := dial(t, brief(t), front.URL)

				begin := time.Now()
				_, err := client.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(product, 3)))
				require.ErrorIs(t, err, tc.err)
				require.GreaterOrEqual(t, time.Since(begin), tc.least)

				attempts := int64(1)
				if tc.reason != "" {
					attempts = min(tc.spoil+1, 3)
					require.InDelta(t, attempts-1, metric(t, reg, "inventory_http_retries_total", "reason", tc.reason), 0)
				}
				require.Equal(t, attempts, front.asked.Load())
				held := int64(3)
				if tc.err != nil && !after {
					held = 0
				}
				_, reserved := s.Available(t, product)
				require.Equal(t, held, reserved)
			})
		}
	}
}

// TestRetriesEndWithTheDeadline: if the caller's time is over before the pause, the client answers at once, so that the
// caller can go on another way. A caller that leaves ends the pause.
func TestRetriesEndWithTheDeadline(t *testing.T) {
	t.Parallel()
	_, base := inventorytest.NewServer(t)
	front := before(t, base, false, 100, status(503, ""))
	client, _ := dial(t, brief(t, "INVENTORY_SERVICE_RETRY_DELAY", "1h"), front.URL)

	begin := time.Now()
	limited, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := client.Availability(limited, uuid.New(), 1)
	require.ErrorIs(t, err, inventoryapi.Unavailable)
	require.Less(t, time.Since(begin), 30*time.Second)
	require.Equal(t, int64(1), front.asked.Load())

	leaving, leave := context.WithCancel(t.Context())
	go func() {
		assert.Eventually(t, func() bool { return front.asked.Load() >= 2 }, time.Minute, time.Millisecond)
		leave()
	}()
	_, err = client.Availability(leaving, uuid.New(), 1)
	require.ErrorIs(t, err, inventoryapi.Unavailable)
	require.Equal(t, int64(2), front.asked.Load())
}

// TestTimeLimits: reads and writes have their own limits. An attempt that has used up its time is not repeated, because
// a service that hangs would be asked again while it still works on the first request.
func TestTimeLimits(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	hung := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_, _ = io.Copy(io.Discard, r.Body) // only then the server notices that the client has left
		<-r.Context().Done()
	}))
	t.Cleanup(hung.Close)
	client, _ := dial(t,
		brief(t, "INVENTORY_SERVICE_TIMEOUT", "50ms", "INVENTORY_SERVICE_WRITE_TIMEOUT", "400ms"), hung.URL)

	begin := time.Now()
	_, err := client.Availability(t.Context(), uuid.New(), 1)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, err, inventoryapi.Unavailable)
	require.InDelta(t, 200*time.Millisecond, time.Since(begin), float64(199*time.Millisecond))

	begin = time.Now()
	_, err = client.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(uuid.New(), 1)))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.GreaterOrEqual(t, time.Since(begin), 400*time.Millisecond)
	require.Equal(t, int64(2), asked.Load())
}

// TestBreakerOfWrites: writes that fail open the breaker of the writes alone: further writes are not sent and fail at
// once as retryable, never as refused, while reads go on. After the pause one write is the test and closes the breaker.
func TestBreakerOfWrites(t *testing.T) {
	t.Parallel()
	s, base := inventorytest.NewServer(t)
	product := s.Stock(t, 10)
	front := before(t, base, false, 20, status(500, ""))
	client, reg := dial(t, brief(t, "BREAKER_OPEN", "2s"), front.URL)
	state := func(name string) float64 {
		return metric(t, reg, "inventory_circuit_breaker_state", "breaker_name", name)
	}
	reserve := func() error {
		_, err := client.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(product, 1)))
		return err
	}

	for range breaker.MinCalls {
		require.Error(t, reserve())
	}
	require.InDelta(t, breaker.StateOpen, state("inventory_writes"), 0)
	var open *breaker.OpenError
	err := reserve()
	require.ErrorAs(t, err, &open)
	require.True(t, inventoryapi.Retryable(err))
	require.Equal(t, int64(breaker.MinCalls), front.asked.Load(), "nothing is sent")
	_, err = client.Availability(t.Context(), product, 1)
	require.NoError(t, err)
	require.InDelta(t, breaker.StateClosed, state("inventory_reads"), 0)

	require.Eventually(t, func() bool { return state("inventory_writes") == breaker.StateHalfOpen },
		20*time.Second, 10*time.Millisecond)
	require.NoError(t, reserve())
	require.InDelta(t, breaker.StateClosed, state("inventory_writes"), 0)
}

// TestServiceRestarts: while the service is down, calls fail at once; soon after it is up again they succeed, although
// the breaker's pause is half a minute.
func TestServiceRestarts(t *testing.T) {
	t.Parallel()
	database, _ := inventorytest.NewDatabase(t)
	cfg := inventorytest.ProcessConfig(database, "")
	base, stop := inventorytest.LaunchProcess(t, cfg)
	client, reg := dial(t, brief(t), base)
	_, err := client.Statistics(t.Context())
	require.NoError(t, err)

	stop()
	for range breaker.MinCalls {
		_, err := client.Statistics(t.Context())
		require.ErrorIs(t, err, inventoryapi.Unavailable)
	}
	require.InDelta(t, breaker.StateOpen,
		metric(t, reg, "inventory_circuit_breaker_state", "breaker_name", "inventory_reads"), 0)

	cfg.Listen = strings.TrimPrefix(base, "http://")
	inventorytest.LaunchProcess(t, cfg)
	back := time.Now()
	require.Eventually(t, func() bool {
		_, err := client.Statistics(t.Context())
		return err == nil
	}, 20*time.Second, 10*time.Millisecond)
	require.Less(t, time.Since(back), 15*time.Second)
	require.InDelta(t, breaker.StateClosed,
		metric(t, reg, "inventory_circuit_breaker_state", "breaker_name", "inventory_reads"), 0)
}

// TestInstancesInTurn: the client spreads its calls over the instances, and none fails when one of them is gone.
func TestInstancesInTurn(t *testing.T) {
	t.Parallel()
	s, base := inventorytest.NewServer(t)
	product := s.Stock(t, 100)
	a, b := before(t, base, false, 0, nil), before(t, base, false, 0, nil)
	client, _ := dial(t, brief(t, "INVENTORY_SERVICE_RETRY_ATTEMPTS", "1"), a.URL, b.URL)
	reserve := func() {
		_, err := client.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(product, 1)))
		require.NoError(t, err)
	}

	for range 10 {
		reserve()
	}
	require.Equal(t, []int64{5, 5}, []int64{a.asked.Load(), b.asked.Load()})
	a.Close()
	for range 10 {
		reserve()
	}
	require.Equal(t, int64(15), b.asked.Load())
	_, reserved := s.Available(t, product)
	require.Equal(t, int64(20), reserved)
}

// TestSettings: every fault of the settings is named.
func TestSettings(t *testing.T) {
	t.Parallel()
	_, err := config.LoadFrom[inventoryclient.Config](map[string]string{
		"INVENTORY_URL":                    "http://127.0.0.1:1,nowhere",
		"INVENTORY_SERVICE_TIMEOUT":        "15s",
		"INVENTORY_SERVICE_WRITE_TIMEOUT":  "0s",
		"INVENTORY_SERVICE_RETRY_ATTEMPTS": "0",
		"INVENTORY_SERVICE_RETRY_DELAY":    "0s",
		"BREAKER_PERCENT":                  "101",
		"BREAKER_OPEN":                     "0s",
	})
	for _, name := range []string{
		"INVENTORY_URL", "INVENTORY_SERVICE_TIMEOUT", "INVENTORY_SERVICE_WRITE_TIMEOUT",
		"INVENTORY_SERVICE_RETRY_ATTEMPTS", "INVENTORY_SERVICE_RETRY_DELAY", "BREAKER_PERCENT", "BREAKER_OPEN",
	} {
		require.ErrorContains(t, err, name)
	}
	cfg, err := config.LoadFrom[inventoryclient.Config](map[string]string{})
	require.NoError(t, err)
	require.Equal(t, []any{5 * time.Second, 10 * time.Second, 3, time.Second, 50, 30 * time.Second},
		[]any{cfg.Timeout, cfg.WriteTimeout, cfg.Attempts, cfg.Delay, cfg.Breaker.Percent, cfg.Breaker.Open})
}
