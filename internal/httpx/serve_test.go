package httpx

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"holdfast/internal/problem"
	"holdfast/internal/telemetry"
)

// serve runs a real server, as the processes do, and returns its address.
func serve(t *testing.T, routes func(*Router), answer time.Duration) string {
	t.Helper()
	health := NewHealth()
	router := NewRouter(Options{Log: slog.New(slog.DiscardHandler), Registry: telemetry.NewRegistry(), Health: health})
	routes(router)

	ctx, stop := context.WithCancel(t.Context())
	addr, done := make(chan string, 1), make(chan error, 1)
	go func() {
		done <- Server{
			Addr:       "127.0.0.1:0",
			Handler:    router,
			Health:     health,
			Log:        slog.New(slog.DiscardHandler),
			OnListen:   func(a net.Addr) { addr <- a.String() },
			answerTime: answer,
		}.Serve(ctx)
	}()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-done)
	})
	return <-addr
}

// sampleRoutes adds routes that decode a body and a route without a body.
func sampleRoutes(e *Router) {
	decode := func(c *gin.Context) {
		var in sample
		if err := DecodeJSON(c, &in); err != nil {
			Fail(c, err)
			return
		}
		c.JSON(http.StatusOK, in)
	}
	e.POST("/things", decode)
	e.GET("/things/:id", func(c *gin.Context) { c.String(http.StatusOK, "thing") })
	e.POST("/things/:id", decode)
	e.PUT("/things/import", decode)
}

func askProblem(t *testing.T, addr, request string) (*http.Response, problem.Problem) {
	t.Helper()
	res, body := say(t, addr, request, strings.NewReader(""))
	require.Equal(t, problem.ContentType, res.Header.Get("Content-Type"), "%s\n%s", request, body)
	var p problem.Problem
	require.NoError(t, json.Unmarshal([]byte(body), &p), "%s\n%s", request, body)
	require.Equal(t, res.StatusCode, p.Status, request)
	require.NotEmpty(t, p.CorrelationID, request)
	require.Equal(t, p.CorrelationID, res.Header.Get("X-Correlation-ID"), request)
	return res, p
}

// TestRequestsThatAreNoHTTP: the answers that net/http itself writes reach the client as problem documents.
func TestRequestsThatAreNoHTTP(t *testing.T) {
	t.Parallel()
	addr := serve(t, sampleRoutes, 0)
	for request, want := range map[string]problem.Code{
		"GARBAGE\r\n\r\n": problem.RequestMalformed,
		// This request has no Host.
		"GET /things/1 HTTP/1.1\r\n\r\n":                                                     problem.RequestMalformed,
		"GET /things/1 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n":                               problem.RequestMalformed,
		"GET /things/1 HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n":                            problem.RequestMalformed,
		"GET /things/%zz HTTP/1.1\r\nHost: a\r\n\r\n":                                        problem.RequestMalformed,
		"POST /things HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n":                     problem.RequestMalformed,
		"POST /things HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n": problem.RequestMalformed,
		"POST /things HTTP/1.1\r\nHost: a\r\nExpect: 200-maybe\r\n\r\n":                      problem.ExpectationFail,
		"POST /things HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n":                problem.NotImplemented,
		"GET /things/1 HTTP/9.9\r\nHost: a\r\n\r\n":                                          problem.VersionUnknown,
		"GET /things/1 HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 80<<10):             problem.HeadersTooLarge,
	} {
		res, p := askProblem(t, addr, request)
		require.Equal(t, want, p.Code, request)
		require.Equal(t, problem.Common[want].Status, res.StatusCode, request)
		require.True(t, res.Close, request)
	}
}

