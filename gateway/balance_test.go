package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
)

// backend is an instance of a service that a test can stop, break and count.
type backend struct {
	*httptest.Server
	served  atomic.Int64 // requests other than probes
	unready atomic.Bool
}

// newBackend runs an instance at an address, or at a free one if it is "".
func newBackend(t *testing.T, address string, handler http.HandlerFunc) *backend {
	t.Helper()
	b := &backend{}
	b.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ready" || r.URL.Path == "/health" {
			if b.unready.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return
		}
		b.served.Add(1)
		handler(w, r)
	}))
	if address != "" {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		require.NoError(t, err)
		require.NoError(t, b.Listener.Close())
		b.Listener = l
	}
	b.Start()
	t.Cleanup(b.kill)
	return b
}

// kill breaks every connection and listens no more, as a process that is killed.
func (b *backend) kill() {
	_ = b.Listener.Close()
	b.CloseClientConnections()
	b.Close()
}

// customer returns a client that keeps its connections, with alice's token.
func customer(t *testing.T) func(method, url, body string, headers ...string) (int, string, http.Header) {
	t.Helper()
	token, err := auth.Sign(testAuth, "alice", auth.Customer, time.Hour)
	require.NoError(t, err)
	transport := &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return func(method, url, body string, headers ...string) (int, string, http.Header) {
		req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, url, strings.NewReader(body))
		if err != nil {
			return 0, err.Error(), nil
		}
		req.Header.Set("Authorization", "Bearer "+token)
		for i := 0; i+1 < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		res, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			return 0, err.Error(), nil
		}
		defer res.Body.Close() //nolint:errcheck // only read from
		raw, err := io.ReadAll(res.Body)
		if err != nil {
			return 0, err.Error(), nil
		}
		return res.StatusCode, string(raw), res.Header
	}
}

func answering(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, text)
	}
}

// TestRequestsAreBalanced: each instance gets the same number of requests.
func TestRequestsAreBalanced(t *testing.T) {
	t.Parallel()
	a, b, c := newBackend(t, "", answering("a")), newBackend(t, "", answering("b")), newBackend(t, "", answering("c"))
	edge := run(t, configured(t, before(a.URL, b.URL, c.URL)))
	ask := customer(t)

	for range 30 {
		status, _, _ := ask(http.MethodGet, edge.url+"/api/orders/1", "")
		require.Equal(t, http.StatusOK, status)
	}
	require.Equal(t, []int64{10, 10, 10}, []int64{a.served.Load(), b.served.Load(), c.served.Load()})
}

// TestInstanceDiesUnderLoad: while callers read without pause, an instance is killed, starts again at its address and
// takes its share again. No caller sees an error, whatever the length of the answers.
func TestInstanceDiesUnderLoad(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("an answer of two parts, ", 2000) // more than one write
	reading := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, text[:len(text)/2])
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, text[len(text)/2:])
	}
	a, b := newBackend(t, "", reading), newBackend(t, "", reading)
	edge := run(t, configured(t, before(a.URL, b.URL)))
	ask := customer(t)

	var callers sync.WaitGroup
	var done, failed atomic.Int64
	var first atomic.Pointer[string]
	stop := make(chan struct{})
	for range 16 {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				status, body, _ := ask(http.MethodGet, edge.url+"/api/orders", "")
				done.Add(1)
				if status != http.StatusOK || body != text {
					failed.Add(1)
					said := fmt.Sprint(status, " ", body[:min(len(body), 200)])
					first.CompareAndSwap(nil, &said)
				}
			}
		})
	}
	soon := func(what string, so func() bool) {
		t.Helper()
		require.Eventually(t, so, 20*time.Second, 5*time.Millisecond, what)
	}
	address := b.Listener.Addr().String()
	for range 3 {
		soon("both serve", func() bool { return a.served.Load() > 50 && b.served.Load() > 50 })
		b.kill()
		before := a.served.Load()
		soon("the other one serves", func() bool { return a.served.Load() > before+100 && edge.api.available() == 1 })
		b = newBackend(t, address, reading)
		soon("it is back", func() bool { return edge.api.available() == 2 && b.served.Load() > 50 })
	}
	close(stop)
	callers.Wait()

	require.Zero(t, failed.Load(), "of %d: %v", done.Load(), first.Load())
	require.GreaterOrEqual(t, edge.metric(t, "gateway_upstream_ejections_total"), 1.0)
}

