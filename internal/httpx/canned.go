package httpx

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"holdfast/internal/correlation"
	"holdfast/internal/problem"
)

// net/http itself answers bytes that it cannot read as a request, in plain text, and offers no hook. problemConn
// recognises these answers by their beginning: an answer of a handler always has a Date. If a new version of Go writes
// other answers, TestRequestsThatAreNoHTTP fails, and clients get the text of net/http.
const (
	cannedHead   = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
	expectFailed = "HTTP/1.1 417 " // net/http writes it like a handler's answer, without a body; no handler uses 417
)

// canned are the problems that replace the answers of net/http, by status.
var canned = map[int]struct {
	code   problem.Code
	detail string
}{
	http.StatusBadRequest: {
		problem.RequestMalformed,
		"the request is not valid HTTP/1.1; look at its first line, its Host and its other headers",
	},
	http.StatusExpectationFailed: {
		problem.ExpectationFail,
		"the only expectation that is understood is 100-continue",
	},
	http.StatusRequestHeaderFieldsTooLarge: {
		problem.HeadersTooLarge,
		"the headers may have at most 64 KiB; send shorter ones",
	},
	http.StatusNotImplemented: {
		problem.NotImplemented,
		"the only Transfer-Encoding that is understood is chunked",
	},
	http.StatusHTTPVersionNotSupported: {
		problem.VersionUnknown,
		"send the request as HTTP/1.1",
	},
}

// problemListener turns the answers that net/http itself writes into problem documents.
type problemListener struct {
	net.Listener
	log *slog.Logger
}

func (l problemListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		return &problemConn{tcp, l.log}, err
	}
	return c, err
}

// problemConn embeds *net.TCPConn and not net.Conn, so that the server can still answer by sendfile.
type problemConn struct {
	*net.TCPConn
	log *slog.Logger
}

// Write replaces the answers of net/http and passes on all others. An ordinary answer costs one comparison of its
// beginning.
func (c *problemConn) Write(p []byte) (int, error) {
	status, ours := cannedStatus(p)
	if !ours {
		return c.TCPConn.Write(p)
	}
	id := uuid.NewString()
	answer := problem.Common.New(canned[status].code, "%s", canned[status].detail)
	answer.CorrelationID = id
	body, err := json.Marshal(answer)
	if err != nil {
		return c.TCPConn.Write(p)
	}
	c.log.Info("a request could not be read as HTTP",
		"status", status, "remote", c.RemoteAddr().String(), "correlation_id", id)

	head := fmt.Sprintf("HTTP/1.1 %d %s\r\n%s: %s\r\n", status, http.StatusText(status), correlation.Header, id) +
		fmt.Sprintf("Content-Type: %s\r\nContent-Length: %d\r\n", problem.ContentType, len(body)) +
		"Connection: close\r\n\r\n"
	if _, err := c.TCPConn.Write(append([]byte(head), body...)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func cannedStatus(p []byte) (int, bool) {
	const before = len("HTTP/1.1 ")
	if len(p) < before+3 || p[before] < '4' { // most answers
		return 0, false
	}
	line := bytes.IndexByte(p, '\r')
	if line < 0 || !bytes.HasPrefix(p, []byte(expectFailed)) && !bytes.HasPrefix(p[line:], []byte(cannedHead)) {
		return 0, false
	}
	status, err := strconv.Atoi(string(p[before : before+3]))
	if err != nil || canned[status].code == "" || !bytes.HasPrefix(p, []byte("HTTP/1.")) {
		return 0, false
	}
	return status, true
}
