package availability

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/inventory/stock"
)

// TestSlowReadIsNotStoredPastADeadline: a read of the database took ten milliseconds. A value whose next deadline has
// come meanwhile is not stored, and another value is stored for as long as is left.
func TestSlowReadIsNotStoredPastADeadline(t *testing.T) {
	t.Parallel()
	values := make([]stock.Availability, 4)
	for i, fresh := range []time.Duration{0, 5, 10, 25} { // 0: no reservation holds the stock
		values[i].FreshFor = fresh * time.Millisecond
	}

	left := aged(values, 10*time.Millisecond)
	require.Len(t, left, 2)
	require.Zero(t, left[0].FreshFor)
	require.Equal(t, 15*time.Millisecond, left[1].FreshFor)
}