// TestInstanceDiesWhileItAnswers: an answer that breaks off in the middle is asked for again at another instance, as
// long as the client has got nothing of it. The client gets one whole answer, with its length.
func TestInstanceDiesWhileItAnswers(t *testing.T) {
	t.Parallel()
	const whole = "the whole answer"
	dying := newBackend(t, "", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "the who")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	edge := run(t, configured(t, before(dying.URL, newBackend(t, "", answering(whole)).URL)))
	ask := customer(t)
	for range 10 {
		status, body, header := ask(http.MethodGet, edge.url+"/api/orders", "")
		require.Equal(t, http.StatusOK, status, body)
		require.Equal(t, whole, body)
		require.Equal(t, fmt.Sprint(len(whole)), header.Get("Content-Length"))
	}
	require.Positive(t, dying.served.Load())
}

// TestLongAnswersPass: an answer that is longer than what is read ahead passes whole, with and without its length.
func TestLongAnswersPass(t *testing.T) {
	t.Parallel()
	for _, size := range []int{readAheadMax - 1, readAheadMax, readAheadMax + 1, 5 * readAheadMax} {
		text := strings.Repeat("x", size)
		for _, announced := range []bool{true, false} {
			service := newBackend(t, "", func(w http.ResponseWriter, _ *http.Request) {
				if announced {
					w.Header().Set("Content-Length", fmt.Sprint(size))
				}
				_, _ = io.WriteString(w, text)
			})
			edge := run(t, configured(t, before(service.URL)))
			status, body, _ := customer(t)(http.MethodGet, edge.url+"/api/orders", "")
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, text, body, "%d bytes, announced %v", size, announced)
		}
	}
}

// TestUnsafeRequestsAreSentOnce: a request that may have taken effect is sent to another instance only if it has an
// Idempotency-Key, or if nothing of it was sent.
func TestUnsafeRequestsAreSentOnce(t *testing.T) {
	t.Parallel()
	breaking := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	}
	for _, c := range []struct {
		request string
		headers []string
		repeat  bool
	}{
		{"POST /api/orders", nil, false},
		{"POST /api/orders", []string{"Idempotency-Key", "k"}, true},
		{"PUT /api/products/1", nil, true},
		{"PUT /api/products/1", []string{"If-Match", `"1"`}, false},
		{"DELETE /api/products/1", nil, true},
		{"GET /api/orders", nil, true},
	} {
		t.Run(c.request+" "+strings.Join(c.headers, " "), func(t *testing.T) {
			t.Parallel()
			a, b := newBackend(t, "", breaking), newBackend(t, "", breaking)
			edge := run(t, configured(t, before(a.URL, b.URL)))
			method, path, _ := strings.Cut(c.request, " ")
			headers := map[string]string{}
			for i := 0; i+1 < len(c.headers); i += 2 {
				headers[c.headers[i]] = c.headers[i+1]
			}

			res := request(t, edge.url, method+" "+path, "{}", "olga", auth.Operator, headers)
			require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
			if !c.repeat {
				require.EqualValues(t, 1, a.served.Load()+b.served.Load())
				return
			}
			require.Positive(t, a.served.Load())
			require.Positive(t, b.served.Load())
		})
	}

	t.Run("nothing was sent", func(t *testing.T) {
		t.Parallel()
		var got atomic.Value
		gone := newBackend(t, "", answering(""))
		here := newBackend(t, "", func(_ http.ResponseWriter, r *http.Request) {
			raw, _ := io.ReadAll(r.Body)
			got.Store(string(raw))
		})
		edge := run(t, configured(t, before(gone.URL, here.URL)))
		gone.kill()
		for n := range 6 {
			status, _, _ := customer(t)(http.MethodPost, edge.url+"/api/orders", fmt.Sprint("body ", n))
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, fmt.Sprint("body ", n), got.Load(), "the body is sent again, whole")
		}
	})
}

