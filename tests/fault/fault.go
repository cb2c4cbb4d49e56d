// Package fault puts faults between the platform's real processes: a test starts a proxy before a
// service, gives the proxy's address to the callers of that service, and then changes what the proxy
// does while traffic flows.
//
// HTTP stands before an HTTP service, Postgres before PostgreSQL, GRPC before Temporal, TCP before
// any other server. Each can be switched up, down or hanging (Switch); all but TCP have rules that
// act on single requests (Rule). The most useful rule lets the service perform a request and loses the
// answer: the caller cannot know whether the request was performed.
//
// All proxies are safe for concurrent use, listen on 127.0.0.1 only and end with their test.
package fault

import (
	"context"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

type mode int

const (
	up mode = iota
	hanging
	down
)

// Switch is the state of a proxy and the connections that it has accepted. A new proxy is up.
type Switch struct {
	// life ends with the test. alive is its child and ends at the next Down, so that work for a connection
	// that was cut never goes on, even when Up follows at once.
	life context.Context
	end  context.CancelFunc

	mu      sync.Mutex
	mode    mode
	changed chan struct{} // closed at the next change of mode
	alive   context.Context
	cut     context.CancelFunc
	conns   map[*conn]struct{}
}

func newSwitch() *Switch {
	s := &Switch{changed: make(chan struct{}), conns: map[*conn]struct{}{}}
	s.life, s.end = context.WithCancel(context.Background())
	s.alive, s.cut = context.WithCancel(s.life)
	return s
}

// Up lets everything through. Requests that waited because of Hang go on.
func (s *Switch) Up() { s.set(up) }

// Hang keeps connections open and stops all traffic, in both directions, until Up or Down: to its callers
// the service is there and does not answer.
func (s *Switch) Hang() { s.set(hanging) }

// Down cuts every connection and every new one at once.
func (s *Switch) Down() { s.set(down) }

func (s *Switch) set(m mode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = m
	close(s.changed)
	s.changed = make(chan struct{})
	if m != down {
		return
	}
	s.cut()
	s.alive, s.cut = context.WithCancel(s.life)
	for c := range s.conns {
		c.reset()
	}
	clear(s.conns)
}

// await returns once the proxy is up, and an error when ctx ended before. A ctx that comes from alive
// has ended by the time at which Down returns.
func (s *Switch) await(ctx context.Context) error {
	for {
		s.mu.Lock()
		m, changed := s.mode, s.changed
		s.mu.Unlock()
		if err := ctx.Err(); err != nil {
			return err
		}
		switch m {
		case up:
			return nil
		case down:
			return context.Canceled
		case hanging:
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// era is the context that ends at the next Down.
func (s *Switch) era() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alive
}

// close is Down for good: it also ends everything in the proxy that still waits.
func (s *Switch) close() {
	s.Down()
	s.end()
}

// listener hands out the connections that the switch lets in.
type listener struct {
	net.Listener
	s *Switch
}

func (s *Switch) listen(t testing.TB) *listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return &listener{l, s}
}

func (l *listener) address() string { return l.Addr().String() }

// Accept also accepts while the proxy is down: if it closed the port, another program could take it.
func (l *listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.s.admit(raw); c != nil {
			return c, nil
		}
	}
}

func (s *Switch) admit(raw net.Conn) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &conn{Conn: raw, s: s, alive: s.alive}
	if s.mode == down {
		c.reset()
		return nil
	}
	s.conns[c] = struct{}{}
	return c
}

// conn is a client's connection. Its context ends when it is cut by Down.
type conn struct {
	net.Conn
	s     *Switch
	alive context.Context
}

func (c *conn) Close() error {
	c.s.mu.Lock()
	delete(c.s.conns, c)
	c.s.mu.Unlock()
	return c.Conn.Close()
}

// reset closes the connection as a crash does: it sends a TCP reset to the client.
func (c *conn) reset() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // fails on a closed connection only
	}
	_ = c.Conn.Close()
}
