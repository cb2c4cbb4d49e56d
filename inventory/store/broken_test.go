package store

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/internal/database"
	"holdfast/inventory/stock"
	"holdfast/tests/testenv"
)

// fragile is a connection that the test can cut. Once it is cut, each write begins with a delay.
type fragile struct {
	net.Conn
	cut *atomic.Bool
}

func (c fragile) Write(b []byte) (int, error) {
	if c.cut.Load() {
		time.Sleep(20 * time.Millisecond)
	}
	return c.Conn.Write(b)
}

// Read fails once the connection is cut. CloseRead alone is not enough: Linux still delivers what arrives later.
func (c fragile) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.cut.Load() {
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// TestConnectionBreaksInsideATransaction: pgx closes a broken connection in a goroutine of its own. If another
// goroutine writes to the connection at the same time, pgx panics there, which ends the process.
func TestConnectionBreaksInsideATransaction(t *testing.T) {
	t.Parallel()
	url := testenv.Database(t)
	_, err := database.Migrate(t.Context(), url, database.Inventory)
	require.NoError(t, err)
	cfg, err := pgxpool.ParseConfig(url)
	require.NoError(t, err)

	var cut atomic.Bool
	var conn net.Conn
	dial := cfg.ConnConfig.DialFunc
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if cut.Load() { // pgx dials to cancel the statement that the server may still be running
			return nil, errors.New("the network is down")
		}
		var err error
		conn, err = dial(ctx, network, address)
		return fragile{conn, &cut}, err
	}
	cfg.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(t.Context()), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)

	s := New(pool)
	for range 5 {
		err = s.Decide(t.Context(), stock.Reads{}, func(*stock.Book) (stock.Changes, error) {
			cut.Store(true)
			return stock.Changes{Items: []*stock.Item{{ID: 1}}}, conn.(*net.TCPConn).CloseRead()
		})
		require.Equal(t, Disconnected, Classify(err), "%v", err)
		cut.Store(false)
		require.NoError(t, pool.Ping(t.Context()), "the pool opens another connection")
	}
}
