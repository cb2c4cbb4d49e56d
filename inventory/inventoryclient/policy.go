package inventoryclient

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"holdfast/internal/breaker"
	"holdfast/internal/problem"
	"holdfast/internal/service"
	"holdfast/inventory/inventoryapi"
)

// policy says how long and how often calls of one kind are tried. All calls of a kind share a circuit breaker.
type policy struct {
	timeout  time.Duration // of one attempt, its answer included
	attempts int
	delay    time.Duration // before the second attempt
	breaker  *breaker.Breaker
	retries  *prometheus.CounterVec
}

// once is the policy without retries, for a request whose body can be read only once.
func (p policy) once(timeout time.Duration) policy {
	p.timeout, p.attempts = timeout, 1
	return p
}

// Why a call is sent again.
const (
	reasonNetwork     = "network"
	reasonRateLimited = "rate_limited"
	reasonUnavailable = "unavailable"
)

// retry says that an attempt may be followed by another one, and how long the service wants the client to wait.
type retry struct {
	reason string
	after  time.Duration
}

// call does one exchange. If the service gives no answer of the contract, call returns an UnavailableError: the caller
// cannot know whether the operation happened, and may send it again.
//
// call repeats a failed attempt itself if the answer was 503 or 429 or the connection failed, as long as the deadline
// of ctx leaves time for it. A repeat acts once, because every write names its operation. It does not repeat an attempt
// that has used up its time, nor one that the circuit breaker has refused: the caller goes on at once.
func call[T any](
	ctx context.Context, p policy, reservationID uuid.UUID, do func(context.Context) (*http.Response, error),
) (T, error) {
	delay := p.delay
	for attempt := 1; ; attempt++ {
		out, again, err := guarded[T](ctx, p, reservationID, do)
		if again == nil || attempt >= p.attempts {
			return out, err
		}

		wait := max(delay, again.after) + rand.N(delay/10+1) //nolint:gosec // spreads the callers, hides nothing
		if deadline, bounded := ctx.Deadline(); bounded && time.Until(deadline) <= wait {
			return out, err
		}
		service.Pause(ctx, wait)
		if ctx.Err() != nil {
			return out, err
		}
		p.retries.WithLabelValues(again.reason).Inc()
		delay *= 2
	}
}

// guarded does one attempt, unless the circuit breaker refuses it, and tells the breaker how it went.
func guarded[T any](
	ctx context.Context, p policy, reservationID uuid.UUID, do func(context.Context) (*http.Response, error),
) (out T, again *retry, err error) {
	settle := func(error) {}
	if p.breaker != nil {
		if settle, err = p.breaker.Allow(); err != nil {
			return out, nil, &inventoryapi.UnavailableError{Cause: err}
		}
	}
	attempt, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()

	res, err := do(attempt)
	if err != nil {
		again, failure := broken(ctx, attempt, err)
		settle(failure)
		return out, again, &inventoryapi.UnavailableError{Cause: err}
	}
	defer drain(res)
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusCreated {
		settle(breaker.FailureOf(res))
		return out, shed(res), inventoryapi.FromProblem(problem.Read(res), reservationID)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&out); err != nil {
		again, failure := broken(ctx, attempt, err)
		settle(failure)
		return out, again, &inventoryapi.UnavailableError{Cause: fmt.Errorf("read the answer: %w", err)}
	}
	settle(nil)
	return out, nil, nil
}

// broken judges an attempt without a whole answer. A caller that has left, or that had less time than an attempt may
// take, is no failure of the service; an attempt whose own time is over is one, and is not repeated.
func broken(caller, attempt context.Context, err error) (again *retry, failure error) {
	switch {
	case caller.Err() != nil:
		return nil, context.Canceled
	case attempt.Err() != nil:
		return nil, context.DeadlineExceeded
	}
	return &retry{reason: reasonNetwork}, err
}

// shed returns how a refused call goes on: only 503 and 429 may pass by themselves.
func shed(res *http.Response) *retry {
	seconds, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		seconds = 0
	}
	after := time.Duration(min(seconds, 3600)) * time.Second
	switch res.StatusCode {
	case http.StatusServiceUnavailable:
		return &retry{reason: reasonUnavailable, after: after}
	case http.StatusTooManyRequests:
		return &retry{reason: reasonRateLimited, after: after}
	}
	return nil
}

// drain reads the rest of an answer, so that the connection can be used again. A failure costs only the connection.
func drain(res *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer))
	_ = res.Body.Close()
}
