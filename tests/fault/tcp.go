package fault

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TCP is a proxy before any TCP server. It does not read the traffic, so it has only the Switch.
type TCP struct {
	*Switch
	address string
	target  string
}

// NewTCP starts a proxy before the server at target, a host and port.
func NewTCP(t testing.TB, target string) *TCP {
	t.Helper()
	p := &TCP{Switch: newSwitch(), target: target}
	l := p.listen(t)
	p.address = l.address()
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				assert.ErrorIs(t, err, net.ErrClosed)
				return
			}
			running.Go(func() { p.serve(c.(*conn)) })
		}
	})
	t.Cleanup(func() {
		p.close()
		assert.NoError(t, l.Close())
		running.Wait()
	})
	return p
}

// Address is the proxy's host and port.
func (p *TCP) Address() string { return p.address }

// serve joins a client's connection to a connection of its own to the server. The end of either ends both.
func (p *TCP) serve(client *conn) {
	ctx, cancel := context.WithCancel(client.alive)
	defer cancel()
	defer func() { _ = client.Close() }()
	if p.await(ctx) != nil {
		return
	}
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.target)
	if err != nil {
		return // the client sees a server that is down
	}
	var others sync.WaitGroup
	others.Go(func() {
		<-ctx.Done()
		_, _ = client.Close(), server.Close() // ends the reads from both
	})
	others.Go(func() {
		defer cancel()
		p.pass(ctx, server, client)
	})
	p.pass(ctx, client, server)
	cancel()
	others.Wait()
}

// pass copies the traffic while the proxy is up.
func (p *TCP) pass(ctx context.Context, to io.Writer, from io.Reader) {
	chunk := make([]byte, 32<<10)
	for {
		n, err := from.Read(chunk)
		if err != nil || p.await(ctx) != nil {
			return
		}
		if _, err := to.Write(chunk[:n]); err != nil {
			return
		}
	}
}
