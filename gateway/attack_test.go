package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
	"holdfast/internal/httpx"
)

// recorder is a service that keeps the requests that reach it.
type recorder struct {
	mu   sync.Mutex
	seen []*http.Request
	body []string
}

func (r *recorder) handle(_ http.ResponseWriter, req *http.Request) {
	raw, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen, r.body = append(r.seen, req.Clone(req.Context())), append(r.body, string(raw))
}

// all returns what has reached the service, as "METHOD target", and forgets it.
func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, req := range r.seen {
		out = append(out, req.Method+" "+req.RequestURI)
	}
	r.seen, r.body = nil, nil
	return out
}

// last returns the headers of the last request.
func (r *recorder) last() http.Header {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[len(r.seen)-1].Header
}

// serve runs the gateway behind the server of the process, with its time-outs and its listener.
func serve(t *testing.T, cfg Config) string {
	t.Helper()
	cfg.Listen, cfg.PrivateListen = "127.0.0.1:0", "127.0.0.1:0"
	e := run(t, cfg)
	addr, done := make(chan string, 1), make(chan error, 1)
	ctx, stop := contextOf(t)
	go func() {
		done <- httpx.Server{
			Addr:     "127.0.0.1:0",
			Handler:  e.router,
			Health:   httpx.NewHealth(),
			Log:      discard,
			OnListen: func(a net.Addr) { addr <- a.String() },
		}.Serve(ctx)
	}()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-done)
	})
	return "http://" + <-addr
}

// TestForgedHeaders: nothing that a client writes into a header makes it another client, another path or another method
// for a service, also not by way of Connection, of underscores or of doubled lines.
func TestForgedHeaders(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	edge := start(t, r.handle)
	token, err := auth.Sign(testAuth, "alice", auth.Customer, time.Minute)
	require.NoError(t, err)
	forged := []string{
		"X-User-ID: admin", "X-User-Role: admin", "X-User-Email: a@b", "X_User_Id: admin", "X-Forwarded-User: admin",
		"X-Forwarded-For: 10.0.0.1", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https",
		"X-Forwarded-Port: 1", "X-Forwarded-Prefix: /admin", "Forwarded: for=10.0.0.1", "X-Real-IP: 10.0.0.1",
		"X-Client-IP: 10.0.0.1", "True-Client-IP: 10.0.0.1", "CF-Connecting-IP: 10.0.0.1", "X-Internal: 1",
		"X-Internal-Token: forged", "X-Original-URL: /admin/dlq", "X-Rewrite-URL: /admin/dlq",
		"X-HTTP-Method-Override: DELETE", "X-Method-Override: DELETE", "X-API-Key: stolen", "X-Actor: mallory",
		"X-Source-Service: worker", "Connection: X-Forwarded-For, X-Correlation-ID, Authorization, Upgrade",
		"Upgrade: h2c", "Keep-Alive: timeout=9", "Proxy-Authorization: Basic x", "Te: trailers", "Trailer: X-User-Id",
	}

	conn := dial(t, edge)
	_, err = fmt.Fprintf(conn, "GET /api/orders HTTP/1.1\r\nHost: shop.example\r\nAuthorization: Bearer %s\r\n%s\r\n\r\n",
		token, strings.Join(forged, "\r\n"))
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)

	seen := r.last()
	for _, line := range forged {
		name, value, _ := strings.Cut(line, ": ")
		for _, got := range seen.Values(name) {
			if name != "Te" { // which says that trailers are understood, and is the proxy's own
				require.NotEqual(t, value, got, name)
			}
		}
		require.NotContains(t, seen, "X_user_id")
	}
	require.Equal(t, []string{"127.0.0.1"}, seen.Values("X-Forwarded-For"))
	require.Equal(t, []string{"shop.example"}, seen.Values("X-Forwarded-Host"))
	require.Equal(t, []string{"http"}, seen.Values("X-Forwarded-Proto"))
	require.NotEmpty(t, seen.Get("X-Correlation-Id"))
	require.Equal(t, []string{"GET /api/orders"}, r.all())
}

// TestPathTricks: a path that a service could read as another one is refused, and reaches no service.
func TestPathTricks(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	edge := start(t, r.handle)
	token, err := auth.Sign(testAuth, "alice", auth.Customer, time.Minute)
	require.NoError(t, err)
	for _, target := range []string{
		"/api/orders/../../admin/dlq", "/api/orders/..", "/api/orders/.", "/api/./orders",
		"/api/orders/%2e%2e/%2e%2e/admin/dlq", "/api/orders/%2E%2E%2Fadmin", "/api/orders/..%2f..%2fadmin%2fdlq",
		"/api/orders/1%2Fpay", "/api/orders/1%2fpay", "/api/orders/1%5cpay", `/api/orders/1\..\..\admin`,
		"//api/orders", "/api//orders", "/api/orders//pay", "/api/orders/1;/pay", "/api/orders;a=b",
		"/api/orders/1%00", "/api/orders/1%0d%0aX-User-Id:1", "/api/orders/%7f", "http://other.example/api/orders",
	} {
		conn := dial(t, edge)
		_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n\r\n", target, token)
		require.NoError(t, err)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err, target)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusBadRequest, res.StatusCode, target)
		require.Equal(t, problemType, res.Header.Get("Content-Type"), target)
		require.Empty(t, r.all(), target)
	}

	// An encoded character with one meaning passes as it is.
	status, _, _ := customer(t)(http.MethodGet, edge+"/api/products/a%20b", "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, []string{"GET /api/products/a%20b"}, r.all())
}

