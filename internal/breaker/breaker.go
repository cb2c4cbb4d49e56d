// Package breaker has the circuit breaker that the gateway and the order side's clients put before a service: one rule
// for all of them, and one meaning of a failure.
package breaker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/sony/gobreaker/v2"
)

const (
	// defaultWindow is the time whose calls are judged.
	defaultWindow = 30 * time.Second
	// MinCalls is how many calls the window must have, unless a rule says otherwise: two failures of three say nothing.
	MinCalls = 20
)

// Rule says when a breaker opens and how long it stays open.
type Rule struct {
	Percent  int           // of the calls of the window: with so many failures it opens
	Open     time.Duration // until one call may try
	MinCalls int           // that the window must have; 0 means MinCalls
	// Window is the time whose calls are judged, by their beginning; 0 means 30 s. It is longer than a call may take.
	Window time.Duration
	// Retest is how often one call may try while no connection can be made, although the breaker is open. 0 means that
	// none may. Such a call ends at once on most networks, and it closes the breaker soon after a restart.
	Retest time.Duration
}

// Config is the rule of the breakers before inventory and the payment provider, from the environment.
type Config struct {
	Percent int           `env:"BREAKER_PERCENT" envDefault:"50"`
	Open    time.Duration `env:"BREAKER_OPEN" envDefault:"30s"`
}

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	if c.Percent < 1 || c.Percent > 100 {
		faults = append(faults, errors.New("BREAKER_PERCENT must be 1 to 100"))
	}
	if c.Open <= 0 {
		faults = append(faults, errors.New("BREAKER_OPEN must be more than 0"))
	}
	return errors.Join(faults...)
}

// Rule is the rule of a client whose calls are repeated by their callers. Each second, one of them may be the test of a
// service to which no connection could be made.
func (c Config) Rule() Rule { return Rule{Percent: c.Percent, Open: c.Open, Retest: time.Second} }

// Breaker refuses calls to a service that mostly fails, so that they do not wait for it. After a pause it lets a single
// call through as a test: the half-open state. It is safe for concurrent use.
type Breaker struct {
	current atomic.Pointer[gobreaker.TwoStepCircuitBreaker[struct{}]]
	rule    Rule
	log     *slog.Logger

	opened     atomic.Int64 // when it opened last, in Unix nanoseconds
	tested     atomic.Int64 // when a call tried last although the breaker was open
	dialFailed atomic.Bool  // the last failure was that no connection could be made
}

// New returns a closed breaker. It logs each change of its state.
func New(rule Rule, log *slog.Logger) *Breaker {
	if rule.MinCalls == 0 {
		rule.MinCalls = MinCalls
	}
	if rule.Window == 0 {
		rule.Window = defaultWindow
	}
	b := &Breaker{rule: rule, log: log}
	b.current.Store(b.closed())
	return b
}

func (b *Breaker) closed() *gobreaker.TwoStepCircuitBreaker[struct{}] {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Interval:     b.rule.Window,
		BucketPeriod: b.rule.Window / 10, // the step by which the window moves
		Timeout:      b.rule.Open,
		MaxRequests:  1,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			judged := c.TotalSuccesses + c.TotalFailures
			return int(judged) >= b.rule.MinCalls && int(c.TotalFailures)*100 >= int(judged)*b.rule.Percent
		},
		// The call of a caller that has left says nothing about the service.
		IsExcluded: func(err error) bool { return errors.Is(err, context.Canceled) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				b.opened.Store(time.Now().UnixNano())
			}
			b.log.Warn("the circuit breaker has changed its state", "from", from.String(), "to", to.String())
		},
	})
}

// Allow returns the function that takes the outcome of a call: nil, or its failure. A context.Canceled counts as
// neither. The error is an *OpenError: the breaker is open, or another call is the test.
func (b *Breaker) Allow() (settle func(error), err error) {
	done, err := b.current.Load().Allow()
	if err == nil {
		return func(err error) {
			b.note(err)
			done(err)
		}, nil
	}
	if b.mayRetest() {
		return func(err error) {
			b.note(err)
			if err == nil {
				b.Reached()
			}
		}, nil
	}
	return nil, &OpenError{RetryAfter: b.Pause()}
}

// note keeps whether a connection could be made when a call failed last.
func (b *Breaker) note(err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		b.dialFailed.Store(NothingSent(err))
	}
}

// mayRetest reports whether the call that asks is the test of this interval.
func (b *Breaker) mayRetest() bool {
	if b.rule.Retest == 0 || !b.Unreachable() {
		return false
	}
	now, tested := time.Now().UnixNano(), b.tested.Load()
	return now-max(tested, b.opened.Load()) >= int64(b.rule.Retest) && b.tested.CompareAndSwap(tested, now)
}

// Pause returns how long the breaker stays open.
func (b *Breaker) Pause() time.Duration {
	return max(0, time.Until(time.Unix(0, b.opened.Load()).Add(b.rule.Open)))
}

// Unreachable reports whether the breaker is open because no connection could be made.
func (b *Breaker) Unreachable() bool {
	return b.dialFailed.Load() && b.current.Load().State() == gobreaker.StateOpen
}

// Reached closes a breaker that opened because no connection could be made. A caller that has probed the service calls
// it, so a restart does not cost the whole pause.
func (b *Breaker) Reached() {
	if b.Unreachable() {
		b.current.Store(b.closed())
		b.log.Info("the circuit breaker is closed, because the service can be reached again")
	}
}

// The states of a breaker, as a gauge has them.
const (
	StateClosed   = 0
	StateOpen     = 1
	StateHalfOpen = 2
)

// State returns the state of the breaker.
func (b *Breaker) State() float64 {
	switch b.current.Load().State() {
	case gobreaker.StateOpen:
		return StateOpen
	case gobreaker.StateHalfOpen:
		return StateHalfOpen
	default:
		return StateClosed
	}
}

// Export makes a gauge of the state under the given name of a metric, with the label breaker_name.
func (b *Breaker) Export(reg prometheus.Registerer, metric, name string) {
	promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{
		Name:        metric,
		Help:        "The circuit breaker: 0 closed, 1 open, 2 half-open.",
		ConstLabels: prometheus.Labels{"breaker_name": name},
	}, b.State)
}

// OpenError says that the breaker did not let a call through. Nothing was sent.
type OpenError struct{ RetryAfter time.Duration }

func (e *OpenError) Error() string {
	return fmt.Sprintf("the circuit breaker is open for another %s", e.RetryAfter.Round(time.Millisecond))
}

// NothingSent reports whether a call failed before a byte of it was sent, because no connection could be made.
func NothingSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// The failures of a service that answers.
var (
	// ErrGateway means that the service, or something before it, is out of order.
	ErrGateway = errors.New("the service answers 502, 503 or 504")
	// ErrInternal may be the fault of the request: another instance would answer the same.
	ErrInternal = errors.New("the service answers 500")
)

// FailureOf returns the failure that an answer is, or nil. A 503 with Retry-After is none: the service is in order and
// sheds load, and the caller learns when to come back.
func FailureOf(res *http.Response) error {
	switch {
	case res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != "":
		return nil
	case res.StatusCode == http.StatusInternalServerError:
		return ErrInternal
	case res.StatusCode > http.StatusNotImplemented && res.StatusCode <= http.StatusGatewayTimeout:
		return ErrGateway
	}
	return nil
}
