package gateway

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"holdfast/internal/problem"
)

const (
	// breakerWindow is the time whose requests are judged, and breakerBucket the step by which it moves.
	breakerWindow = 30 * time.Second
	breakerBucket = 3 * time.Second
	// breakerRequests is how many requests the window must have: two failures of three say nothing.
	breakerRequests = 20
)

// breaker refuses requests to a service that mostly fails, so that they do not wait for it. After a pause it lets a
// single request through as a test: the half-open state.
//
// If it opened because no connection could be made, the gateway does not wait for the end of the pause: it probes the
// service by itself and closes the breaker when an instance answers. So a restart costs clients a second or two.
type breaker struct {
	current atomic.Pointer[gobreaker.TwoStepCircuitBreaker[struct{}]]
	cfg     UpstreamConfig
	log     *slog.Logger

	opened     atomic.Int64 // when it opened last, in Unix nanoseconds
	dialFailed atomic.Bool  // the last failure was that no connection could be made
}

func newBreaker(log *slog.Logger, cfg UpstreamConfig) *breaker {
	b := &breaker{cfg: cfg, log: log}
	b.current.Store(b.fresh())
	return b
}

func (b *breaker) fresh() *gobreaker.TwoStepCircuitBreaker[struct{}] {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Interval:     breakerWindow,
		BucketPeriod: breakerBucket,
		Timeout:      b.cfg.BreakerOpen,
		MaxRequests:  1,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			judged := c.TotalSuccesses + c.TotalFailures
			return judged >= breakerRequests && int(c.TotalFailures)*100 >= int(judged)*b.cfg.BreakerPercent
		},
		// The request of a client that has left says nothing about the service.
		IsExcluded: func(err error) bool { return errors.Is(err, context.Canceled) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				b.opened.Store(time.Now().UnixNano())
			}
			b.log.Warn("the circuit breaker has changed its state", "from", from.String(), "to", to.String())
		},
	})
}

// allow returns what to call with the outcome of a request: nil, or its failure. The error is a refusal: the breaker is
// open, or another request is the test.
func (b *breaker) allow() (settle func(error), err error) {
	done, err := b.current.Load().Allow()
	if err != nil {
		return nil, &refusal{retryAfter: b.pause()}
	}
	return func(err error) {
		if err != nil {
			b.dialFailed.Store(nothingSent(err))
		}
		done(err)
	}, nil
}

// pause returns how long the breaker stays open.
func (b *breaker) pause() time.Duration {
	return time.Until(time.Unix(0, b.opened.Load()).Add(b.cfg.BreakerOpen))
}

// unreachable reports whether the breaker is open because no connection could be made.
func (b *breaker) unreachable() bool {
	return b.dialFailed.Load() && b.current.Load().State() == gobreaker.StateOpen
}

// reached closes a breaker that opened because no connection could be made.
func (b *breaker) reached() {
	if b.unreachable() {
		b.current.Store(b.fresh())
		b.log.Info("the circuit breaker is closed, because the service can be reached again")
	}
}

// state returns 0 if the breaker is closed, 1 if it is open and 2 if it is half-open.
func (b *breaker) state() float64 {
	switch b.current.Load().State() {
	case gobreaker.StateOpen:
		return 1
	case gobreaker.StateHalfOpen:
		return 2
	default:
		return 0
	}
}

// refusal says that a breaker let a request not through.
type refusal struct{ retryAfter time.Duration }

func (r *refusal) Error() string { return "the circuit breaker is open" }

// Problem is the answer to the client. Nothing was sent, so every request may be sent again.
func (r *refusal) Problem() *problem.Problem {
	return problem.Common.New(problem.Unavailable,
		"the service fails at the moment and was not asked; send the same request again after %s seconds", r.seconds())
}

// seconds is the value of Retry-After.
func (r *refusal) seconds() string { return seconds(r.retryAfter) }

// seconds returns a duration in whole seconds, rounded up, and at least 1: the unit of Retry-After.
func seconds(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(d.Seconds()))))
}