// TestSmuggling: bytes that another server could read as a second request reach the service as the body of the first
// one, or not at all.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	edge := serve(t, configured(t, before(newBackend(t, "", r.handle).URL)))
	token, err := auth.Sign(testAuth, "alice", auth.Customer, time.Minute)
	require.NoError(t, err)
	const hidden = "GET /admin/dlq HTTP/1.1\r\nHost: a\r\n\r\n"
	head := fmt.Sprintf("POST /api/orders HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n", token)
	length := fmt.Sprint(len(hidden))
	for name, request := range map[string]string{
		"two lengths":             head + "Content-Length: 0\r\nContent-Length: " + length + "\r\n\r\n" + hidden,
		"two lengths in a line":   head + "Content-Length: 0, " + length + "\r\n\r\n" + hidden,
		"a sign":                  head + "Content-Length: +0\r\n\r\n" + hidden,
		"chunked, spelled oddly":  head + "Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n" + hidden,
		"chunked twice":           head + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + hidden,
		"two encodings":           head + "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"a space before a colon":  head + "Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + hidden,
		"a folded header":         head + "X: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n" + hidden,
		"a bare line feed":        head + "Content-Length: 0\nTransfer-Encoding: chunked\r\n\r\n" + hidden,
		"length and chunked":      head + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"a chunk with a bad end":  head + "Transfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n0\r\n\r\n" + hidden,
		"a length that is hidden": head + "X-A: b\r\nContent-Length: " + length + "\r\n\r\n" + hidden,
	} {
		conn := dial(t, edge)
		_, err := io.WriteString(conn, request)
		require.NoError(t, err)
		require.NoError(t, conn.CloseWrite())
		_, _ = io.Copy(io.Discard, conn) // every answer

		for _, reached := range r.all() {
			require.Equal(t, "POST /api/orders", reached, name)
		}
	}
}

// TestHeaderFloods: many headers are refused by number, and large ones by length, before a service is asked.
func TestHeaderFloods(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	edge := serve(t, configured(t, before(newBackend(t, "", r.handle).URL)))
	for _, flood := range []string{
		strings.Repeat("A: b\r\n", maxHeaders+1),
		strings.Repeat("Cookie: "+strings.Repeat("x", 1000)+"\r\n", 90),
		"A: " + strings.Repeat("x", 100<<10) + "\r\n",
	} {
		conn := dial(t, edge)
		_, _ = io.WriteString(conn, "GET /api/orders HTTP/1.1\r\nHost: a\r\n"+flood+"\r\n")
		status, body := answerOf(t, conn)
		require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, status, body)
		require.Contains(t, body, `"headers_too_large"`)
	}
	require.Empty(t, r.all())
}

// TestSlowHead: a client that does not finish its headers loses its connection.
func TestSlowHead(t *testing.T) {
	t.Parallel()
	edge := serve(t, configured(t, before(newBackend(t, "", answering("")).URL)))
	conn := dial(t, edge)
	start := time.Now()
	_, err := io.WriteString(conn, "GET /api/orders HTTP/1.1\r\nHost: a\r\nA: ")
	require.NoError(t, err)

	_, err = io.ReadAll(conn)
	require.NoError(t, err)
	require.WithinRange(t, time.Now(), start.Add(3*time.Second), start.Add(15*time.Second))
}

// TestOversizedBodies: a body above the limit is refused by its announced length, or where it passes the limit, and
// reaches no service.
func TestOversizedBodies(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	edge := serve(t, configured(t, before(newBackend(t, "", r.handle).URL)))
	token, err := auth.Sign(testAuth, "alice", auth.Customer, time.Minute)
	require.NoError(t, err)
	large := strings.Repeat("x", httpx.DefaultMaxBody+1)
	for name, request := range map[string]string{
		"announced": fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(large), large),
		"chunked":   fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(large), large),
	} {
		conn := dial(t, edge)
		_, err := fmt.Fprintf(conn, "POST /api/orders HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n%s", token, request)
		require.NoError(t, err, name)
		status, body := answerOf(t, conn)
		require.Equal(t, http.StatusRequestEntityTooLarge, status, name+body)
	}
	require.Empty(t, r.all())
}
