package orderstore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/order"
	"holdfast/internal/orderstore"
)

// TestOpenOrders: every state that is not closed has a count, with the age of its oldest order, and closed orders do
// not count.
func TestOpenOrders(t *testing.T) {
	t.Parallel()
	pool := open(t)
	for _, o := range []struct {
		state order.State
		age   time.Duration
	}{
		{order.Reserved, time.Hour},
		{order.Reserved, time.Minute},
		{order.Completed, 2 * time.Hour},
	} {
		_, err := pool.Exec(t.Context(), `
			INSERT INTO orders (order_id, seq, state, request_hash, customer_id, total_minor, currency, workflow_id, run_id,
				created_at, updated_at, number)
			VALUES (gen_random_uuid(), 1, $1, decode(repeat('00', 32), 'hex'), 'c', 1, 'EUR', 'w', 'r',
				now() - $2::interval, now(), DEFAULT)`, string(o.state), o.age)
		require.NoError(t, err)
	}

	got, err := orderstore.New(pool).OpenOrders(t.Context())
	require.NoError(t, err)
	found := map[order.State]orderstore.OpenCount{}
	for _, c := range got {
		found[c.State] = c
	}

	require.Len(t, found, 7)
	require.EqualValues(t, 2, found[order.Reserved].Orders)
	require.InDelta(t, time.Hour.Seconds(), found[order.Reserved].Oldest.Seconds(), 30)
	require.Equal(t, orderstore.OpenCount{State: order.Pending}, found[order.Pending])
	require.NotContains(t, found, order.Completed)
}
