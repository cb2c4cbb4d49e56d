package merchantwebhook

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"holdfast/internal/events"
	"holdfast/internal/webhook"
)

// SenderOptions are what a sender needs.
type SenderOptions struct {
	Config   Config
	Store    *Store
	Log      *slog.Logger
	Registry prometheus.Registerer
	// Pauses before each attempt; their number is the number of attempts. Nil means Pauses().
	Pauses []time.Duration
}

// Sender sends deliveries that are due. Several senders share the work.
type Sender struct {
	SenderOptions
	http    *http.Client
	metrics *metrics

	running  sync.WaitGroup
	finished chan uuid.UUID // the subscription of each attempt that has ended
}

// NewSender returns a sender. It sends while Run runs.
func NewSender(o SenderOptions) *Sender {
	if o.Pauses == nil {
		o.Pauses = Pauses()
	}
	return &Sender{
		SenderOptions: o,
		http:          NewAddresses(o.Config).client(o.Config.PerSubscription),
		metrics:       newMetrics(o.Registry),
		finished:      make(chan uuid.UUID, o.Config.Concurrency),
	}
}

const (
	// pollInterval is how often the sender looks for due deliveries while there are none.
	pollInterval = 200 * time.Millisecond
	storeTimeout = 5 * time.Second
)

// Run sends until ctx ends, and then finishes the attempts that it has begun. It survives outages of the database.
func (s *Sender) Run(ctx context.Context) error {
	defer s.http.CloseIdleConnections()
	var beside sync.WaitGroup
	beside.Go(func() { s.measure(ctx) })
	beside.Go(func() { s.clean(ctx) })
	defer beside.Wait()
	defer s.running.Wait()

	underWay, total := map[uuid.UUID]int{}, 0
	ended := func(id uuid.UUID) {
		total--
		if underWay[id]--; underWay[id] == 0 {
			delete(underWay, id)
		}
	}
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		total += s.begin(ctx, underWay, s.Config.Concurrency-total)
		s.metrics.underWay.Set(float64(total))
		select {
		case <-ctx.Done():
			return nil
		case id := <-s.finished: // look again at once: its subscription has room
			ended(id)
		case <-poll.C:
		}
		for len(s.finished) > 0 {
			ended(<-s.finished)
		}
	}
}

// begin leases deliveries and begins to send them, at most room of them. It returns how many it has begun, and counts
// them in underWay.
func (s *Sender) begin(ctx context.Context, underWay map[uuid.UUID]int, room int) int {
	if room == 0 || ctx.Err() != nil {
		return 0
	}
	// If the end of ctx interrupted the statement, the database might lease rows of which this process knows nothing.
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	due, err := s.Store.lease(limited, underWay, room, s.Config.PerSubscription, s.Config.Lease)
	if err != nil {
		s.Log.WarnContext(ctx, "cannot lease webhook deliveries", "error", err)
		return 0
	}
	for _, d := range due {
		underWay[d.SubscriptionID]++
		s.running.Go(func() {
			// An attempt that has begun is finished, also while the process stops.
			s.deliver(context.WithoutCancel(ctx), d)
			s.finished <- d.SubscriptionID // has room for all that are under way
		})
	}
	return len(due)
}

// deliver makes one attempt and writes its outcome.
func (s *Sender) deliver(ctx context.Context, d Leased) {
	start := time.Now()
	err := s.send(ctx, d)
	s.metrics.duration.Observe(time.Since(start).Seconds())

	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err == nil {
		if err := s.Store.markDelivered(ctx, d); err != nil {
			s.lose(s.logOf(d), err)
			return
		}
		s.metrics.attempts.WithLabelValues(delivered).Inc()
		return
	}

	log := s.logOf(d)
	f, outcome := s.judge(d, err)
	disabled, markErr := s.Store.markFailed(ctx, d, f, s.Config.DisableAfter)
	if markErr != nil {
		s.lose(log, markErr)
		return
	}
	s.metrics.attempts.WithLabelValues(outcome).Inc()
	log.Warn("a webhook was not delivered", "outcome", outcome, "error", err)
	if disabled != "" {
		s.metrics.disabled.WithLabelValues(disabled).Inc()
		log.Error("a webhook subscription was switched off", "cause", disabled)
	}
}

// logOf returns a log whose lines name a delivery, what its event is about, and the request that caused it.
func (s *Sender) logOf(d Leased) *slog.Logger {
	var about struct {
		AggregateID string          `json:"aggregateId"`
		Metadata    events.Metadata `json:"metadata"`
	}
	_ = json.Unmarshal(d.Body, &about) // without it the lines still have the event's id
	return s.Log.With("subscription_id", d.SubscriptionID, "event_id", d.EventID, "event_type", d.EventType,
		"aggregate_id", about.AggregateID, "correlation_id", about.Metadata.CorrelationID, "attempt", d.Attempts)
}

// lose tells of an outcome that could not be written. The delivery comes again when its lease ends.
func (s *Sender) lose(log *slog.Logger, err error) {
	s.metrics.attempts.WithLabelValues(lost).Inc()
	log.Warn("the outcome of a webhook could not be written", "error", err)
}

// send signs a delivery with each valid secret and posts it.
func (s *Sender) send(ctx context.Context, d Leased) error {
	secrets := []string{d.Secret}
	if d.PreviousSecret != "" {
		secrets = append(secrets, d.PreviousSecret)
	}
	keys, err := webhook.ParseKeys(secrets)
	if err != nil {
		return err
	}
	sender := webhook.Sender{HTTP: s.http, Keys: keys, Timeout: s.Config.Timeout}
	return sender.Send(ctx, d.Url, d.EventID.String(), d.Body)
}

// judge says what follows from a failed attempt.
func (s *Sender) judge(d Leased, err error) (f failure, outcome string) {
	var refused *webhook.RefusedError
	var retryAfter time.Duration
	if errors.As(err, &refused) {
		retryAfter = refused.RetryAfter
	}
	f = failure{err: err, pause: pause(s.Pauses, int(d.Attempts), retryAfter)}
	switch {
	case errors.Is(err, webhook.ErrGone):
		f.giveUp, outcome = true, gone
	case int(d.Attempts) >= len(s.Pauses):
		f.giveUp, outcome = true, failed
	default:
		outcome = retried
	}
	return f, outcome
}

// maxError is how much of an error is kept, in bytes.
const maxError = 500

// storable returns a text that PostgreSQL can store.
func storable(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "")
	if len(text) > maxError {
		text = strings.ToValidUTF8(text[:maxError], "")
	}
	return text
}
