package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// depthInterval is how often a monitor asks for the depth of the queues.
const depthInterval = 5 * time.Second

// Monitor exports how much the queues of a topology hold, and tells whether RabbitMQ answers.
type Monitor struct {
	connector *Connector
	topology  Topology
	messages  *prometheus.GaugeVec
	consumers *prometheus.GaugeVec

	asking sync.Mutex // held while Ping waits for RabbitMQ

	mu      sync.Mutex
	session *Session // nil while there is none
	last    error    // why there is none
}

// NewMonitor returns a monitor. It knows nothing before Run runs.
func NewMonitor(c *Connector, t Topology, reg prometheus.Registerer) *Monitor {
	f := promauto.With(reg)
	return &Monitor{
		connector: c,
		topology:  t,
		last:      errors.New("not connected yet"),
		messages: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "rabbitmq_queue_ready_messages",
			Help: "Messages in the queue that wait for a consumer.",
		}, []string{"queue"}),
		consumers: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "rabbitmq_queue_consumers",
			Help: "Consumers of the queue.",
		}, []string{"queue"}),
	}
}

// Run declares the topology and watches its queues until ctx ends.
func (m *Monitor) Run(ctx context.Context) error {
	return m.connector.Supervise(ctx, "monitor", func(ctx context.Context, s *Session) error {
		err := m.watch(ctx, s)
		m.set(nil, err)
		m.messages.Reset() // an old number would look like a new one
		m.consumers.Reset()
		return err
	})
}

func (m *Monitor) watch(ctx context.Context, s *Session) error {
	if err := s.Declare(m.topology); err != nil {
		return err
	}
	m.set(s, nil)
	for {
		for _, q := range m.topology.Queues {
			depth, err := s.Depth(q.Name)
			if err != nil {
				return err // the next session declares a queue that was deleted
			}
			m.messages.WithLabelValues(q.Name).Set(float64(depth.Ready))
			m.consumers.WithLabelValues(q.Name).Set(float64(depth.Consumers))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(depthInterval):
		}
	}
}

func (m *Monitor) set(s *Session, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.session = s
	if err != nil {
		m.last = err
	}
}

// Ping asks RabbitMQ something. It fails if there is no session, or no answer before ctx ends.
func (m *Monitor) Ping(ctx context.Context) error {
	m.mu.Lock()
	s, last := m.session, m.last
	m.mu.Unlock()
	if s == nil {
		return fmt.Errorf("no session with RabbitMQ: %w", last)
	}
	if !m.asking.TryLock() {
		return errors.New("RabbitMQ has not answered the last question yet")
	}

	answer := make(chan error, 1)
	go func() {
		defer m.asking.Unlock()
		_, err := s.Depth(m.topology.Queues[0].Name)
		answer <- err
	}()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
