package gateway

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
	"holdfast/internal/httpx"
)

func operators(e *edgeServer) http.Handler { return httpx.OperatorHandler(e.health, e.metrics) }

// TestOperatorsOnly: clients get neither the metrics nor the state of the dependencies.
func TestOperatorsOnly(t *testing.T) {
	t.Parallel()
	edge := run(t, configured(t, before(newBackend(t, "", answering("")).URL)))
	for _, path := range []string{"/startup", "/ready", "/metrics"} {
		require.Equal(t, http.StatusNotFound, request(t, edge.url, "GET "+path, "", "", "", nil).StatusCode, path)
		inside := httptest.NewRecorder()
		operators(edge).ServeHTTP(inside, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		require.Equal(t, http.StatusOK, inside.Code, path)
	}
	require.Equal(t, http.StatusOK, request(t, edge.url, "GET /health", "", "", "", nil).StatusCode)
}

// TestCrossOrigin: only web pages of the exact origins may use the interface, and they see its headers, also of a
// refusal. A preflight request needs no token.
func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	vars := before(newBackend(t, "", answering("")).URL)
	vars["CORS_ORIGINS"], vars["CORS_CREDENTIALS"] = "https://shop.example,http://localhost:5173", "true"
	edge := run(t, configured(t, vars))
	ask := func(route, origin string, more ...string) *http.Response {
		t.Helper()
		headers := map[string]string{"Origin": origin}
		for i := 0; i+1 < len(more); i += 2 {
			headers[more[i]] = more[i+1]
		}
		return request(t, edge.url, route, "", "", "", headers)
	}

	res := ask("OPTIONS /api/orders", "https://shop.example",
		"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,idempotency-key")
	require.Equal(t, http.StatusNoContent, res.StatusCode)
	require.Equal(t, "https://shop.example", res.Header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "POST", res.Header.Get("Access-Control-Allow-Methods"))
	require.Equal(t, "true", res.Header.Get("Access-Control-Allow-Credentials"))
	require.NotEmpty(t, res.Header.Get("X-Correlation-Id"))

	res = ask("GET /api/orders", "http://localhost:5173")
	require.Equal(t, http.StatusUnauthorized, res.StatusCode)
	require.Equal(t, "http://localhost:5173", res.Header.Get("Access-Control-Allow-Origin"))
	require.Contains(t, res.Header.Get("Access-Control-Expose-Headers"), "Retry-After")
	require.Contains(t, res.Header.Values("Vary"), "Origin")

	for _, origin := range []string{
		"https://SHOP.example", "https://shop.example.evil.example", "http://shop.example", "https://shop.example:8443",
		"null", "https://evil.example",
	} {
		require.Empty(t, ask("GET /api/orders", origin).Header.Get("Access-Control-Allow-Origin"), origin)
		res := ask("OPTIONS /api/orders", origin, "Access-Control-Request-Method", "POST")
		require.Empty(t, res.Header.Get("Access-Control-Allow-Origin"), origin)
	}
	require.Equal(t, "GET, HEAD, OPTIONS, POST", ask("OPTIONS /api/orders", "https://shop.example").Header.Get("Allow"))

	for _, wrong := range []string{
		"*", "https://*.shop.example", "shop.example", "https://shop.example/", "https://Shop.example",
	} {
		require.Error(t, CORSConfig{Origins: []string{wrong}}.Validate(), wrong)
	}
}

