package rabbitmq

import (
	"context"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Connector opens sessions.
type Connector struct {
	cfg Config
	log *slog.Logger

	connected *prometheus.GaugeVec
	blocked   *prometheus.GaugeVec
	opened    *prometheus.CounterVec
}

// NewConnector returns a connector and registers the metrics of its sessions. It does not connect.
func NewConnector(cfg Config, log *slog.Logger, reg prometheus.Registerer) *Connector {
	f, label := promauto.With(reg), []string{"session"}
	return &Connector{
		cfg: cfg,
		log: log,
		connected: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "rabbitmq_session_connected",
			Help: "1 while the session is connected to RabbitMQ, else 0.",
		}, label),
		blocked: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "rabbitmq_session_blocked",
			Help: "1 while RabbitMQ does not read from the session, because its memory or disk is short, else 0.",
		}, label),
		opened: f.NewCounterVec(prometheus.CounterOpts{
			Name: "rabbitmq_sessions_opened_total",
			Help: "Sessions opened; more than one means that the connection was lost.",
		}, label),
	}
}

// Open opens one session that is not supervised, for a single task. The caller closes it.
func (c *Connector) Open(ctx context.Context, name string) (*Session, error) {
	blocked := c.blocked.WithLabelValues(name)
	return open(ctx, c.cfg, name, func(now bool) {
		if now {
			blocked.Set(1)
			c.log.Warn("RabbitMQ has blocked the connection: its memory or disk is short", "session", name)
			return
		}
		blocked.Set(0)
		c.log.Info("RabbitMQ reads from the connection again", "session", name)
	})
}

const (
	reconnectMin = 100 * time.Millisecond
	// stable is how long a session lives until the next fault counts as a new one.
	stable = 10 * time.Second
)

// Supervise opens a session and runs work on it. When the session or work fails, it opens the next session after a
// back-off and runs work again, for ever. It returns nil when ctx has ended or work has returned nil.
//
// The context of work ends when the session or ctx does. When ctx has ended, the session lives until work returns, so
// that work can finish what it has begun; work must return soon.
func (c *Connector) Supervise(
	ctx context.Context, name string, work func(context.Context, *Session) error,
) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = min(reconnectMin, c.cfg.ReconnectMax), c.cfg.ReconnectMax
	for {
		began := time.Now()
		err := c.run(ctx, name, work)
		if stopped := ctx.Err() != nil; stopped || err == nil {
			return nil //nolint:nilerr // a session that fails while the caller stops is no failure
		}
		if time.Since(began) > stable {
			pause.Reset()
		}
		wait := pause.NextBackOff()
		c.log.WarnContext(ctx, "the session with RabbitMQ has failed", "session", name, "error", err,
			"next_attempt_ms", wait.Milliseconds())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// run opens one session and runs work on it.
func (c *Connector) run(ctx context.Context, name string, work func(context.Context, *Session) error) error {
	connected := c.connected.WithLabelValues(name)
	connected.Set(0)
	s, err := c.Open(ctx, name)
	if err != nil {
		return err
	}
	defer s.Close()
	connected.Set(1)
	defer connected.Set(0)
	c.opened.WithLabelValues(name).Inc()
	c.log.InfoContext(ctx, "connected to RabbitMQ", "session", name)

	during, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	release := context.AfterFunc(s.life, func() { stop(s.Err()) })
	defer release()
	err = work(during, s)
	if ended := s.Err(); ended != nil {
		return ended // the reason why work has failed, or the reason to run it again
	}
	return err
}
