package httpx

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"holdfast/internal/correlation"
	"holdfast/internal/problem"
)

// Problemer is implemented by typed errors that know how a client sees them.
type Problemer interface {
	error
	Problem() *problem.Problem
}

// Fail ends the request with a problem document made from err: a *problem.Problem or a Problemer anywhere in its chain,
// a body over its limit as 413, a client that has closed its connection as 408, a deadline as 503, and anything else as
// a 500 whose cause is only in the log.
func Fail(c *gin.Context, err error) {
	ctx := c.Request.Context()
	p := asProblem(ctx, err)
	p.CorrelationID = correlation.From(ctx)
	if p.Status >= 500 {
		_ = c.Error(err) // observe logs it
	}
	Annotate(c, "code", string(p.Code))
	if p.Field != "" {
		Annotate(c, "field", p.Field)
	}
	switch p.Status {
	case http.StatusServiceUnavailable:
		if c.Writer.Header().Get("Retry-After") == "" { // the caller may know better
			c.Header("Retry-After", "1")
		}
	case http.StatusRequestTimeout:
		c.Header("Connection", "close") // the rest of the body may still arrive
	case http.StatusUnauthorized:
		c.Header("WWW-Authenticate", `Bearer realm="holdfast"`)
	}
	body, merr := json.Marshal(p)
	if merr != nil {
		body = []byte(`{"type":"about:blank","title":"Something went wrong on our side",` +
			`"status":500,"code":"internal_error","retryable":true}`)
	}
	c.Abort()
	c.Data(p.Status, problem.ContentType, body)
}

// Seconds returns a duration in whole seconds, rounded up, and at least 1: the unit of Retry-After.
func Seconds(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(d.Seconds()))))
}

func asProblem(ctx context.Context, err error) *problem.Problem {
	var p *problem.Problem
	var typed Problemer
	var size *http.MaxBytesError
	switch {
	case errors.As(err, &size):
		return problem.Common.New(problem.BodyTooLarge, "the body may have at most %d bytes", size.Limit)
	case errors.As(err, &p):
		answer := *p // the error may be shared; the correlation id is this request's
		return &answer
	case errors.As(err, &typed):
		return typed.Problem()
	case errors.Is(ctx.Err(), context.Canceled):
		return clientGone()
	case errors.Is(err, context.DeadlineExceeded), ctx.Err() != nil:
		return problem.Common.New(problem.Unavailable, "the request could not be finished in time; "+
			"send the same request again, with its Idempotency-Key if it has one")
	default:
		return problem.Common.New(problem.Internal, "the request could not be processed; report the correlation id")
	}
}