// TestBodiesThatDoNotArrive: a fault in the transmission of a body is answered 4xx, and the answer names the fault.
func TestBodiesThatDoNotArrive(t *testing.T) {
	t.Parallel()
	addr := serve(t, sampleRoutes, 0)
	const head = "POST /things HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
	for request, detail := range map[string]string{
		head + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n":             "chunks are malformed",
		head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}x\r\n0\r\n":   "chunks are malformed",
		head + "Transfer-Encoding: chunked\r\n\r\n-1\r\n":              "chunks are malformed",
		head + "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}": "without a Content-Encoding",
		head + "Idempotency-Key: a\r\nIdempotency-Key: b\r\n\r\n":      "Idempotency-Key is given 2 times",
		head + "Content-Type: text/csv\r\nContent-Length: 0\r\n\r\n":   "Content-Type is given 2 times",
		head + "Authorization: a\r\nAuthorization: b\r\n\r\n":          "Authorization is given 2 times",
		head + "If-Match: \"1\"\r\nIf-Match: \"2\"\r\n\r\n":            "If-Match is given 2 times",
	} {
		res, p := askProblem(t, addr, request)
		require.Contains(t, p.Detail, detail, request)
		require.Less(t, res.StatusCode, 500, request)
	}

	res, p := askProblem(t, addr, head+"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}")
	require.Equal(t, http.StatusUnsupportedMediaType, res.StatusCode)
	require.Equal(t, "identity", res.Header.Get("Accept-Encoding"))
	require.Equal(t, "Content-Encoding", p.Field)

	// The same value twice has one meaning.
	twice, raw := say(t, addr, head+"Content-Type: application/json\r\n"+
		"Idempotency-Key: a\r\nIdempotency-Key: a\r\n"+
		"Connection: close\r\nContent-Length: 2\r\n\r\n{}", strings.NewReader(""))
	require.Equal(t, http.StatusOK, twice.StatusCode, raw)

	// A short body: the client stops writing and goes on reading.
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	require.NoError(t, err)
	defer conn.Close() //nolint:errcheck // only read from
	_, err = io.WriteString(conn, head+"Content-Length: 100\r\n\r\n{")
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	short, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer short.Body.Close() //nolint:errcheck // only read from

	require.Equal(t, http.StatusBadRequest, short.StatusCode)
	body, err := io.ReadAll(short.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), "ended before its announced end")
}

// TestBodyThatStalls: a body that does not arrive in time is answered 408, and the handler still has time to answer.
func TestBodyThatStalls(t *testing.T) {
	t.Parallel()
	addr := serve(t, sampleRoutes, 0)
	start := time.Now()
	res, p := askProblem(t, addr, "POST /things HTTP/1.1\r\nHost: a\r\n"+
		"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{")

	require.Equal(t, http.StatusRequestTimeout, res.StatusCode)
	require.Equal(t, problem.RequestTimeout, p.Code)
	require.True(t, p.Retryable)
	require.True(t, res.Close)
	require.WithinRange(t, time.Now(), start.Add(bodyTime), start.Add(bodyTime+5*time.Second))
}

// TestMethods: every GET has a HEAD, every path has OPTIONS, and a fixed path has only its own methods.
func TestMethods(t *testing.T) {
	t.Parallel()
	addr := serve(t, sampleRoutes, 0)
	for _, c := range []struct {
		request string
		status  int
		allow   string
	}{
		{"HEAD /things/1", 200, ""},
		{"HEAD /health", 200, ""},
		{"HEAD /nowhere", 404, ""},
		{"HEAD /things", 405, "OPTIONS, POST"},
		{"OPTIONS /things/1", 204, "GET, HEAD, OPTIONS, POST"},
		{"OPTIONS /things", 204, "OPTIONS, POST"},
		{"OPTIONS /nowhere", 404, ""},
		{"DELETE /things/1", 405, "GET, HEAD, OPTIONS, POST"},
		{"BREW /things/1", 405, "GET, HEAD, OPTIONS, POST"},
		{"GET /things/import", 405, "OPTIONS, PUT"},
		{"HEAD /things/import", 405, "OPTIONS, PUT"},
		{"OPTIONS /things/import", 204, "OPTIONS, PUT"},
		{"POST /health", 405, "GET, HEAD, OPTIONS"},
	} {
		method, path, _ := strings.Cut(c.request, " ")
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, nil)
		require.NoError(t, err)
		req.Close = true
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())

		require.Equal(t, c.status, res.StatusCode, c.request)
		require.Equal(t, c.allow, res.Header.Get("Allow"), c.request)
		if method == http.MethodHead {
			require.Empty(t, body, c.request)
			require.Positive(t, res.ContentLength, c.request)
		}
	}
}

// TestAnswerThatIsNotRead: the handler ends although the client reads nothing of the answer.
func TestAnswerThatIsNotRead(t *testing.T) {
	t.Parallel()
	ended := make(chan time.Time, 1)
	addr := serve(t, func(e *Router) {
		e.GET("/endless", func(c *gin.Context) {
			block := make([]byte, 1<<20)
			for {
				if _, err := c.Writer.Write(block); err != nil {
					ended <- time.Now()
					return
				}
			}
		})
	}, time.Second)

	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	require.NoError(t, err)
	defer conn.Close() //nolint:errcheck // the test does not read from it
	start := time.Now()
	_, err = io.WriteString(conn, "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
	require.NoError(t, err)

	select {
	case at := <-ended:
		require.WithinRange(t, at, start.Add(time.Second/2), start.Add(10*time.Second))
	case <-time.After(20 * time.Second):
		t.Fatal("the handler still writes")
	}
}
