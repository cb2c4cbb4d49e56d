package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"holdfast/internal/breaker"
	"holdfast/internal/correlation"
	"holdfast/internal/httpx"
	"holdfast/internal/problem"
	"holdfast/internal/servicekey"
	"holdfast/internal/servicetoken"
)

// call is one request on its way to a service.
type call struct {
	gin      *gin.Context
	client   client
	timeout  time.Duration // of the whole call, retries included
	streamed bool          // the answer has no end

	attempts int    // so far
	instance string // of the last attempt
}

type callKey struct{}

// callOf returns the call of a request's context.
func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// annotate adds to the access log where the request went.
func (c *call) annotate() {
	if c.attempts > 0 {
		httpx.Annotate(c.gin, "instance", c.instance, "attempts", c.attempts)
	}
}

// proxy forwards requests to one service.
type proxy struct {
	*httputil.ReverseProxy
	compressed http.Handler // the same, with compressed answers
}

// identityHeaders are the headers that only our own services may set. The gateway removes them from clients' requests,
// and the client's own token, which is for the gateway only.
var identityHeaders = []string{
	"Authorization", servicetoken.Header, servicekey.Header, servicekey.SourceHeader, actorHeader,
	"Traceparent", "Tracestate", "Baggage", // a client does not decide what is traced
}

// identityPrefixes begin the names of further ones: of identities, of the client's address, and of other paths and
// methods, which some servers believe before the request's own.
var identityPrefixes = []string{
	"X-User-", "X-Forwarded-", "X-Internal", "X-Original-", "X-Rewrite-", "X-Real-", "X-Client-", "X-Http-Method",
	"X-Method-Override", "True-Client-", "Cf-Connecting-", "Forwarded",
}

// newProxy returns a proxy for a service. It sends along for whom the gateway vouches (voucher).
//
// Headers are set in Rewrite, because ReverseProxy removes the headers that a client lists in Connection before it
// calls Rewrite. So a client cannot remove one of our headers.
func newProxy(u *upstream, log *slog.Logger) (*proxy, error) {
	reverse := &httputil.ReverseProxy{
		Transport: u,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.Host = "" // that of the instance
			strip(r.Out.Header)
			call := callOf(r.In.Context())
			if !call.streamed { // no other route may leave HTTP
				r.Out.Header.Del("Connection")
				r.Out.Header.Del("Upgrade")
			}
			if call.client.address.IsValid() {
				r.Out.Header.Set("X-Forwarded-For", call.client.address.String())
			}
			r.Out.Header.Set("X-Forwarded-Host", r.In.Host)
			r.Out.Header.Set("X-Forwarded-Proto", call.client.proto)
			r.Out.Header.Set(correlation.Header, correlation.From(r.In.Context()))
			nameUser(r)
		},
		// The gateway has set these headers already. Without this, the client would get them twice.
		ModifyResponse: func(res *http.Response) error {
			res.Header.Del(correlation.Header)
			res.Header.Del("Server")
			for name := range securityHeaders {
				res.Header.Del(name)
			}
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) { answerFailure(r, err) },
		BufferPool:   copyBuffers,
		ErrorLog:     slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	compress, err := newCompression()
	if err != nil {
		return nil, err
	}
	return &proxy{ReverseProxy: reverse, compressed: compress(reverse)}, nil
}

// strip removes the headers that clients must not set. It also removes every header with an underscore, because some
// servers read X_User_Id as X-User-Id.
func strip(h http.Header) {
	for _, name := range identityHeaders {
		h.Del(name)
	}
	for name := range h {
		if strings.Contains(name, "_") {
			delete(h, name)
			continue
		}
		for _, prefix := range identityPrefixes {
			if strings.HasPrefix(name, prefix) {
				delete(h, name)
				break
			}
		}
	}
}

// forward sends the request to the service and waits for the answer until timeout. It reads the whole body first, so
// that a client that sends slowly does not use up the service's time, and so that the request can be sent again.
func forward(p *proxy, timeout time.Duration) gin.HandlerFunc {
	return func(c *gin.Context) {
		body, err := httpx.ReadBody(c)
		if err != nil {
			httpx.Fail(c, err)
			return
		}

		call := &call{gin: c, client: clientOf(c), timeout: timeout}
		ctx, cancel := context.WithTimeout(c.Request.Context(), timeout)
		defer cancel()
		defer call.annotate()

		out := c.Request.WithContext(context.WithValue(ctx, callKey{}, call))
		out.Body, out.GetBody, out.ContentLength, out.TransferEncoding = http.NoBody, nil, int64(len(body)), nil
		if len(body) > 0 {
			out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
			out.Body, _ = out.GetBody()
		}
		if httpx.IsHead(c.Request) { // its answer has the length of the plain body
			p.ServeHTTP(c.Writer, out)
			return
		}
		p.compressed.ServeHTTP(c.Writer, out)
	}
}

// answerFailure answers a request that the service did not answer.
func answerFailure(r *http.Request, err error) {
	call := callOf(r.Context())
	var open *breaker.OpenError
	switch {
	case errors.As(err, &open):
		call.gin.Header("Retry-After", httpx.Seconds(open.RetryAfter))
		err = refused(open)
	case late(r.Context()):
		err = problem.Common.New(problem.UpstreamTimeout,
			"the service did not answer within %s; %s", call.timeout, remedy(r))
	case r.Context().Err() != nil: // the client has left: httpx.Fail says so
	case breaker.NothingSent(err):
		err = problem.Common.New(problem.Unavailable,
			"the service cannot be reached and got nothing of the request; send the same request again")
	default:
		err = problem.Common.New(problem.Unavailable, "the service broke off without an answer; %s", remedy(r))
	}
	httpx.Fail(call.gin, err)
}

// remedy says how a client goes on if it is unknown whether its request took effect.
func remedy(r *http.Request) string {
	switch {
	case r.Method == http.MethodGet:
		return "send the same request again"
	case r.Header.Get("Idempotency-Key") != "":
		return "send the same request again with the same Idempotency-Key"
	}
	return "it may have taken effect: look before you send it again"
}