// TestAnswersAreCompressed: an answer above 1 KB gets smaller by what the client accepts; a short one, a stream of
// events and what is compressed already do not change. The ETag is the service's own.
func TestAnswersAreCompressed(t *testing.T) {
	t.Parallel()
	long := `[` + strings.Repeat(`{"order_id":"3a3bd0c1","status":"reserved"},`, 100) + `{}]`
	edge := start(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"8"`)
		switch r.URL.Query().Get("what") {
		case "":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, long)
		case "short":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, long[:compressFrom-1])
		case "binary":
			w.Header().Set("Content-Type", "application/octet-stream")
			_, _ = io.WriteString(w, long)
		case "events":
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, long)
		case "done":
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "br")
			_, _ = io.WriteString(w, long)
		}
	})
	for _, c := range []struct{ query, accept, coding string }{
		{"", "gzip", "gzip"},
		{"", "gzip, deflate, br, zstd", "zstd"},
		{"", "zstd;q=0.1, gzip", "gzip"},
		{"", "gzip;q=0", ""},
		{"", "", ""},
		{"?what=short", "gzip", ""},
		{"?what=binary", "gzip", ""},
		{"?what=events", "gzip", ""},
		{"?what=done", "gzip", "br"},
	} {
		name := c.query + " " + c.accept
		status, body, header := customer(t)(http.MethodGet, edge+"/api/orders"+c.query, "", "Accept-Encoding", c.accept)
		require.Equal(t, http.StatusOK, status, name)
		require.Equal(t, c.coding, header.Get("Content-Encoding"), name)
		require.Equal(t, `"8"`, header.Get("ETag"), name)
		require.Contains(t, header.Values("Vary"), "Accept-Encoding", name)
		plain := body
		switch c.coding {
		case "gzip":
			require.Less(t, len(body), len(long)/2)
			r, err := gzip.NewReader(strings.NewReader(body))
			require.NoError(t, err)
			raw, err := io.ReadAll(r)
			require.NoError(t, err)
			plain = string(raw)
		case "zstd":
			require.Less(t, len(body), len(long)/2)
			r, err := zstd.NewReader(strings.NewReader(body))
			require.NoError(t, err)
			raw, err := io.ReadAll(r)
			require.NoError(t, err)
			r.Close()
			plain = string(raw)
		}
		if c.query != "?what=short" {
			require.Equal(t, long, plain, name)
		}
	}
	res := request(t, edge, "HEAD /api/orders", "", "alice", auth.Customer, map[string]string{"Accept-Encoding": "gzip"})
	require.EqualValues(t, len(long), res.ContentLength)
}

// TestHeadersOfAnswers: every answer has the security headers once, the time and the correlation id; also a refusal,
// and an answer of a service that sets them itself.
func TestHeadersOfAnswers(t *testing.T) {
	t.Parallel()
	service := newBackend(t, "", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Frame-Options", "ALLOWALL")
		w.Header().Set("Server", "inside/1.0")
	})
	vars := before(service.URL)
	vars["TRUSTED_PROXIES"] = "127.0.0.1"
	edge := run(t, configured(t, vars))
	for _, c := range []struct {
		route  string
		status int
	}{
		{"GET /api/orders", http.StatusOK},
		{"GET /nowhere", http.StatusNotFound},
		{"GET /docs/", http.StatusOK},
		{"PATCH /api/orders", http.StatusMethodNotAllowed},
	} {
		res := as(t, "alice", edge.url, c.route, map[string]string{"X-Correlation-ID": "my-id-1"})
		require.Equal(t, c.status, res.StatusCode, c.route)
		require.Equal(t, []string{"nosniff"}, res.Header.Values("X-Content-Type-Options"), c.route)
		require.Equal(t, []string{"DENY"}, res.Header.Values("X-Frame-Options"), c.route)
		require.Equal(t, []string{"no-referrer"}, res.Header.Values("Referrer-Policy"), c.route)
		require.Len(t, res.Header.Values("Content-Security-Policy"), 1, c.route)
		require.Regexp(t, `^\d+\.\d{3}ms$`, res.Header.Get("X-Response-Time"), c.route)
		require.Equal(t, []string{"my-id-1"}, res.Header.Values("X-Correlation-Id"), c.route)
		require.Empty(t, res.Header.Get("Server"), c.route)
		require.Empty(t, res.Header.Get("Strict-Transport-Security"), c.route)
	}
	docs := as(t, "alice", edge.url, "GET /docs/", nil)
	require.Contains(t, docs.Header.Get("Content-Security-Policy"), "script-src 'self'")
	tls := map[string]string{"X-Forwarded-Proto": "https"}
	require.NotEmpty(t, as(t, "alice", edge.url, "GET /api/orders", tls).Header.Get("Strict-Transport-Security"))
}

// TestAccessLog: an entry says who asked what and which instance answered, and has neither token nor key nor query.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	service := newBackend(t, "", answering(""))
	edge := run(t, configured(t, before(service.URL)))
	res := as(t, "alice", edge.url, "GET /api/orders?status=secret-query", map[string]string{
		"X-API-Key": "secret-key", "Cookie": "secret-cookie", "Idempotency-Key": "secret-idempotency",
	})
	require.Equal(t, http.StatusOK, res.StatusCode)

	log := edge.logs.String()
	for _, part := range []string{
		`"msg":"request"`, `"method":"GET"`, `"path":"/api/orders"`, `"status":200`, `"client_network":"127.0.0.0/24"`,
		`"instance":"` + service.Listener.Addr().String() + `"`, `"attempts":1`, `"duration_ms":`, `"correlation_id":`,
	} {
		require.Contains(t, log, part)
	}
	require.NotContains(t, log, "secret")
	require.NotContains(t, log, "Bearer")
	require.NotContains(t, log, "eyJ", "the beginning of a token")
}
