package fault

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

func TestPostgresDownCutsAndThePoolRecovers(t *testing.T) {
	t.Parallel()
	p, _, rows := newTable(t)
	pool := newPool(t, p.URL())
	for i := range 3 {
		require.NoError(t, insert(t.Context(), pool, i))
		tx, err := pool.Begin(t.Context())
		require.NoError(t, err)
		p.Down()
		_, err = tx.Exec(t.Context(), "SELECT 1")
		require.Error(t, err)
		_ = tx.Rollback(t.Context())
		require.Error(t, insert(t.Context(), pool, 100))
		p.Up()
	}
	require.NoError(t, insert(t.Context(), pool, 3))
	require.Equal(t, 4, rows())
}

func TestPostgresHangPassesNothingAndKeepsConnections(t *testing.T) {
	t.Parallel()
	p, _, rows := newTable(t)
	pool := newPool(t, p.URL())
	require.NoError(t, insert(t.Context(), pool, 1))
	p.Hang()
	during := result(func() error { return insert(t.Context(), pool, 2) })
	fresh, err := pgxpool.New(t.Context(), p.URL())
	require.NoError(t, err)
	defer fresh.Close()
	connecting := result(func() error { return insert(t.Context(), fresh, 3) })
	blocked(t, "the statement", during)
	blocked(t, "the new connection", connecting)
	require.Equal(t, 1, rows())
	p.Up()
	require.NoError(t, ended(t, "the statement", during))
	require.NoError(t, ended(t, "the new connection", connecting))
	require.Equal(t, 3, rows())

	p.Hang()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, insert(ctx, pool, 4), context.DeadlineExceeded)
	p.Down()
	p.Up()
	require.NoError(t, insert(t.Context(), pool, 5))
	require.Equal(t, 4, rows(), "a statement that hung before Down has not arrived")
}

func TestPostgresAnswerHangsToo(t *testing.T) {
	t.Parallel()
	p, url, rows := newTable(t)
	pool, direct := newPool(t, p.URL()), newPool(t, url)
	lock, err := direct.Begin(t.Context())
	require.NoError(t, err)
	_, err = lock.Exec(t.Context(), "LOCK TABLE items IN EXCLUSIVE MODE")
	require.NoError(t, err)
	sent := result(func() error {
		_, err := pool.Exec(t.Context(), "INSERT INTO items VALUES (1)")
		return err
	})
	require.Eventually(t, func() bool { // the server has the statement
		var waiting int
		err := direct.QueryRow(t.Context(),
			"SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'items'::regclass").Scan(&waiting)
		return err == nil && waiting == 1
	}, 20*time.Second, 5*time.Millisecond)
	p.Hang()
	require.NoError(t, lock.Rollback(t.Context()))
	require.Eventually(t, func() bool { return rows() == 1 }, 20*time.Second, 5*time.Millisecond)
	blocked(t, "the answer", sent)
	p.Up()
	require.NoError(t, ended(t, "the answer", sent))
}

func TestPostgresServerThatIsAway(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	p := NewPostgres(t, "postgres://holdfast@"+l.Addr().String()+"/postgres?sslmode=disable")
	require.Error(t, newPool(t, p.URL()).Ping(t.Context()))
}

// TestPostgresSwitchesUnderTraffic tests for races, and for transactions that neither commit nor fail.
func TestPostgresSwitchesUnderTraffic(t *testing.T) {
	t.Parallel()
	p, _, rows := newTable(t)
	pool := newPool(t, p.URL())
	var wg sync.WaitGroup
	var mu sync.Mutex
	succeeded := 0
	for w := range 4 {
		wg.Go(func() {
			for i := range 20 {
				if insert(t.Context(), pool, w*20+i) == nil {
					mu.Lock()
					succeeded++
					mu.Unlock()
				}
			}
		})
	}
	for range 20 {
		p.Down()
		p.Up()
		p.LoseCommits(1)
		p.Hang()
		p.Up()
	}
	require.NoError(t, ended(t, "the traffic", result(func() error { wg.Wait(); return nil })))
	require.GreaterOrEqual(t, rows(), succeeded)
	require.LessOrEqual(t, rows(), 80)
}
