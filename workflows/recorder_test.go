package workflows

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/internal/order"
)

// TestEveryEventIsRepeatableOrNot: a new event must say whether it may be recorded before its task is in the history.
func TestEveryEventIsRepeatableOrNot(t *testing.T) {
	t.Parallel()
	for _, e := range order.Events() {
		require.Contains(t, repeatable, e)
	}
	require.Len(t, repeatable, len(order.Events()))
}
