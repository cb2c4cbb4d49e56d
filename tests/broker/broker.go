// Package broker gives a test exchanges and queues of its own on the RabbitMQ that all tests share.
package broker

import (
	"crypto/rand"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"holdfast/internal/rabbitmq"
	"holdfast/tests/testenv"
)

// Topology is the platform's topology under names that only one test uses.
type Topology struct {
	rabbitmq.Topology
	prefix string
}

// New returns a topology that does not exist yet. What has been declared of it is deleted when the test ends. change
// may change a queue.
func New(t testing.TB, change func(*rabbitmq.Queue)) Topology {
	t.Helper()
	o := Topology{prefix: strings.ToLower(rand.Text()[:8]) + ":", Topology: rabbitmq.Platform()}
	for i := range o.Exchanges {
		e := &o.Exchanges[i]
		e.Name = o.Name(e.Name)
		if e.Alternate != "" {
			e.Alternate = o.Name(e.Alternate)
		}
	}
	for i := range o.Queues {
		q := &o.Queues[i]
		q.Name = o.Name(q.Name)
		for j := range q.Bindings {
			q.Bindings[j].Exchange = o.Name(q.Bindings[j].Exchange)
		}
		switch {
		case q.DeadLetters == nil:
		case q.DeadLetters.Exchange == "": // the default exchange, whose keys are queues
			q.DeadLetters = &rabbitmq.Binding{Key: o.Name(q.DeadLetters.Key)}
		default:
			q.DeadLetters = &rabbitmq.Binding{Exchange: o.Name(q.DeadLetters.Exchange)}
		}
		if change != nil {
			change(q)
		}
	}
	for i := range o.Retired {
		r := &o.Retired[i]
		r.Queue, r.Binding.Exchange = o.Name(r.Queue), o.Name(r.Binding.Exchange)
	}
	t.Cleanup(func() { o.remove(t) })
	return o
}

// Name is this topology's name for an exchange or queue of the platform.
func (o Topology) Name(name string) string { return o.prefix + name }

func (o Topology) remove(t testing.TB) {
	t.Helper()
	conn, err := amqp.Dial(testenv.RabbitMQ(t))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	require.NoError(t, err)
	for _, q := range o.Queues {
		_, err := ch.QueueDelete(q.Name, false, false, false)
		require.NoError(t, err)
	}
	for _, e := range o.Exchanges {
		require.NoError(t, ch.ExchangeDelete(e.Name, false, false))
	}
}
