package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"holdfast/internal/breaker"
)

// maxAttempts is how many instances a request is sent to at most.
const maxAttempts = 3

// RoundTrip sends a request to an instance of the service, and to another one if it fails and may be repeated. The
// breaker judges the last attempt.
func (u *upstream) RoundTrip(req *http.Request) (*http.Response, error) {
	settle, err := u.breaker.Allow()
	if err != nil {
		u.metrics.requests.WithLabelValues(u.name, "refused").Inc()
		return nil, err
	}
	res, err := u.try(req)
	failure := failureOf(res, err)
	if failure != nil && req.Context().Err() != nil {
		failure = context.Canceled // the client left, which is no failure of the service
		if late(req.Context()) {
			failure = context.DeadlineExceeded
		}
	}
	settle(failure)
	u.metrics.requests.WithLabelValues(u.name, outcome(failure)).Inc()
	return res, err
}

func (u *upstream) try(req *http.Request) (*http.Response, error) {
	u.budget.deposit()
	call := callOf(req.Context())
	tried := make([]*instance, 0, maxAttempts)
	for {
		in := u.pick(tried)
		tried = append(tried, in)
		call.attempts, call.instance = len(tried), in.url.Host

		res, err := u.attempt(req, in)
		failure := failureOf(res, err)
		if req.Context().Err() == nil || late(req.Context()) {
			u.report(in, failure != nil && !errors.Is(failure, breaker.ErrInternal))
		}

		last := len(tried) == min(maxAttempts, len(u.instances)) || req.Context().Err() != nil
		if failure == nil || last || !mayRepeat(req, failure) || !u.budget.withdraw() {
			return res, err
		}
		if res != nil {
			_ = res.Body.Close()
		}
		u.metrics.retries.WithLabelValues(u.name).Inc()
	}
}

// attempt sends the request to one instance. An answer of ordinary length has arrived whole when it returns, so that an
// instance that dies while it answers is a failure like any other.
func (u *upstream) attempt(req *http.Request, in *instance) (*http.Response, error) {
	out := *req
	target := *req.URL
	target.Scheme, target.Host = in.url.Scheme, in.url.Host
	out.URL = &target
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, fmt.Errorf("read the body again: %w", err)
		}
		out.Body = body
	}
	res, err := u.transport.RoundTrip(&out)
	if err != nil || callOf(req.Context()).streamed || res.StatusCode == http.StatusSwitchingProtocols {
		return res, err
	}
	if err := readAhead(res); err != nil {
		return nil, fmt.Errorf("read the service's answer: %w", err)
	}
	return res, nil
}

// failureOf returns why an attempt failed: no answer, or an answer that says that the service is out of order.
func failureOf(res *http.Response, err error) error {
	if err != nil {
		return err
	}
	return breaker.FailureOf(res)
}

// mayRepeat reports whether a request that failed may be sent to another instance: nothing was sent, or a repeat has no
// further effect. A PUT or DELETE with If-Match is not repeated, because its own first attempt may have changed the
// version.
func mayRepeat(req *http.Request, failure error) bool {
	if errors.Is(failure, breaker.ErrInternal) {
		return false
	}
	if req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return false
	}
	if breaker.NothingSent(failure) {
		return true
	}
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		return true
	case http.MethodPut, http.MethodDelete:
		return req.Header.Get("If-Match") == ""
	}
	return req.Header.Get("Idempotency-Key") != ""
}

// outcome names a failure in the metrics.
func outcome(failure error) string {
	switch {
	case failure == nil:
		return "ok"
	case errors.Is(failure, context.Canceled):
		return "client_left"
	case errors.Is(failure, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(failure, breaker.ErrGateway), errors.Is(failure, breaker.ErrInternal):
		return "failed_answer"
	}
	return "no_answer"
}

// late reports whether a request ended because the service's time was over.
func late(ctx context.Context) bool { return errors.Is(context.Cause(ctx), context.DeadlineExceeded) }

// The budget of a service bounds its retries, so that an outage does not multiply the load: one retry for five
// requests, after a reserve that covers the requests under way at an instance that dies.
const (
	budgetPerRetry = 5
	budgetMax      = 500 * budgetPerRetry
)

// budget is what a service may spend on retries. The zero value is full.
type budget struct{ spent atomic.Int64 }

// deposit gives back a part of what was spent.
func (b *budget) deposit() {
	if spent := b.spent.Load(); spent > 0 {
		b.spent.CompareAndSwap(spent, spent-1) // if another request was faster, its deposit is enough
	}
}

// withdraw takes the price of a retry, and reports whether there was enough.
func (b *budget) withdraw() bool {
	if b.spent.Add(budgetPerRetry) > budgetMax {
		b.spent.Add(-budgetPerRetry)
		return false
	}
	return true
}
