package consumer

import (
	"context"

	"holdfast/internal/rabbitmq"
)

// aside publishes the messages that a consumer puts aside, on a session of its own: while the broker is short of memory
// it does not read from connections that publish, and the consumer's acknowledgements must arrive.
type aside struct {
	connector *rabbitmq.Connector
	topology  rabbitmq.Topology
	name      string
	requests  chan request
}

type request struct {
	message rabbitmq.Message
	done    chan error // has room for the answer
}

func newAside(connector *rabbitmq.Connector, topology rabbitmq.Topology, name string) *aside {
	return &aside{connector: connector, topology: topology, name: name, requests: make(chan request)}
}

// publish returns nil once the broker has the message in a queue. It waits for a session until ctx ends.
func (a *aside) publish(ctx context.Context, m rabbitmq.Message) error {
	r := request{message: m, done: make(chan error, 1)}
	select {
	case a.requests <- r:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run publishes until ctx ends.
func (a *aside) run(ctx context.Context) error {
	return a.connector.Supervise(ctx, a.name, func(ctx context.Context, s *rabbitmq.Session) error {
		if err := s.Declare(a.topology); err != nil {
			return err
		}
		publisher, err := s.Publisher(1)
		if err != nil {
			return err
		}
		for {
			select {
			case <-ctx.Done():
				return s.Err()
			case r := <-a.requests:
				r.done <- publisher.Publish(ctx, []rabbitmq.Message{r.message})[0]
			}
		}
	})
}
