// Package starter starts the workflows of orders. It starts as many at once as Temporal takes; the other orders wait as
// rows of the orders database, in the order in which they came.
//
// An order is inserted first and started afterwards (Place). If Temporal takes another start and no order waits, Place
// starts the workflow itself. Otherwise the order waits in the table order_starts, and the loop of a starter (Run)
// takes it from there when its turn comes. Every api process has a starter. They share the table: each takes the
// orders that have waited longest and that no other starter holds at the time (a lease, orderstore.Lease). The
// workflow's first record deletes the order from the table. So an order is started after all if the process that
// inserted it dies, if Temporal is down, or if a start has no outcome. An order may be started twice at the same time:
// its workflow has an id of its own, and the second start attaches to it.
//
// How many starts are under way at once is limited, because Temporal serves a crowd of starts more slowly than a few:
// above some 290 at once it answered none of them within 4 s. The limit adapts: it falls while starts take longer than
// they used to, and rises while they do not (failsafe-go's adaptive limiter).
package starter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/failsafe-go/failsafe-go/adaptivelimiter"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"

	"holdfast/internal/correlation"
	"holdfast/internal/orderstore"
	"holdfast/internal/telemetry"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

// Config is the part of the api's configuration that limits starts, from the environment.
type Config struct {
	// MaxConcurrent is how many starts may be under way at once in this process, however fast they are.
	MaxConcurrent uint `env:"API_MAX_CONCURRENT_STARTS" envDefault:"200"`
	// MaxWaiting is how many orders may wait for their workflow in the whole shop.
	MaxWaiting int `env:"API_MAX_WAITING_ORDERS" envDefault:"100000"`
}

// Validate reports limits that start nothing.
func (c Config) Validate() error {
	if c.MaxConcurrent < minConcurrent {
		return fmt.Errorf("API_MAX_CONCURRENT_STARTS must be at least %d", minConcurrent)
	}
	if c.MaxWaiting < 1 {
		return errors.New("API_MAX_WAITING_ORDERS must be at least 1")
	}
	return nil
}

const (
	// startTimeout limits how long a start waits until the order is recorded. It is shorter than orderstore.Lease.
	startTimeout = 10 * time.Second
	// storeTimeout limits one call to the orders database. The loop must not hang on a host that gives no answer.
	storeTimeout = 3 * time.Second
	// pollInterval is how often a starter looks for orders that another process has left.
	pollInterval = time.Second
	// batchSize is how many orders a starter takes from the database at once.
	batchSize = 50
	// hurryWait is how long Hurry waits until another start may begin.
	hurryWait = time.Second
	// maxInserts is how many orders a process inserts at once, and insertWait is how long another order waits for its
	// turn. Without these limits 1,600 orders a second on two cores kept 9,000 requests and 800 MB of memory in the
	// process; each was answered after 5 to 9 s, and most of them without saying whether the order was accepted.
	maxInserts = 8
	insertWait = 2 * time.Second
	// limitedWait is how long Limited waits until a start may begin.
	limitedWait = 4 * time.Second
	// rushFactor is how much slower starts may become in a rush than they were.
	rushFactor = 4
	// minConcurrent and firstConcurrent are the least and the first limit of concurrent starts.
	minConcurrent   = 4
	firstConcurrent = 20
	// firstLatency is how long a start is expected to take before one was measured.
	firstLatency = 250 * time.Millisecond
)

// ErrFull says that too many orders wait. Place has inserted nothing.
var ErrFull = errors.New("too many orders wait for their workflow")

// ErrBusy says that so many starts, or inserts, are under way that another could not begin in time. Nothing was started
// or inserted.
var ErrBusy = errors.New("too many starts are under way")

// Store keeps the orders that wait.
type Store interface {
	Place(ctx context.Context, in orderflow.OrderInput, leased bool) (number string, err error)
	LeaseStarts(ctx context.Context, size int) ([]orderstore.Start, error)
	LeaseStart(ctx context.Context, id uuid.UUID) (orderstore.Start, error)
	DeferStart(ctx context.Context, id uuid.UUID, delay time.Duration) error
	ForgetStart(ctx context.Context, id uuid.UUID) error
	CountStarts(ctx context.Context, limit int) (waiting int, available bool, err error)
}

// Workflows starts the workflow of an order, or attaches to it, and waits until the order is recorded.
type Workflows interface {
	Place(ctx context.Context, in orderflow.OrderInput) (orderflow.PlaceResult, error)
}

