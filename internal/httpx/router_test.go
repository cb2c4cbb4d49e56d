package httpx

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"holdfast/internal/telemetry"
)

// startLimited serves a route that takes 10 bytes and another that takes 20.
func startLimited(t *testing.T) string {
	t.Helper()
	e := NewRouter(Options{
		Log:         slog.New(slog.DiscardHandler),
		Registry:    telemetry.NewRegistry(),
		Health:      NewHealth(),
		MaxBody:     10,
		LargeBodies: map[string]int64{"/large/:id": 20},
	})
	read := func(c *gin.Context) {
		body, err := io.ReadAll(c.Request.Body)
		if err != nil {
			Fail(c, err)
			return
		}
		c.String(http.StatusOK, "%d", len(body))
	}
	e.POST("/usual", read)
	e.POST("/large/:id", read)
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// say sends a head and a body over a new connection and returns the answer and its body.
func say(t *testing.T, addr, head string, body io.Reader) (*http.Response, string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))

	_, err = io.WriteString(conn, head)
	require.NoError(t, err)
	_, err = io.Copy(conn, body)
	require.NoError(t, err)

	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	got, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res, string(got)
}

// TestBodyLimits: each route has its own limit, with a Content-Length and without.
func TestBodyLimits(t *testing.T) {
	t.Parallel()
	addr := startLimited(t)
	for path, limit := range map[string]int{"/usual": 10, "/large/1": 20} {
		for _, chunked := range []bool{false, true} {
			for size, want := range map[int]int{limit: http.StatusOK, limit + 1: http.StatusRequestEntityTooLarge} {
				length := fmt.Sprintf("Content-Length: %d", size)
				body := strings.Repeat("x", size)
				if chunked {
					length = "Transfer-Encoding: chunked"
					body = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", size, body)
				}
				head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n\r\n", path, length)
				res, got := say(t, addr, head, strings.NewReader(body))
				require.Equal(t, want, res.StatusCode, "%s, %d bytes: %s", path, size, got)
			}
		}
	}
}

// TestTooLargeIsAnsweredBeforeTheBody: a client that sends "Expect: 100-continue" is refused before it sends the body.
// A client that sends the body at once can read the answer, although it reads only after it has sent everything.
func TestTooLargeIsAnsweredBeforeTheBody(t *testing.T) {
	t.Parallel()
	addr := startLimited(t)
	head := fmt.Sprintf("POST /usual HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n", maxDrain)
	for _, expect := range []string{"100-continue", "100-Continue", "100-continue, x"} {
		res, got := say(t, addr, head+"Expect: "+expect+"\r\n\r\n", strings.NewReader(""))
		require.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode, "a 100 would ask for the body")
		require.True(t, res.Close)
		require.Contains(t, got, "at most 10 bytes")
	}

	res, got := say(t, addr, head+"\r\n", strings.NewReader(strings.Repeat("x", maxDrain)))
	require.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode)
	require.Contains(t, got, "at most 10 bytes")
}

// TestStrictQuery: unknown parameters, and parts of a query that cannot be read, are refused and not ignored.
func TestStrictQuery(t *testing.T) {
	t.Parallel()
	contract, err := ReadContract([]byte(`
openapi: 3.0.3
info: { title: t, version: "1" }
paths:
  /things/{id}:
    parameters:
      - { name: id, in: path, required: true, schema: { type: string } }
      - { name: dry_run, in: query, schema: { type: boolean } }
    get: { responses: { default: { description: d } } }
    put:
      parameters: [{ name: limit, in: query, schema: { type: integer } }]
      responses: { default: { description: d } }
  /bare:
    get: { responses: { default: { description: d } } }
`))
	require.NoError(t, err)
	e := NewRouter(Options{Log: slog.New(slog.DiscardHandler), Registry: telemetry.NewRegistry(), Health: NewHealth()})
	group := e.Group("", contract.Parameters)
	for _, route := range []string{"GET /things/:id", "PUT /things/:id", "GET /bare", "GET /elsewhere"} {
		method, path, _ := strings.Cut(route, " ")
		group.Handle(method, path, func(c *gin.Context) { c.Status(http.StatusOK) })
	}

	for request, want := range map[string]string{
		"GET /things/1":                           "",
		"GET /things/1?":                          "",
		"GET /things/1?dry_run=true":              "",
		"GET /things/1?dryrun=true":               `there is no parameter \"dryrun\"; there are: dry_run`,
		"GET /things/1?DRY_RUN=true":              "there is no parameter",
		"GET /things/1?limit=1":                   "there is no parameter",
		"PUT /things/1?limit=1&dry_run=true&":     "",
		"PUT /things/1?dry_run=true&dry_run=true": "given twice",
		"GET /things/1?dry_run=1":                 "expected true or false",
		"PUT /things/1?limit=1e2":                 "expected an integer",
		"PUT /things/1?limit=01":                  "expected an integer",
		"PUT /things/1?limit=%2B1":                "expected an integer",
		"GET /bare?x":                             `there is no parameter \"x\"; this takes none`,
		"GET /bare?%FF=1":                         "parameters are UTF-8",
		"GET /elsewhere?x=%00":                    "parameters are UTF-8",
		"GET /elsewhere?x=1;":                     "cannot be read",
		"GET /elsewhere?%zz":                      "cannot be read",
		"GET /elsewhere?x=1&x=1":                  "given twice",
		"GET /things/1?dry_run=1;x":               "cannot be read",
		"GET /things/1?dry_run=%zz":               "cannot be read",
		"GET /elsewhere?x=1":                      "",
		"GET /bare?" + strings.Repeat("é", 99):    strings.Repeat("é", 32) + `\"`,
	} {
		method, target, _ := strings.Cut(request, " ")
		rec := httptest.NewRecorder()
		e.ServeHTTP(rec, httptest.NewRequest(method, target, nil))
		if want == "" {
			require.Equal(t, http.StatusOK, rec.Code, "%s: %s", request, rec.Body)
			continue
		}
		require.Equal(t, http.StatusBadRequest, rec.Code, "%s: %s", request, rec.Body)
		require.Contains(t, rec.Body.String(), want, request)
	}
}
