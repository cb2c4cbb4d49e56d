package fault

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Postgres is a proxy before PostgreSQL. Connections through it are not encrypted: it has to read them.
type Postgres struct {
	*Switch
	url    string
	target string
	losses rules[string] // of the answer to a COMMIT, or to a statement with a text
}

// NewPostgres starts a proxy before the server that databaseURL names by host and port.
func NewPostgres(t testing.TB, databaseURL string) *Postgres {
	t.Helper()
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	require.NotEmpty(t, u.Hostname(), "the database's URL must name a host")
	port := u.Port()
	if port == "" {
		port = "5432"
	}
	p := &Postgres{Switch: newSwitch(), target: net.JoinHostPort(u.Hostname(), port)}
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

// URL is the database's URL by way of the proxy. It does not change.
func (p *Postgres) URL() string { return p.url }

// LoseCommits lets the next n COMMITs happen, on any connection, and then cuts the client's connection
// instead of passing on the server's answer: the client cannot know that its transaction is durable. A
// COMMIT that the server refuses, or answers with ROLLBACK, does not count; nor does a statement outside a
// transaction.
func (p *Postgres) LoseCommits(n int) *Rule {
	return p.losses.add(func(text string) bool { return text == commit }, newRule(n))
}

// LoseStatements is LoseCommits for a statement that is executed outside a transaction. part is a part of its text,
// such as the name that sqlc gives it. A statement that the server refuses does not count.
func (p *Postgres) LoseStatements(part string, n int) *Rule {
	return p.losses.add(func(text string) bool { return text != commit && strings.Contains(text, part) }, newRule(n))
}

const commit = "COMMIT"

// serve joins a client's connection to a connection of its own to the server. The end of either ends both.
func (p *Postgres) serve(client *conn) {
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
	asked := &statements{texts: map[string]string{}}
	var others sync.WaitGroup
	others.Go(func() {
		<-ctx.Done()
		_, _ = client.Close(), server.Close() // ends the reads from both
	})
	others.Go(func() {
		defer cancel()
		p.ask(ctx, server, client, asked)
	})
	p.answer(ctx, client, server, asked)
	cancel()
	others.Wait()
}

// Codes that a client may send in place of the protocol's version: PostgreSQL's documentation, "Message
// Formats".
const (
	sslRequest    = 80877103
	gssEncRequest = 80877104
)

// ask passes on what the client sends. It refuses encryption at the start of the connection.
func (p *Postgres) ask(ctx context.Context, server io.Writer, client net.Conn, asked *statements) {
	start := make([]byte, 8) // length and code
	for {
		if _, err := io.ReadFull(client, start); err != nil {
			return
		}
		if code := binary.BigEndian.Uint32(start[4:]); code != sslRequest && code != gssEncRequest {
			break
		}
		if p.await(ctx) != nil {
			return
		}
		if _, err := client.Write([]byte{'N'}); err != nil {
			return
		}
	}
	chunk := append(make([]byte, 0, 32<<10), start...)
	for {
		if p.await(ctx) != nil {
			return
		}
		asked.feed(chunk)
		if _, err := server.Write(chunk); err != nil {
			return
		}
		n, err := client.Read(chunk[:cap(chunk)])
		if err != nil {
			return
		}
		chunk = chunk[:n]
	}
}

const (
	// commandComplete is the message that ends a statement; its text starts with the command's name. The
	// server sends it for a COMMIT once the transaction is durable, in the simple and in the extended
	// protocol alike.
	commandComplete = 'C'
	// readyForQuery is the message after which the client may ask again. If its text is idle, no transaction is open:
	// a statement outside a transaction is durable then.
	readyForQuery = 'Z'
	idle          = 'I'
	// errorResponse is the message that refuses a statement.
	errorResponse = 'E'
)

var errCommitLost = errors.New("fault: the answer to a COMMIT was lost")

// answer passes on what the server sends, message by message.
func (p *Postgres) answer(ctx context.Context, client *conn, server net.Conn, asked *statements) {
	from, to := bufio.NewReaderSize(server, 32<<10), bufio.NewWriterSize(client, 32<<10)
	for {
		if err := p.message(ctx, to, from, asked); err != nil {
			if errors.Is(err, errCommitLost) {
				client.reset()
			}
			return
		}
		if from.Buffered() == 0 && to.Flush() != nil {
			return
		}
	}
}

// message passes on one message: a type, a length that counts itself, and a text.
func (p *Postgres) message(ctx context.Context, to *bufio.Writer, from *bufio.Reader, asked *statements) error {
	head, err := from.Peek(5)
	if err != nil {
		return err
	}
	if err := p.await(ctx); err != nil {
		return err
	}
	kind, size := head[0], int64(binary.BigEndian.Uint32(head[1:]))+1
	done := ""
	switch kind {
	case commandComplete:
		whole, err := from.Peek(int(min(size, 5+7)))
		if err != nil {
			return err
		}
		if string(whole[5:]) == commit+"\x00" {
			done = commit
		}
	case errorResponse:
		asked.done()
	case readyForQuery:
		whole, err := from.Peek(int(size))
		if err != nil {
			return err
		}
		if text := asked.done(); whole[5] == idle {
			done = text
		}
	}
	if done != "" {
		if rule := p.losses.take(done); rule != nil {
			rule.acted()
			return errCommitLost
		}
	}
	_, err = io.CopyN(to, from, size)
	return err
}