// Starter starts the workflows of orders.
type Starter struct {
	store     Store
	workflows Workflows
	log       *slog.Logger
	limiter   adaptivelimiter.AdaptiveLimiter[any]
	inserts   *semaphore.Weighted
	max       int

	wake    chan struct{} // tells Run to look for orders; it has room for one message
	behind  atomic.Bool   // orders may wait in the database, so a new order waits behind them
	failing atomic.Bool   // the last start that ended had no outcome, so callers do not wait for theirs
	waiting atomic.Int64  // about how many orders wait in the database

	mu      sync.Mutex
	results map[uuid.UUID][]chan Result // of the orders whose callers wait
	latency time.Duration               // how long a start takes: a moving average

	starts sync.WaitGroup  // add with spawn
	ended  bool            // Run has ended and no start may begin
	life   context.Context // ends when Run ends
	end    context.CancelFunc
}

// New returns a starter. Orders that wait are started only while Run runs.
func New(cfg Config, store Store, workflows Workflows, log *slog.Logger) *Starter {
	life, end := context.WithCancel(context.Background())
	s := &Starter{
		store:     store,
		workflows: workflows,
		log:       log,
		limiter: adaptivelimiter.NewBuilder[any]().
			WithLimits(minConcurrent, cfg.MaxConcurrent, min(firstConcurrent, cfg.MaxConcurrent)).
			Build(),
		inserts: semaphore.NewWeighted(maxInserts),
		max:     cfg.MaxWaiting,
		latency: firstLatency,
		wake:    make(chan struct{}, 1),
		results: map[uuid.UUID][]chan Result{},
		life:    life,
		end:     end,
	}
	s.behind.Store(true) // orders may wait since the last process
	s.poke()
	return s
}

// Hurry lets the caller start one order that waits, before its turn, within the limit of concurrent starts. The api
// cancels an order this way: the workflow starts together with its cancellation. Hurry returns orderstore.ErrNotFound
// if the order does not wait, and otherwise what start returns.
func (s *Starter) Hurry(
	ctx context.Context, id uuid.UUID, start func(context.Context, orderflow.OrderInput) error,
) error {
	permit, err := s.limiter.AcquirePermitWithMaxWait(ctx, hurryWait)
	if err != nil {
		return fmt.Errorf("wait for a start of order %s: %w", id, err)
	}
	defer permit.Drop()
	storeCtx, cancel := context.WithTimeout(ctx, storeTimeout)
	order, err := s.store.LeaseStart(storeCtx, id)
	cancel()
	if err != nil {
		return err
	}
	return start(ctx, order.Input)
}

// Limited lets the caller start another workflow than an order's, within the limit of concurrent starts. It waits
// limitedWait until the start may begin. It returns ErrBusy if nothing was started, and otherwise what start returns.
func (s *Starter) Limited(ctx context.Context, start func(context.Context) error) error {
	permit, err := s.limiter.AcquirePermitWithMaxWait(ctx, limitedWait)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	began := time.Now()
	if err = start(ctx); err == nil {
		permit.Record()
		s.observe(time.Since(began))
	} else {
		permit.Drop()
	}
	return err
}

// Run starts the orders that wait, until ctx ends. It then gives back the orders that it has taken and not started.
func (s *Starter) Run(ctx context.Context) {
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-s.wake:
			s.startWaiting(ctx)
		case <-poll.C:
			s.startWaiting(ctx)
			s.count(ctx)
		}
	}
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.end()
	s.starts.Wait()
}

// spawn runs f beside the caller. It reports false and does not run f if Run has ended.
func (s *Starter) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.starts.Go(f)
	}
	return !s.ended
}

// startWaiting starts as many of the orders that wait as the limiter allows.
func (s *Starter) startWaiting(ctx context.Context) {
	for ctx.Err() == nil {
		permits := s.permits(batchSize)
		if len(permits) == 0 {
			return // the next start that ends wakes the loop
		}
		// If the end of ctx interrupted the statement, the database might lease rows of which this process knows nothing.
		storeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
		waiting, err := s.store.LeaseStarts(storeCtx, len(permits))
		cancel()
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "cannot read the orders that wait for their workflow", "error", err)
		}
		for i, order := range waiting {
			s.spawn(func() { s.start(telemetry.WithTraceparent(s.life, order.Input.Traceparent), permits[i], order) })
		}
		for _, unused := range permits[len(waiting):] {
			unused.Drop()
		}
		s.waiting.Add(-int64(len(waiting)))
		if err != nil {
			return // the next poll tries again
		}
		if s.behind.Store(len(waiting) == len(permits)); len(waiting) < len(permits) {
			return
		}
	}
}

// permits acquires up to n permits, without waiting.
func (s *Starter) permits(n int) []adaptivelimiter.Permit {
	var out []adaptivelimiter.Permit
	for len(out) < n {
		permit, ok := s.limiter.TryAcquirePermit()
		if !ok {
			break
		}
		out = append(out, permit)
	}
	return out
}

