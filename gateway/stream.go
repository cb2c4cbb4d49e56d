package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"time"

	"github.com/gin-gonic/gin"

	"holdfast/internal/httpx"
	"holdfast/internal/problem"
)

// clientTime is how long a client may take for a part of a stream before it is cut off.
const clientTime = 10 * time.Second

// forwardStream forwards a request whose answer is a stream of events. The service has timeout to begin its answer, and
// the answer has no end. When stopping ends, the client gets the end of the answer, so that it can connect again.
//
// ReverseProxy passes on each part of a text/event-stream at once.
func forwardStream(stopping context.Context, p *httputil.ReverseProxy, timeout time.Duration) gin.HandlerFunc {
	return func(c *gin.Context) {
		ctx, cancel := context.WithCancelCause(c.Request.Context())
		defer cancel(nil)
		late := time.AfterFunc(timeout, func() { cancel(context.DeadlineExceeded) })
		defer late.Stop()
		defer context.AfterFunc(stopping, func() { cancel(errStopping) })()

		out := c.Request.WithContext(ctx)
		out.Body, out.ContentLength, out.TransferEncoding = http.NoBody, 0, nil
		if httpx.IsHead(c.Request) {
			out.Method = http.MethodHead // a HEAD request has no body, so the service must not begin a stream
		}

		connection := http.NewResponseController(c.Writer)
		requestProxy := *p // a copy, because the handlers need this request's values
		requestProxy.ModifyResponse = func(res *http.Response) error {
			if !late.Stop() {
				return context.DeadlineExceeded
			}
			// Otherwise the deadline for the request's body would end the request.
			_ = connection.SetReadDeadline(time.Time{})
			res.Body = untilStop{res.Body, ctx}
			return p.ModifyResponse(res)
		}
		requestProxy.ErrorHandler = func(_ http.ResponseWriter, _ *http.Request, err error) {
			switch cause := context.Cause(ctx); {
			case errors.Is(cause, context.DeadlineExceeded):
				err = problem.Common.New(problem.UpstreamTimeout, "the service did not answer within %s; connect again", timeout)
			case errors.Is(cause, errStopping):
				err = problem.Common.New(problem.Unavailable, "the gateway is stopping; connect again")
			default:
				err = upstreamProblem(ctx, err, timeout)
			}
			httpx.Fail(c, err)
		}
		requestProxy.ServeHTTP(patient{c.Writer, connection}, out)
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
