package gateway

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

// securityHeaders tell browsers to do as little as possible with an answer of the interface.
var securityHeaders = map[string]string{
	"Content-Security-Policy":      "default-src 'none'; frame-ancestors 'none'",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Referrer-Policy":              "no-referrer",
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
}

// docsPolicy is the Content-Security-Policy of the documentation: Swagger UI has its own scripts and styles, draws with
// inline styles and data: images, and asks this server.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"font-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// secure is a middleware that sets the security headers, and the time until the answer began.
func secure(c *gin.Context) {
	h := c.Writer.Header()
	for name, value := range securityHeaders {
		h[name] = []string{value}
	}
	if path := c.Request.URL.Path; path == "/docs" || strings.HasPrefix(path, "/docs/") {
		h.Set("Content-Security-Policy", docsPolicy)
	}
	if clientOf(c).secure { // over plain HTTP browsers ignore it
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	c.Writer = &timed{ResponseWriter: c.Writer, start: time.Now()}
	c.Next()
}

// timed sets X-Response-Time when the answer begins: the time since the request's head, in milliseconds.
type timed struct {
	gin.ResponseWriter
	start time.Time
}

func (w *timed) stamp() {
	if !w.Written() {
		ms := float64(time.Since(w.start).Microseconds()) / 1000
		w.Header()["X-Response-Time"] = []string{strconv.FormatFloat(ms, 'f', 3, 64) + "ms"}
	}
}

func (w *timed) WriteHeader(code int) {
	w.stamp()
	w.ResponseWriter.WriteHeader(code)
}

func (w *timed) WriteHeaderNow() {
	w.stamp()
	w.ResponseWriter.WriteHeaderNow()
}

func (w *timed) Write(p []byte) (int, error) {
	w.stamp()
	return w.ResponseWriter.Write(p)
}

func (w *timed) WriteString(s string) (int, error) {
	w.stamp()
	return w.ResponseWriter.WriteString(s)
}

func (w *timed) Flush() {
	w.stamp()
	w.ResponseWriter.Flush()
}

// Unwrap lets http.ResponseController reach the connection.
func (w *timed) Unwrap() http.ResponseWriter { return w.ResponseWriter }
