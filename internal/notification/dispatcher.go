package notification

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/internal/breaker"
)

const (
	// lease is how long a notification belongs to the dispatcher that has leased it. It is longer than an attempt
	// takes.
	lease = 5 * time.Minute
	// storeTimeout limits one call to the database.
	storeTimeout = 5 * time.Second
	// failurePause is how long the dispatcher rests after the database has not answered.
	failurePause = time.Second
	// backlogInterval is how often the backlog is measured.
	backlogInterval = 5 * time.Second
	// A deferred message is due again after a delay that doubles with each attempt.
	deferredDelayMin = 30 * time.Second
	deferredDelayMax = time.Hour
)

// The circuit breaker opens when at least half of the attempts of a minute find the server unavailable, if there were
// at least five. The dispatcher then sends nothing for breakerDelay, and tries one message after that.
const (
	breakerPercent  = 50
	breakerAttempts = 5
	breakerPeriod   = time.Minute
	breakerDelay    = 30 * time.Second
)

// Dispatcher sends the notifications that wait. Several dispatchers of one database share the work.
type Dispatcher struct {
	DispatcherOptions
	metrics *metrics
	breaker *breaker.Breaker
	delay   time.Duration // breakerDelay, or less in a test
}

// DispatcherOptions are what a dispatcher needs.
type DispatcherOptions struct {
	Config   Config
	Store    *Store
	Orders   Orders
	Renderer *Renderer
	Sender   Sender
	Log      *slog.Logger
	Registry prometheus.Registerer

	BreakerDelay time.Duration // for tests; 0 means 30 s
}

// NewDispatcher returns a dispatcher. It sends while Run runs.
func NewDispatcher(o DispatcherOptions) *Dispatcher {
	d := &Dispatcher{DispatcherOptions: o, metrics: newMetrics(o.Registry), delay: breakerDelay}
	if o.BreakerDelay > 0 {
		d.delay = o.BreakerDelay
	}
	d.breaker = breaker.New(breaker.Rule{
		Percent:  breakerPercent,
		MinCalls: breakerAttempts,
		Window:   breakerPeriod,
		Open:     d.delay,
	}, o.Log.With("breaker", "notification"))
	d.breaker.Export(o.Registry, "notifications_circuit_breaker_state", "notification")
	return d
}

// Run sends notifications until ctx ends, and then finishes the messages that it has begun. It survives outages of the
// database and of the mail server.
func (d *Dispatcher) Run(ctx context.Context) error {
	var beside sync.WaitGroup
	beside.Go(func() { d.measureBacklog(ctx) })
	defer beside.Wait()
	for ctx.Err() == nil {
		if wait := d.breaker.Pause(); d.breaker.State() == breaker.StateOpen && wait > 0 {
			pause(ctx, wait)
			continue
		}
		sent, err := d.round(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			d.Log.WarnContext(ctx, "the notifications cannot be read", "error", err)
			pause(ctx, failurePause)
		case sent == 0:
			pause(ctx, d.Config.Poll)
		}
	}
	return nil
}

// round leases as many notifications as are sent at once, and sends them. It returns how many it has leased. While the
// breaker is not closed, it tries a single one.
func (d *Dispatcher) round(ctx context.Context) (int, error) {
	size := d.Config.Workers
	if d.breaker.State() != breaker.StateClosed {
		size = 1
	}
	// If the end of ctx interrupted the statement, the database might lease rows of which this process knows nothing.
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	rows, err := d.Store.Lease(limited, size, lease)
	cancel()
	if err != nil {
		return 0, err
	}

	var workers sync.WaitGroup
	for _, n := range rows {
		workers.Go(func() { d.dispatch(context.WithoutCancel(ctx), n) })
	}
	workers.Wait()
	return len(rows), nil
}

