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

// How long a client may take to send a body, from when it is first read.
const (
	bodyTime      = 10 * time.Second
	largeBodyTime = 30 * time.Second
)

// largeAnswerTime is how long the answer of a route with large bodies may take, its body and its work included.
const largeAnswerTime = 2 * time.Minute

// maxDrain bounds, in bytes, what is read of a body that is refused for its size, where twice the limit is not more.
const maxDrain = 4 << 20

// guardBody bounds a request's body in size and time, refuses one that is compressed, and makes every fault of
// its transmission a BodyError, so that it is told to the client and not taken for a fault of ours.
func guardBody(usual int64, larger map[string]int64) gin.HandlerFunc {
	return func(c *gin.Context) {
		if coding := c.GetHeader("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
			c.Header("Accept-Encoding", "identity") // RFC 9110, 15.5.16: what would be taken
			Fail(c, problem.Common.New(problem.UnsupportedMedia, "send the body without a Content-Encoding").At("Content-Encoding"))
			return
		}
		limit, wait := usual, bodyTime
		if larger[c.FullPath()] > usual {
			limit, wait = larger[c.FullPath()], largeBodyTime
			// A recorder in a test has no deadline; every connection has.
			_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(largeAnswerTime))
		}
		if c.Request.ContentLength > limit {
			// Many clients read the answer only after they have sent all; so much of it is taken in. What
			// is left after that is not read, so the connection cannot be used again. A client that asks first
			// (RFC 9110, 10.1.1) is told before it sends anything: to read would be to say "continue".
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
				connection: http.NewResponseController(c.Writer), wait: wait,
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
	err        error // the first; what was read after it would not be the body
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
	// Past its end the body's deadline would end the handler: the server goes on reading, to see the client leave.
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

// BodyError says that a request's body did not arrive whole: the client, or what is between us, is at fault.
type BodyError struct {
	Cause error
	Wait  time.Duration // that the body had
}

func (e *BodyError) Error() string { return "read the request's body: " + e.Cause.Error() }

func (e *BodyError) Unwrap() error { return e.Cause }

// Problem tells it as 408 where the body did not come in time or the client left, else as 400.
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

// clientGone is the answer, for the log alone, to a client that closed its connection.
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
		read.Grow(int(min(announced, DefaultMaxBody)) + bytes.MinRead) // not more on the strength of a header
	}
	if _, err := read.ReadFrom(c.Request.Body); err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	return read.Bytes(), nil
}
