package ratelimit

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLocalLimiterForgets: a client that pauses has its whole quota again, and the limiter has forgotten it.
func TestLocalLimiterForgets(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := newLocalLimiter(now)
	for range 3 {
		require.True(t, l.take("a", 3, now).Allowed)
	}
	refused := l.take("a", 3, now)
	require.False(t, refused.Allowed)
	require.InDelta(t, 20, refused.Retry.Seconds(), 0.1)
	require.InDelta(t, 60, refused.Reset.Seconds(), 0.1)

	now = now.Add(61 * time.Second)
	require.True(t, l.take("b", 3, now).Allowed)
	now = now.Add(61 * time.Second)
	require.True(t, l.take("b", 3, now).Allowed)
	require.NotContains(t, l.recent, "a")
	require.NotContains(t, l.earlier, "a")
	require.Equal(t, 2, l.take("a", 3, now).Remaining)
}
