package gateway

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
	"holdfast/internal/telemetry"
)

const streamPath = "/api/orders/3a3bd0c1-5b0f-5c7a-9c0e-0d5a2f6f1b11/events"

// startStreams runs a gateway whose ordinary answers may take half a second. stop ends the process's context.
func startStreams(t *testing.T, upstream http.HandlerFunc) (edge string, stop func()) {
	t.Helper()
	behind := httptest.NewServer(upstream)
	t.Cleanup(behind.Close)
	e := run(t, configured(t, before(behind.URL)), func(s *http.Server) {
		s.ReadTimeout, s.WriteTimeout = 500*time.Millisecond, 500*time.Millisecond
	})
	return e.url, e.stop
}

func open(t *testing.T, method, url string) *http.Response {
	t.Helper()
	token, err := auth.Sign(testAuth, "alice", auth.Customer, time.Minute)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Last-Event-ID", "7")
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// TestStreamPassesThrough: each event arrives when it is sent, for longer than an ordinary answer may take, and when
// the client leaves, the service's request ends.
func TestStreamPassesThrough(t *testing.T) {
	t.Parallel()
	next, left := make(chan string), make(chan struct{})
	edge, _ := startStreams(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, "data:%s\n", r.Header.Get("Last-Event-ID"))
		for {
			_ = http.NewResponseController(w).Flush()
			select {
			case event := <-next:
				_, _ = fmt.Fprintf(w, "data:%s\n", event)
			case <-r.Context().Done():
				close(left)
				return
			}
		}
	})
	res := open(t, http.MethodGet, edge+streamPath)
	require.Equal(t, http.StatusOK, res.StatusCode)
	lines := bufio.NewReader(res.Body)
	read := func(want string) {
		t.Helper()
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "data:"+want+"\n", line)
	}
	read("7")
	for n := range 4 {
		time.Sleep(300 * time.Millisecond) // the subject is the time that passes: more than the server's time-outs
		next <- fmt.Sprint(n)
		read(fmt.Sprint(n))
	}
	require.NoError(t, res.Body.Close())
	<-left
}

// TestStreamEndsInOrder: when the gateway stops, the client gets the end of the answer and not a broken connection.
func TestStreamEndsInOrder(t *testing.T) {
	t.Parallel()
	left := make(chan struct{})
	edge, stop := startStreams(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, ":\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(left)
	})
	res := open(t, http.MethodGet, edge+streamPath)
	lines := bufio.NewReader(res.Body)
	_, err := lines.ReadString('\n')
	require.NoError(t, err)
	stop()
	_, err = lines.ReadString('\n')
	require.Equal(t, io.EOF, err, "an unexpected EOF is another error")
	<-left
}

// TestStreamThatDoesNotBegin: a service that does not begin its answer in time is a 504, and HEAD begins no stream.
func TestStreamThatDoesNotBegin(t *testing.T) {
	t.Parallel()
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.Header().Set("X-Seen", r.Method)
			return
		}
		<-r.Context().Done()
	}))
	t.Cleanup(behind.Close)
	transport := newTransport()
	t.Cleanup(transport.CloseIdleConnections)
	cfg, log := configured(t, before(behind.URL)), slog.New(slog.DiscardHandler)
	u, err := newUpstream("api", cfg.APIURL, cfg.Upstream, transport, newUpstreamMetrics(telemetry.NewRegistry()), log)
	require.NoError(t, err)
	p, err := newProxy(u, log)
	require.NoError(t, err)
	engine := gin.New()
	engine.GET("/", forwardStream(t.Context(), p, 50*time.Millisecond))
	edge := httptest.NewServer(engine)
	t.Cleanup(edge.Close)
	require.Equal(t, http.StatusGatewayTimeout, open(t, http.MethodGet, edge.URL).StatusCode)

	whole, _ := startStreams(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-Seen", r.Method) })
	require.Equal(t, http.MethodHead, open(t, http.MethodHead, whole+streamPath).Header.Get("X-Seen"))
}
