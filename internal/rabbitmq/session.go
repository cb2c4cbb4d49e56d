package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// closeTimeout bounds the orderly end of a connection.
const closeTimeout = 3 * time.Second

// Session is a connection to RabbitMQ that lives until its first fault. Its methods may be called from several
// goroutines.
type Session struct {
	conn    *amqp.Connection
	socket  net.Conn
	timeout time.Duration // for confirms

	life context.Context // ends with the session; its cause says why
	end  context.CancelCauseFunc

	watchers sync.WaitGroup

	mu        sync.Mutex
	unblocked chan struct{} // closed while the broker reads from the connection
	onBlocked func(blocked bool)
}

// ErrSessionEnded is in the chain of the error of everything that ended with its session.
var ErrSessionEnded = errors.New("the session with RabbitMQ has ended")

// open connects. ctx bounds the attempt and not the session.
func open(ctx context.Context, cfg Config, name string, onBlocked func(bool)) (*Session, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.ConnectTimeout)
	defer cancel()
	// The library reads settings of TLS from the address too, one of which turns the check of the server off. With
	// settings of our own it ignores those.
	secure, err := cfg.tls().Build()
	if err != nil {
		return nil, fmt.Errorf("AMQP_TLS_*: %w", err)
	}
	var socket net.Conn
	conn, err := amqp.DialConfig(cfg.URL, amqp.Config{
		Heartbeat:       cfg.Heartbeat,
		Locale:          "en_US",
		Properties:      amqp.Table{"connection_name": "holdfast-" + name, "product": "holdfast"},
		TLSClientConfig: secure,
		Dial: func(network, address string) (net.Conn, error) {
			var err error
			if socket, err = (&net.Dialer{}).DialContext(ctx, network, address); err != nil {
				return nil, err
			}
			deadline, _ := ctx.Deadline()
			return socket, socket.SetDeadline(deadline) // the library clears it after the handshake
		},
	})
	if err != nil {
		return nil, fmt.Errorf("connect to RabbitMQ: %w", err)
	}

	s := &Session{
		conn:      conn,
		socket:    socket,
		timeout:   cfg.ConfirmTimeout,
		unblocked: make(chan struct{}),
		onBlocked: onBlocked,
	}
	close(s.unblocked)
	s.life, s.end = context.WithCancelCause(context.Background())
	s.watch("connection", conn.NotifyClose(make(chan *amqp.Error, 1)))
	s.watchBlocked(conn.NotifyBlocked(make(chan amqp.Blocking, 1)))
	return s, nil
}

// watch ends the session when the given part of it closes.
func (s *Session) watch(part string, closed <-chan *amqp.Error) {
	s.watchers.Go(func() {
		if cause := <-closed; cause != nil {
			s.end(fmt.Errorf("%w: %s closed: %w", ErrSessionEnded, part, cause))
			return
		}
		s.end(fmt.Errorf("%w: %s closed", ErrSessionEnded, part))
	})
}

// watchBlocked follows what the broker says about reading from this connection. It reads none from a connection that
// publishes while memory or disk are short.
func (s *Session) watchBlocked(changes <-chan amqp.Blocking) {
	s.watchers.Go(func() {
		blocked := false
		for change := range changes {
			if change.Active == blocked {
				continue
			}
			blocked = change.Active
			s.setBlocked(blocked)
		}
		if blocked {
			s.setBlocked(false)
		}
	})
}

func (s *Session) setBlocked(blocked bool) {
	s.mu.Lock()
	if blocked {
		s.unblocked = make(chan struct{})
	} else {
		close(s.unblocked)
	}
	s.mu.Unlock()
	s.onBlocked(blocked)
}

// readable returns a channel that is closed while the broker reads from the connection.
func (s *Session) readable() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unblocked
}

// Blocked reports whether the broker has stopped reading what this connection publishes.
func (s *Session) Blocked() bool {
	select {
	case <-s.readable():
		return false
	default:
		return true
	}
}

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.life.Done() }

// Err says why the session has ended; nil while it lives. The error wraps ErrSessionEnded.
func (s *Session) Err() error { return context.Cause(s.life) }

// Close ends the session. Deliveries that were not acknowledged come again, to any consumer.
func (s *Session) Close() {
	s.end(fmt.Errorf("%w: it was closed", ErrSessionEnded))
	// A write that the broker does not read holds the locks that an orderly close needs, so the socket's deadline ends it.
	_ = s.socket.SetWriteDeadline(time.Now().Add(closeTimeout))
	_ = s.conn.CloseDeadline(time.Now().Add(closeTimeout)) // an error means that the connection is gone already
	_ = s.socket.Close()
	s.watchers.Wait()
}

// fail ends the session because of err, without a conversation with the broker.
func (s *Session) fail(err error) {
	s.end(fmt.Errorf("%w: %w", ErrSessionEnded, err))
	_ = s.socket.Close()
}

// channel opens a channel whose end is the end of the session.
func (s *Session) channel(what string) (*amqp.Channel, error) {
	ch, err := s.conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("open a channel of RabbitMQ: %w", err)
	}
	s.watch(what, ch.NotifyClose(make(chan *amqp.Error, 1)))
	return ch, nil
}

// onOwnChannel runs do on a channel of its own: the broker closes the channel of a call that it refuses, and the
// session goes on.
func (s *Session) onOwnChannel(do func(*amqp.Channel) error) error {
	ch, err := s.conn.Channel()
	if err != nil {
		return fmt.Errorf("open a channel of RabbitMQ: %w", err)
	}
	defer func() { _ = ch.Close() }() // it is closed already if the broker has refused the call
	return do(ch)
}

// Consume returns the deliveries of a queue; at most prefetch of them are unacknowledged at a time. The caller
// acknowledges or rejects each Delivery. The channel is closed when ctx ends or the session does; deliveries that were
// not acknowledged before the end of the session come again. Acknowledging a delivery of an ended session returns an
// error and changes nothing.
func (s *Session) Consume(ctx context.Context, queue string, prefetch int) (<-chan amqp.Delivery, error) {
	ch, err := s.channel("channel of the consumer of " + queue)
	if err != nil {
		return nil, err
	}
	if err := ch.Qos(prefetch, 0, false); err != nil {
		return nil, fmt.Errorf("set the prefetch of the consumer of %q: %w", queue, err)
	}

	cancelled := ch.NotifyCancel(make(chan string, 1))
	s.watchers.Go(func() {
		if _, told := <-cancelled; told { // the queue was deleted, or has lost its leader
			s.fail(fmt.Errorf("the broker has cancelled the consumer of %q", queue))
		}
	})
	deliveries, err := ch.ConsumeWithContext(ctx, queue, "", false, false, false, false, nil)
	if err != nil {
		return nil, fmt.Errorf("consume %q: %w", queue, err)
	}
	return deliveries, nil
}