// start starts one order's workflow and tells the caller who waits for it.
func (s *Starter) start(ctx context.Context, permit adaptivelimiter.Permit, order orderstore.Start) {
	ctx, cancel := context.WithTimeout(correlation.WithDefault(ctx, order.Input.CorrelationID), startTimeout)
	defer cancel()
	id := order.Input.OrderID
	began := time.Now()
	placed, err := s.workflows.Place(ctx, order.Input)

	if err == nil || ctx.Err() != nil {
		permit.Record() // a start that ran into startTimeout counts as slow
		s.observe(time.Since(began))
	} else {
		permit.Drop() // an error that comes at once says nothing about how fast Temporal is
	}
	switch {
	case err == nil:
		s.failing.Store(false)
		s.tell(id, Result{View: &placed.View})
	case orderclient.OutcomeUnknown(err):
		s.failing.Store(true)
		s.tell(id, Result{})
		s.retryLater(order, err)
	default:
		s.log.ErrorContext(ctx, "the workflow of an order ended without recording the order",
			"order_id", id, "order_number", order.Input.Number, "error", err)
		s.doneWaiting(id) // first, so that who is told does not find the order waiting
		s.tell(id, Result{Err: err})
	}
	if s.behind.Load() {
		s.poke()
	}
}

// causedBy returns a context that lives as long as the starter and belongs to the trace of a request.
func (s *Starter) causedBy(request context.Context) context.Context {
	return trace.ContextWithSpanContext(s.life, trace.SpanContextFromContext(request))
}

// retryLater lets the order wait for another attempt.
func (s *Starter) retryLater(order orderstore.Start, cause error) {
	id, delay := order.Input.OrderID, retryDelay(order.Attempts)
	if s.life.Err() != nil {
		delay = 0 // another process may start the order now
	} else {
		s.log.WarnContext(s.life, "the workflow of an order did not answer that the order is recorded; "+
			"it is started again later",
			"order_id", id, "order_number", order.Input.Number, "attempt", order.Attempts, "in", delay, "error", cause)
	}
	s.giveBack(id, delay)
}

// giveBack lets any process start the order after the delay.
func (s *Starter) giveBack(id uuid.UUID, delay time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.life), time.Second)
	defer cancel()
	if err := s.store.DeferStart(ctx, id, delay); err != nil {
		s.log.WarnContext(ctx, "cannot give back an order that was not started; it starts when its lease ends",
			"order_id", id, "error", err)
	}
	s.behind.Store(true)
	if delay == 0 {
		s.poke()
	}
}

// retryDelay is how long an order waits after so many attempts: 1 s, doubled with each attempt, at most 30 s.
func retryDelay(attempts int) time.Duration {
	b := backoff.ExponentialBackOff{
		InitialInterval: time.Second, Multiplier: 2, MaxInterval: 30 * time.Second, RandomizationFactor: 0.2,
	}
	b.Reset()
	delay := b.NextBackOff()
	for range min(attempts-1, 10) {
		delay = b.NextBackOff()
	}
	return delay
}

// doneWaiting takes an order from the line that no start can help.
func (s *Starter) doneWaiting(id uuid.UUID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.life), time.Second)
	defer cancel()
	if err := s.store.ForgetStart(ctx, id); err != nil {
		s.log.WarnContext(ctx, "cannot take an order from the line; it is started again", "order_id", id, "error", err)
	}
}

// count counts the orders that wait, in the whole shop.
func (s *Starter) count(ctx context.Context) {
	storeCtx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	n, available, err := s.store.CountStarts(storeCtx, s.max)
	if err != nil {
		if ctx.Err() == nil {
			s.log.WarnContext(ctx, "cannot count the orders that wait for their workflow", "error", err)
		}
		return
	}
	s.waiting.Store(int64(n))
	if available {
		s.behind.Store(true)
	}
}

// poke makes Run look for orders that wait.
func (s *Starter) poke() {
	select {
	case s.wake <- struct{}{}:
	default: // Run will look anyway
	}
}

// expect returns the channel on which tell delivers the result of the order.
func (s *Starter) expect(id uuid.UUID) chan Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	result := make(chan Result, 1)
	s.results[id] = append(s.results[id], result) // two requests may have the same key, and one of them inserts the order
	return result
}

func (s *Starter) forget(id uuid.UUID, result chan Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results[id] = slices.DeleteFunc(s.results[id], func(c chan Result) bool { return c == result })
	if len(s.results[id]) == 0 {
		delete(s.results, id)
	}
}

func (s *Starter) tell(id uuid.UUID, out Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, result := range s.results[id] {
		select {
		case result <- out:
		default: // told already
		}
	}
}

// observe adds the time that a start took to the average.
func (s *Starter) observe(took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency += (took - s.latency) / 10
}

// estimate is how long it takes until the last of so many orders is started.
func (s *Starter) estimate(orders int64) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.latency * time.Duration(orders) / time.Duration(max(1, s.limiter.Limit()))
}
