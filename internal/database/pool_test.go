package database_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/database"
	"holdfast/tests/testenv"
)

// TestMinConns: a pool keeps connections open before anyone uses it, and no more than it may have.
func TestMinConns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ least, most, want int32 }{{3, 10, 3}, {10, 2, 2}} {
		pool, err := database.Open(t.Context(), testenv.Database(t), database.Pool{
			MinConns: c.least, MaxConns: c.most, ConnectTimeout: 5 * time.Second,
		}, "test", nil)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		require.Eventually(t, func() bool { return pool.Stat().IdleConns() == c.want }, 10*time.Second, 10*time.Millisecond)
	}
	require.ErrorContains(t, (&database.Pool{MaxConns: 1, MinConns: -1}).Validate(), "DATABASE_MIN_CONNS")
}
