package events

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/internal/order"
)

// TestEveryEventIsDecided: a new event of an order must say whether it is published.
func TestEveryEventIsDecided(t *testing.T) {
	t.Parallel()
	for _, e := range order.Events() {
		require.Contains(t, published, e)
	}
	require.Len(t, published, len(order.Events()))
}
