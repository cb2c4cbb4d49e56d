package gateway

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"holdfast/internal/httpx"
	"holdfast/internal/problem"
)

// maxHeaders is how many header lines a request may have. net/http bounds only their length together.
const maxHeaders = 100

// strict is a middleware that refuses a request that two servers could read in two ways, or that is an attack on a
// server's memory. Everything else about the meaning of requests is in httpx.
func strict(c *gin.Context) {
	lines := 0
	for _, values := range c.Request.Header {
		lines += len(values)
	}
	if lines > maxHeaders {
		httpx.Fail(c, problem.Common.New(problem.HeadersTooLarge,
			"the request has %d headers; send at most %d", lines, maxHeaders))
		return
	}
	if fault := ambiguous(c.Request); fault != "" {
		httpx.Fail(c, problem.Invalid("", "the path %s; send the path as the API's contract has it", fault))
		return
	}
	c.Next()
}

// ambiguous says why a path has more than one reading: a server that decodes or normalises it could find another
// route in it than the gateway has checked. It returns "" for a path that has one reading.
func ambiguous(r *http.Request) string {
	if r.URL.Host != "" || !strings.HasPrefix(r.URL.Path, "/") { // CONNECT, OPTIONS *, or a request to a forward proxy
		return "must be a path of this server"
	}
	if strings.Contains(r.URL.Path, "//") {
		return "has an empty segment"
	}
	for _, c := range r.URL.Path {
		if c < ' ' || c == 0x7f || c == '\\' || c == ';' {
			return "has a control character, a backslash or a semicolon"
		}
	}
	for segment := range strings.SplitSeq(r.URL.Path, "/") {
		if segment == "." || segment == ".." {
			return "has . or .. as a segment"
		}
	}
	if r.URL.RawPath != "" { // it is only set if the path is written in another way than Go would
		raw := strings.ToLower(r.URL.RawPath)
		if strings.Contains(raw, "%2f") || strings.Contains(raw, "%5c") {
			return "has an encoded slash"
		}
	}
	return ""
}
