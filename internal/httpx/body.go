package httpx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"holdfast/internal/problem"
)

// How long a client may take to send a body, from the first read on.
const (
	bodyTime      = 10 * time.Second
	largeBodyTime = 30 * time.Second
)

// largeAnswerTime is how long a request of a route with large bodies may take: its body, its work and its answer.
const largeAnswerTime = 2 * time.Minute

// maxDrain is how much guardBody reads of a body that it refuses for its size, in bytes. If twice the route's limit is
// more, it reads that much.
const maxDrain = 4 << 20

// guardBody bounds a request's body in size and time and refuses a compressed body. It makes every fault of the
// transmission a BodyError, so that the client gets a 4xx answer and not a 500.
func guardBody(usual int64, larger map[string]int64) gin.HandlerFunc {
	return func(c *gin.Context) {
		if coding := c.GetHeader("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
			c.Header("Accept-Encoding", "identity") // RFC 9110, 15.5.16: the codings that the server accepts
			refused := problem.Common.New(problem.UnsupportedMedia, "send the body without a Content-Encoding")
			Fail(c, refused.At("Content-Encoding"))
			return
		}

		limit, wait := usual, bodyTime
		if larger[c.FullPath()] > usual {
			limit, wait = larger[c.FullPath()], largeBodyTime
			// The error is that of a test's recorder, which has no deadline; every connection has one.
			_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(largeAnswerTime))
		}
		if c.Request.ContentLength > limit {
			// Many clients read the answer only after they have sent the whole body, so the server reads a part of it.
			// It does not read the rest, so the connection cannot be used again. A client that sends an Expect header
			// (RFC 9110, 10.1.1) gets the answer before it sends the body: a read would send "100 Continue".
			if !strings.Contains(strings.ToLower(c.GetHeader("Expect")), "100-continue") {
				_, _ = io.CopyN(io.Discard, c.Request.Body, max(maxDrain, 2*limit))
			}
			c.Header("Connection", "close")
			Fail(c, &http.MaxBytesError{Limit: limit})
			return
		}
		if c.Request.Body != nil && c.Request.Body != http.NoBody {
			c.Request.Body = &body{
				ReadCloser: http.MaxBytesReader(c.Writer, c.Request.Body, limit),
				connection: http.NewResponseController(c.Writer),
				wait:       wait,
			}
		}
		c.Next()
	}
}

// body is a request's body with a deadline that runs from its first read until its end.
type body struct {
	io.ReadCloser
	connection *http.ResponseController
	wait       time.Duration
	reading    bool
	err        error // the first; every later Read returns it
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if !b.reading {
		b.reading = true
		_ = b.connection.SetReadDeadline(time.Now().Add(b.wait))
	}
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		return n, nil
	}
	// The server goes on reading after the body to notice when the client leaves. Without this reset, the deadline of
	// the body would end that read and with it the handler.
	_ = b.connection.SetReadDeadline(time.Time{})
	if b.err = err; !errors.Is(err, io.EOF) && !tooLarge(err) {
		b.err = &BodyError{Cause: err, Wait: b.wait}
	}
	return n, b.err
}

func tooLarge(err error) bool {
	var size *http.MaxBytesError
	return errors.As(err, &size)
}

// BodyError says that a request's body did not arrive whole: the client or the network is at fault.
type BodyError struct {
	Cause error
	Wait  time.Duration // how long the client had for the body
}

func (e *BodyError) Error() string { return "read the request's body: " + e.Cause.Error() }

func (e *BodyError) Unwrap() error { return e.Cause }

// Problem returns 408 if the body did not arrive in time or the client closed its connection, else 400.
func (e *BodyError) Problem() *problem.Problem {
	var timeout net.Error
	switch {
	case errors.As(e.Cause, &timeout) && timeout.Timeout():
		return problem.Common.New(problem.RequestTimeout, "the body did not arrive within %s; send the request again", e.Wait)
	case errors.Is(e.Cause, context.Canceled):
		return clientGone()
	case errors.Is(e.Cause, io.ErrUnexpectedEOF):
		return problem.Invalid("", "the body ended before its announced end; send the request again, whole")
	}
	return problem.Invalid("", "the body could not be read: its chunks are malformed, or the connection broke")
}

// clientGone is the answer to a client that has closed its connection; only the log shows it.
func clientGone() *problem.Problem {
	return problem.Common.New(problem.RequestTimeout, "the client closed the connection before the answer")
}

// ReadBody returns the whole body of a request. The error is a BodyError, or a *http.MaxBytesError.
func ReadBody(c *gin.Context) ([]byte, error) {
	if c.Request.Body == nil || c.Request.Body == http.NoBody {
		return nil, nil
	}
	var read bytes.Buffer
	if announced := c.Request.ContentLength; announced > 0 {
		read.Grow(int(min(announced, DefaultMaxBody)) + bytes.MinRead) // the client may announce more than it sends
	}
	if _, err := read.ReadFrom(c.Request.Body); err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	return read.Bytes(), nil
}