// dispatch makes one attempt to send a notification, and settles it.
func (d *Dispatcher) dispatch(ctx context.Context, n Notification) {
	log := d.Log.With("notification_id", n.NotificationID, "event_id", n.EventID, "order_id", n.OrderID, "kind", n.Kind)
	o, err := d.attempt(ctx, n)
	switch o.Status {
	case Refused:
		log.ErrorContext(ctx, "a customer cannot be told", "attempts", n.Attempts+1, "error", err)
	case Pending:
		log.WarnContext(ctx, "a customer is told later", "attempts", n.Attempts+1, "delay", o.Delay, "error", err)
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	settled, err := d.Store.Settle(ctx, n, o)
	switch {
	case err != nil: // its lease runs out, and it is sent again
		log.ErrorContext(ctx, "the outcome of a notification is lost", "status", o.Status, "error", err)
	case !settled:
		log.WarnContext(ctx, "a notification was leased again while it was sent", "status", o.Status)
	}
}

// attempt composes and sends a message, and returns how the notification goes on, and why if the message was not sent.
func (d *Dispatcher) attempt(ctx context.Context, n Notification) (Outcome, error) {
	count := func(outcome string) { d.metrics.attempts.WithLabelValues(n.Kind, d.Sender.Channel(), outcome).Inc() }
	m, err := d.compose(ctx, n)
	switch {
	case errors.Is(err, errNoAddress):
		count("skipped")
		return Outcome{Status: Skipped, Detail: skipNoAddress}, nil
	case err != nil:
		count(outcome(err))
		return d.next(n, err), err
	}
	settle, err := d.breaker.Allow()
	if err != nil {
		return Outcome{Status: Pending, Delay: d.delay, Detail: n.Detail}, ErrUnavailable
	}

	start := time.Now()
	err = d.Sender.Send(ctx, m)
	d.metrics.duration.Observe(time.Since(start).Seconds())
	count(outcome(err))
	if errors.Is(err, ErrUnavailable) {
		settle(err)
	} else {
		settle(nil)
	}
	return d.next(n, err), err
}

// errNoAddress says that an order has no address any more.
var errNoAddress = errors.New(skipNoAddress)

func (d *Dispatcher) compose(ctx context.Context, n Notification) (Message, error) {
	limited, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	o, err := d.Orders.Get(limited, n.OrderID)
	if err != nil {
		return Message{}, fmt.Errorf("read the order of a notification: %w", err)
	}
	if o.Email == "" {
		return Message{}, errNoAddress
	}
	return d.Renderer.Render(n, o)
}

// next returns how a notification goes on after an attempt.
func (d *Dispatcher) next(n Notification, err error) Outcome {
	tried := int(n.Attempts) + 1
	switch {
	case err == nil:
		return Outcome{Status: Sent, Channel: d.Sender.Channel(), Tried: true}
	case errors.Is(err, ErrRefused):
		return Outcome{Status: Refused, Detail: err.Error(), Tried: true}
	case errors.Is(err, ErrUnavailable):
		return Outcome{Status: Pending, Detail: err.Error(), Delay: d.delay}
	case tried >= d.Config.MaxAttempts:
		return Outcome{Status: Refused, Detail: fmt.Sprintf("given up after %d attempts: %s", tried, err), Tried: true}
	default:
		return Outcome{Status: Pending, Detail: err.Error(), Tried: true, Delay: deferredDelay(tried)}
	}
}

// deferredDelay is how long a message waits after the given number of attempts.
func deferredDelay(attempts int) time.Duration {
	delay := deferredDelayMin
	for range attempts - 1 {
		if delay *= 2; delay >= deferredDelayMax {
			return deferredDelayMax
		}
	}
	return delay
}

// measureBacklog exports the number and age of the notifications that wait, until ctx ends.
func (d *Dispatcher) measureBacklog(ctx context.Context) {
	for ctx.Err() == nil {
		limited, cancel := context.WithTimeout(ctx, storeTimeout)
		backlog, err := d.Store.Backlog(limited)
		cancel()
		switch {
		case err == nil:
			d.metrics.waiting.Set(float64(backlog.Waiting))
			d.metrics.oldest.Set(backlog.Oldest.Seconds())
		case ctx.Err() == nil:
			d.Log.WarnContext(ctx, "the notifications that wait cannot be counted", "error", err)
		}
		pause(ctx, backlogInterval)
	}
}

// pause waits for the given time, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
