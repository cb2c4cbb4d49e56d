package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
	"holdfast/internal/service"
	"holdfast/internal/telemetry"
)

// contextOf returns a context that outlives the test until its clean-up, as that of a process.
func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(stop)
	return ctx, stop
}

// TestProcessDrains: when the process is told to stop, a request under way is answered, a new one is not accepted,
// and /ready at the private address says meanwhile that the gateway is stopping.
func TestProcessDrains(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	backend := newBackend(t, "", func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		_, _ = io.WriteString(w, "the answer")
	})
	answer := sync.OnceFunc(func() { close(release) })
	t.Cleanup(answer) // a test that fails must not leave the request waiting
	cfg := configured(t, before(backend.URL))
	cfg.Listen, cfg.PrivateListen = "127.0.0.1:0", "127.0.0.1:0"

	ctx, stop := contextOf(t)
	address, done, logs := make(chan string, 1), make(chan error, 1), &logBuffer{}
	go func() {
		done <- Run(contracts)(ctx, cfg, service.Env{
			Log:      telemetry.NewLogger(logs, "gateway", slog.LevelInfo),
			Registry: telemetry.NewRegistry(),
			OnListen: func(a net.Addr) { address <- a.String() },
		})
	}()
	public := "http://" + <-address
	var private string
	require.Eventually(t, func() bool {
		found := regexp.MustCompile(`listening for operators".*"address":"([^"]+)"`).FindStringSubmatch(logs.String())
		if found != nil {
			private = "http://" + found[1]
		}
		return found != nil
	}, 10*time.Second, 5*time.Millisecond)
	ready := func() (int, string) {
		res, err := http.Get(private + "/ready") //nolint:noctx // of this machine
		if err != nil {
			return 0, err.Error()
		}
		defer res.Body.Close() //nolint:errcheck // only read from
		var answer struct{ Status string }
		_ = json.NewDecoder(res.Body).Decode(&answer)
		return res.StatusCode, answer.Status
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	status, said := ready()
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "ready", said)

	ask := customer(t)
	answered := make(chan string, 1)
	go func() {
		status, body, _ := ask(http.MethodGet, public+"/api/orders", "")
		answered <- fmt.Sprint(status, " ", body)
	}()
	<-arrived
	stop()
	require.Eventually(t, func() bool {
		status, said := ready()
		return status == http.StatusServiceUnavailable && said == "stopping"
	}, 10*time.Second, 5*time.Millisecond)
	require.Eventually(t, func() bool {
		_, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", public[len("http://"):])
		return err != nil
	}, 10*time.Second, 5*time.Millisecond, "no new connection")
	answer()
	require.Equal(t, "200 the answer", <-answered)
	require.NoError(t, <-done)
}

// TestWebSocketPassesThrough: messages pass in both directions for longer than an ordinary answer may take. A route
// that is no stream does not leave HTTP, whatever the client asks for.
func TestWebSocketPassesThrough(t *testing.T) {
	t.Parallel()
	echo := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			_, _ = io.WriteString(w, "no upgrade")
			return
		}
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow() //nolint:errcheck // it is closed in order before
		for {
			kind, message, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, message); err != nil {
				return
			}
		}
	}
	edge, _ := startStreams(t, echo)
	token, err := auth.Sign(testAuth, "alice", auth.Customer, time.Minute)
	require.NoError(t, err)
	header := http.Header{"Authorization": {"Bearer " + token}}

	c, res, err := websocket.Dial(t.Context(), edge+streamPath, &websocket.DialOptions{HTTPHeader: header})
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, res.StatusCode)
	for n := range 4 {
		time.Sleep(300 * time.Millisecond) // the subject is the time that passes: more than the server's time-outs
		require.NoError(t, c.Write(t.Context(), websocket.MessageText, fmt.Append(nil, n)))
		_, got, err := c.Read(t.Context())
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(n), string(got))
	}
	require.NoError(t, c.Close(websocket.StatusNormalClosure, ""))

	_, res, err = websocket.Dial(t.Context(), edge+"/api/orders", &websocket.DialOptions{HTTPHeader: header})
	require.Error(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode)
}

// TestWebSocketEndsWithTheGateway: when the gateway stops, the connection ends.
func TestWebSocketEndsWithTheGateway(t *testing.T) {
	t.Parallel()
	edge, stop := startStreams(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow() //nolint:errcheck // the other side has gone
		_, _, _ = c.Read(r.Context())
	})
	token, err := auth.Sign(testAuth, "alice", auth.Customer, time.Minute)
	require.NoError(t, err)
	c, _, err := websocket.Dial(t.Context(), edge+streamPath, &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + token}},
	})
	require.NoError(t, err)
	stop()
	_, _, err = c.Read(t.Context())
	require.Error(t, err)
	require.NoError(t, t.Context().Err())
}

// TestSlowServiceIsA504: the answer has the code, and says what to do, which depends on the request.
func TestSlowServiceIsA504(t *testing.T) {
	t.Parallel()
	backend := newBackend(t, "", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	edge := run(t, configured(t, before(backend.URL)))
	ask := customer(t)
	for _, c := range []struct {
		method, path, key string
		least             time.Duration
		remedy            string
	}{
		{http.MethodGet, "/api/orders", "", 5 * time.Second, "send the same request again"},
		{http.MethodPost, "/api/inventory/reserve", "", 10 * time.Second, "look before you send it again"},
		{http.MethodPost, "/api/orders", "k", 15 * time.Second, "with the same Idempotency-Key"},
	} {
		t.Run(c.path, func(t *testing.T) {
			t.Parallel()
			var headers []string
			if c.key != "" {
				headers = []string{"Idempotency-Key", c.key}
			}
			start := time.Now()
			status, body, _ := ask(c.method, edge.url+c.path, "", headers...)
			require.Equal(t, http.StatusGatewayTimeout, status)
			require.Contains(t, body, `"upstream_timeout"`)
			require.Contains(t, body, c.remedy)
			require.WithinRange(t, time.Now(), start.Add(c.least), start.Add(c.least+4*time.Second))
		})
	}
}
