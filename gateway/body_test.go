package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
	"holdfast/internal/httpx"
)

// dial opens a connection to the gateway, on which a test writes bytes that no HTTP client would send.
func dial(t *testing.T, edge string) *net.TCPConn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(edge, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	return conn.(*net.TCPConn) //nolint:forcetypeassert // of "tcp"
}

func answerOf(t *testing.T, conn net.Conn) (status int, body string) {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	raw, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, "application/problem+json", res.Header.Get("Content-Type"), string(raw))
	return res.StatusCode, string(raw)
}

// TestBodiesAreTheClients: on every route, a body that does not arrive whole is the client's fault, and the request
// reaches no service.
func TestBodiesAreTheClients(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	edge := start(t, func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		_, _ = io.Copy(w, r.Body)
	})
	token, err := auth.Sign(testAuth, "olga", auth.Operator, time.Minute)
	require.NoError(t, err)

	for _, route := range []string{
		"/api/orders", "/api/products/import", "/api/inventory/import", "/api/inventory/1/receive",
	} {
		head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n", route, token)
		for _, c := range []struct {
			rest   string
			shut   bool // the client ends its half of the connection
			detail string
		}{
			{"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", false, "chunks are malformed"},
			{"Transfer-Encoding: chunked\r\n\r\n2\r\n{}x\r\n0\r\n\r\n", false, "chunks are malformed"},
			{"Content-Length: 100\r\n\r\n{", true, "ended before its announced end"},
			{"Transfer-Encoding: chunked\r\n\r\n5\r\n{", true, "ended before its announced end"},
		} {
			conn := dial(t, edge)
			_, err := io.WriteString(conn, head+c.rest)
			require.NoError(t, err)
			if c.shut {
				require.NoError(t, conn.CloseWrite())
			}

			status, body := answerOf(t, conn)
			require.Equal(t, http.StatusBadRequest, status, "%s %s: %s", route, c.rest, body)
			require.Contains(t, body, c.detail)
			require.Contains(t, body, `"retryable":false`)
		}
	}
	require.Zero(t, reached.Load())
}

// TestBodyThatStalls: when a body stalls, the gateway answers 408, which blames the client and not the service.
func TestBodyThatStalls(t *testing.T) {
	t.Parallel()
	edge := start(t, func(http.ResponseWriter, *http.Request) {})
	token, err := auth.Sign(testAuth, "alice", auth.Customer, time.Minute)
	require.NoError(t, err)
	conn := dial(t, edge)
	_, err = fmt.Fprintf(conn,
		"POST /api/orders HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: 100\r\n\r\n{", token)
	require.NoError(t, err)

	status, body := answerOf(t, conn)
	require.Equal(t, http.StatusRequestTimeout, status, body)
	require.Contains(t, body, `"request_timeout"`)
}

// TestClientThatLeaves: when a client closes its connection, the service's request ends, and the gateway counts a 408
// and no 503.
func TestClientThatLeaves(t *testing.T) {
	t.Parallel()
	arrived, left := make(chan struct{}), make(chan struct{})
	behind := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(arrived)
		<-r.Context().Done()
		close(left)
	}))
	t.Cleanup(behind.Close)
	edge := run(t, configured(t, before(behind.URL)))

	token, err := auth.Sign(testAuth, "alice", auth.Customer, time.Minute)
	require.NoError(t, err)
	conn := dial(t, edge.url)
	_, err = fmt.Fprintf(conn,
		"POST /api/orders HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: 2\r\n\r\n{}", token)
	require.NoError(t, err)
	<-arrived
	require.NoError(t, conn.Close())
	<-left

	require.Eventually(t, func() bool {
		scrape := httptest.NewRecorder()
		httpx.OperatorHandler(edge.health, edge.metrics).ServeHTTP(scrape,
			httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
		require.NotContains(t, scrape.Body.String(), `status="503"`)
		return strings.Contains(scrape.Body.String(),
			`http_requests_total{method="POST",route="/api/orders",status="408"} 1`)
	}, 10*time.Second, 10*time.Millisecond)
}

// TestSlowServiceIsNotTheClients: when the body has arrived and the service does not answer, the gateway answers 504.
func TestSlowServiceIsNotTheClients(t *testing.T) {
	t.Parallel()
	edge := start(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	res := request(t, edge, "GET /api/orders", "", "alice", auth.Customer, nil)
	require.Equal(t, http.StatusGatewayTimeout, res.StatusCode)
}

// TestHeadAndOptions: HEAD reaches the service that answers GET, and its answer has no body. The gateway itself answers
// OPTIONS with the methods of the route.
func TestHeadAndOptions(t *testing.T) {
	t.Parallel()
	edge := start(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"8"`)
		if r.Header.Get("If-None-Match") == `"8"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = io.WriteString(w, "the answer")
	})

	for _, path := range []string{
		"/api/orders", "/api/orders/1", "/api/products/1", "/api/inventory/1", "/api/inventory/stats", "/docs/",
	} {
		res := request(t, edge, "HEAD "+path, "", "olga", auth.Operator, nil)
		require.Equal(t, http.StatusOK, res.StatusCode, path)
		require.Equal(t, `"8"`, res.Header.Get("ETag"), path)
		require.EqualValues(t, len("the answer"), res.ContentLength, path)
		res = request(t, edge, "GET "+path, "", "olga", auth.Operator, map[string]string{"If-None-Match": `"8"`})
		require.Equal(t, http.StatusNotModified, res.StatusCode, path)
	}

	for path, allow := range map[string]string{
		"/api/orders":            "GET, HEAD, OPTIONS, POST",
		"/api/products/1":        "DELETE, GET, HEAD, OPTIONS, PUT",
		"/api/products/import":   "OPTIONS, POST",
		"/api/inventory/import":  "OPTIONS, POST",
		"/api/inventory/reserve": "OPTIONS, POST",
		"/api/inventory/stats":   "GET, HEAD, OPTIONS",
	} {
		res := request(t, edge, "OPTIONS "+path, "", "", "", nil)
		require.Equal(t, http.StatusNoContent, res.StatusCode, path)
		require.Equal(t, allow, res.Header.Get("Allow"), path)
		res = request(t, edge, "PATCH "+path, "", "alice", auth.Customer, nil)
		require.Equal(t, http.StatusMethodNotAllowed, res.StatusCode, path)
		require.Equal(t, allow, res.Header.Get("Allow"), path)
	}
	res := request(t, edge, "GET /api/products/import", "", "olga", auth.Operator, nil)
	require.Equal(t, http.StatusMethodNotAllowed, res.StatusCode)
}
