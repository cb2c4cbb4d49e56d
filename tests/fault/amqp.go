package fault

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// AMQP is a proxy before RabbitMQ. Connections through it are not encrypted: it has to read them.
type AMQP struct {
	*Switch
	url    string
	target string
	holds  rules[amqpMethod]
	losses rules[amqpMethod]
}

// amqpMethod is a method of AMQP 0-9-1: a class and the method's number in it.
type amqpMethod struct{ class, id uint16 }

// The methods that the proxy knows: the specification of AMQP 0-9-1, "Class Basic", and RabbitMQ's confirms, which are
// the only acks that a broker sends.
var (
	basicPublish = amqpMethod{60, 40}
	basicAck     = amqpMethod{60, 80}
)

// NewAMQP starts a proxy before the broker that brokerURL names by host and port.
func NewAMQP(t testing.TB, brokerURL string) *AMQP {
	t.Helper()
	u, err := url.Parse(brokerURL)
	require.NoError(t, err)
	require.NotEmpty(t, u.Port(), "the broker's URL must name a port")
	p := &AMQP{Switch: newSwitch(), target: u.Host}
	l := p.listen(t)
	u.Host = l.address()
	p.url = u.String()
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

// URL is the broker's URL by way of the proxy. It does not change.
func (p *AMQP) URL() string { return p.url }

// HoldPublishes keeps the next n messages from the broker until the rule is released. What the client sends on the same
// connection waits behind them.
func (p *AMQP) HoldPublishes(n int) *Rule { return p.holds.add(is(basicPublish), newRule(n)) }

// HoldConfirms keeps the next n confirms from the client until the rule is released: the broker has the message, and
// the client does not know it. What the broker sends on the same connection waits behind them.
func (p *AMQP) HoldConfirms(n int) *Rule { return p.holds.add(is(basicAck), newRule(n)) }

// LoseConfirms cuts the client's connection instead of passing on a confirm, n times: the broker has the message, and
// the client cannot know it.
func (p *AMQP) LoseConfirms(n int) *Rule { return p.losses.add(is(basicAck), newRule(n)) }

func is(wanted amqpMethod) func(amqpMethod) bool {
	return func(m amqpMethod) bool { return m == wanted }
}

// serve joins a client's connection to a connection of its own to the broker. The end of either ends both.
func (p *AMQP) serve(client *conn) {
	ctx, cancel := context.WithCancel(client.alive)
	defer cancel()
	defer func() { _ = client.Close() }()
	if p.await(ctx) != nil {
		return
	}
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.target)
	if err != nil {
		return // the client sees a broker that is down
	}
	var others sync.WaitGroup
	others.Go(func() {
		<-ctx.Done()
		_, _ = client.Close(), server.Close() // ends the reads from both
	})
	others.Go(func() {
		defer cancel()
		const protocolHeader = 8 // "AMQP" and a version, before the first frame
		if _, err := io.CopyN(server, client, protocolHeader); err == nil {
			_ = p.pass(ctx, server, client)
		}
	})
	if errors.Is(p.pass(ctx, client, server), errConfirmLost) {
		client.reset()
	}
	cancel()
	others.Wait()
}

var errConfirmLost = errors.New("fault: a confirm was lost")

// pass copies the traffic frame by frame.
func (p *AMQP) pass(ctx context.Context, destination io.Writer, source io.Reader) error {
	from, to := bufio.NewReaderSize(source, 256<<10), bufio.NewWriterSize(destination, 32<<10)
	for {
		if err := p.frame(ctx, to, from); err != nil {
			return err
		}
		if from.Buffered() == 0 {
			if err := to.Flush(); err != nil {
				return err
			}
		}
	}
}

const (
	frameHeader = 7 // type, channel and size
	methodFrame = 1
)

// frame passes on one frame: a type, a channel, a size, a payload of that size, and an end mark.
func (p *AMQP) frame(ctx context.Context, to *bufio.Writer, from *bufio.Reader) error {
	head, err := from.Peek(frameHeader)
	if err != nil {
		return err
	}
	if err := p.await(ctx); err != nil {
		return err
	}
	size := int64(binary.BigEndian.Uint32(head[3:]))
	if head[0] == methodFrame {
		whole, err := from.Peek(frameHeader + 4)
		if err != nil {
			return err
		}
		payload := whole[frameHeader:]
		m := amqpMethod{binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:])}
		if rule := p.losses.take(m); rule != nil {
			rule.acted()
			return errConfirmLost
		}
		if rule := p.holds.take(m); rule != nil {
			if err := to.Flush(); err != nil { // what came before is not held
				return err
			}
			rule.acted()
			rule.wait(ctx)
			if err := ctx.Err(); err != nil {
				return err // the connection was cut meanwhile
			}
		}
	}
	_, err = io.CopyN(to, from, frameHeader+size+1)
	return err
}
