package merchantwebhook

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPauses: the attempts are those of the Standard Webhooks specification, each a little later than that at random.
func TestPauses(t *testing.T) {
	t.Parallel()
	var sum time.Duration
	for _, p := range Pauses() {
		sum += p
	}
	require.Len(t, Pauses(), 10)
	require.Equal(t, 75*time.Hour+35*time.Minute+5*time.Second, sum)

	for failed := 1; failed < len(Pauses()); failed++ {
		want, various := Pauses()[failed], map[time.Duration]bool{}
		for range 50 {
			got := pause(Pauses(), failed, 0)
			require.GreaterOrEqual(t, got, want)
			require.LessOrEqual(t, got, want+want/10)
			various[got] = true
		}
		require.Greater(t, len(various), 25, "it varies")
	}
}

// TestRetryAfterIsBounded: a receiver that asks for a longer pause gets it, and not for ever.
func TestRetryAfterIsBounded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ asked, want time.Duration }{
		{time.Second, 5 * time.Second},
		{time.Hour, time.Hour},
		{1000 * time.Hour, 24 * time.Hour},
	} {
		got := pause(Pauses(), 1, c.asked)
		require.GreaterOrEqual(t, got, c.want)
		require.LessOrEqual(t, got, c.want+c.want/10)
	}
}