// TestShedLoadIsPassedOn: an instance that sheds load by 503 with Retry-After is not asked again elsewhere, stays in
// the rotation, and keeps the breaker closed.
func TestShedLoadIsPassedOn(t *testing.T) {
	t.Parallel()
	shedding := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	a, b := newBackend(t, "", shedding), newBackend(t, "", shedding)
	edge := run(t, configured(t, before(a.URL, b.URL)))
	ask := customer(t)
	for range 40 {
		status, _, header := ask(http.MethodGet, edge.url+"/api/orders", "")
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Equal(t, "7", header.Get("Retry-After"))
	}
	require.Equal(t, 2, edge.api.available())
	require.EqualValues(t, 40, a.served.Load()+b.served.Load())
}

// TestUnreadyInstanceIsLeftOut: an instance that answers, but whose /ready says that it cannot work, gets no requests
// until it can. If no instance is ready, requests are sent all the same.
func TestUnreadyInstanceIsLeftOut(t *testing.T) {
	t.Parallel()
	a, b := newBackend(t, "", answering("a")), newBackend(t, "", answering("b"))
	vars := before(a.URL, b.URL)
	vars["GATEWAY_HEALTH_INTERVAL"] = "10ms"
	edge := run(t, configured(t, vars))
	ask := customer(t)

	b.unready.Store(true)
	require.Eventually(t, func() bool { return edge.api.available() == 1 }, 10*time.Second, 5*time.Millisecond)
	for range 10 {
		_, text, _ := ask(http.MethodGet, edge.url+"/api/orders", "")
		require.Equal(t, "a", text)
	}

	a.unready.Store(true)
	require.Eventually(t, func() bool { return edge.api.available() == 0 }, 10*time.Second, 5*time.Millisecond)
	status, _, _ := ask(http.MethodGet, edge.url+"/api/orders", "")
	require.Equal(t, http.StatusOK, status)

	b.unready.Store(false)
	require.Eventually(t, func() bool { return edge.api.available() == 1 }, 10*time.Second, 5*time.Millisecond)
	_, text, _ := ask(http.MethodGet, edge.url+"/api/orders", "")
	require.Equal(t, "b", text)
}

// TestFailingInstanceIsEjected: an instance that answers 502 in a row leaves the rotation for longer each time; its
// requests are answered by another one. An instance that answers 500 stays.
func TestFailingInstanceIsEjected(t *testing.T) {
	t.Parallel()
	status := &atomic.Int64{}
	status.Store(http.StatusBadGateway)
	failing := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) }
	a, b := newBackend(t, "", answering("a")), newBackend(t, "", failing)
	edge := run(t, configured(t, before(a.URL, b.URL)))
	ask := customer(t)

	for range 20 {
		got, _, _ := ask(http.MethodGet, edge.url+"/api/orders", "")
		require.Equal(t, http.StatusOK, got)
	}
	require.EqualValues(t, ejectAfter, b.served.Load())
	require.Equal(t, 1, edge.api.available())

	failed := edge.api.instances[1]
	require.Eventually(t, func() bool { return edge.api.available() == 2 }, 20*time.Second, 10*time.Millisecond)
	require.True(t, failed.eject(time.Now()))
	require.Greater(t, time.Until(failed.until), minEjection, "the second time it takes longer")
	require.Eventually(t, func() bool { return edge.api.available() == 2 }, 20*time.Second, 10*time.Millisecond)

	status.Store(http.StatusInternalServerError)
	for range 20 {
		ask(http.MethodGet, edge.url+"/api/orders", "")
	}
	require.Equal(t, 2, edge.api.available())
}

// TestRetriesHaveABudget: when every instance fails, the retries end, so that the load is not multiplied.
func TestRetriesHaveABudget(t *testing.T) {
	t.Parallel()
	var b budget
	allowed := 0
	for b.withdraw() {
		allowed++
	}
	require.Equal(t, budgetMax/budgetPerRetry, allowed)

	for range budgetPerRetry {
		b.deposit()
	}
	require.True(t, b.withdraw())
	require.False(t, b.withdraw())
}
