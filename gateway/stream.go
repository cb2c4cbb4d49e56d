package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"holdfast/internal/httpx"
	"holdfast/internal/problem"
)

// clientTime is how long a client may take for a part of a stream before it is cut off.
const clientTime = 10 * time.Second

// forwardStream forwards a request whose answer is a stream of events, or a change to another protocol such as
// WebSocket. The service has timeout to begin its answer, and the answer has no end. When stopping ends, the client
// gets the end of the answer, so that it can connect again.
//
// ReverseProxy passes on each part of a text/event-stream at once.
func forwardStream(stopping context.Context, p *proxy, timeout time.Duration) gin.HandlerFunc {
	return func(c *gin.Context) {
		call := &call{gin: c, client: clientOf(c), timeout: timeout, streamed: true}
		ctx, cancel := context.WithCancelCause(context.WithValue(c.Request.Context(), callKey{}, call))
		defer cancel(nil)
		overdue := time.AfterFunc(timeout, func() { cancel(context.DeadlineExceeded) })
		defer overdue.Stop()
		defer context.AfterFunc(stopping, func() { cancel(errStopping) })()
		defer call.annotate()

		out := c.Request.WithContext(ctx)
		out.Body, out.ContentLength, out.TransferEncoding = http.NoBody, 0, nil
		if httpx.IsHead(c.Request) {
			out.Method = http.MethodHead // a HEAD request has no body, so the service must not begin a stream
		}

		connection := http.NewResponseController(c.Writer)
		stream := *p.ReverseProxy // a copy, because the handlers need this request's values
		stream.ModifyResponse = func(res *http.Response) error {
			if !overdue.Stop() {
				return context.DeadlineExceeded
			}
			// Otherwise the deadline for the request's body would end the request.
			_ = connection.SetReadDeadline(time.Time{})
			if res.StatusCode != http.StatusSwitchingProtocols { // whose body is a connection
				res.Body = untilStop{res.Body, ctx}
			}
			return p.ModifyResponse(res)
		}
		stream.ErrorHandler = func(_ http.ResponseWriter, r *http.Request, err error) {
			if errors.Is(context.Cause(ctx), errStopping) {
				httpx.Fail(c, problem.Common.New(problem.Unavailable, "the gateway is stopping; connect again"))
				return
			}
			answerFailure(r, err)
		}
		stream.ServeHTTP(patient{c.Writer, connection}, out)
		_ = connection.SetWriteDeadline(time.Now().Add(clientTime)) // for the end of the answer
	}
}

// errStopping is the cause with which a stream ends when the gateway stops.
var errStopping = errors.New("the gateway is stopping")

// untilStop is a body that ends in order when the gateway stops, and not with an error that would break the connection.
type untilStop struct {
	io.ReadCloser
	request context.Context //nolint:containedctx // of the request whose answer it is
}

func (b untilStop) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && errors.Is(context.Cause(b.request), errStopping) {
		err = io.EOF
	}
	return n, err
}

// patient gives the client time for each part of the answer, instead of one deadline for all of it.
type patient struct {
	gin.ResponseWriter
	connection *http.ResponseController
}

func (w patient) Write(p []byte) (int, error) {
	_ = w.connection.SetWriteDeadline(time.Now().Add(clientTime)) // the error is that of a test's recorder
	return w.ResponseWriter.Write(p)
}
