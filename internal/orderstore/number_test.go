package orderstore_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/order"
	"holdfast/internal/orderstore"
)

// TestEveryOrderHasItsNumber: 100 orders that are placed at once get 100 numbers, each in its row, in its event and, if
// it waits for its workflow, in its input.
func TestEveryOrderHasItsNumber(t *testing.T) {
	t.Parallel()
	pool := open(t)
	s := orderstore.New(pool)
	const orders = 100

	var placing sync.WaitGroup
	numbers := make([]string, orders)
	ids := make([]uuid.UUID, orders)
	for i := range orders {
		placing.Go(func() {
			ids[i] = uuid.New()
			in := *first(ids[i], strings.Repeat("ab", 32)).Order
			var err error
			numbers[i], err = s.Place(t.Context(), in, false)
			require.NoError(t, err)

			again, err := s.Place(t.Context(), in, false)
			require.NoError(t, err)
			require.Empty(t, again, "the order has its number already")
		})
	}
	placing.Wait()

	for i, number := range numbers {
		normal, ok := order.ParseNumber(number)
		require.True(t, ok, number)
		require.Equal(t, normal, number, "the database and the code write numbers in one way")
		found, err := s.ByNumber(t.Context(), number)
		require.NoError(t, err)
		require.Equal(t, ids[i], found.OrderID)
		require.Equal(t, number, found.Number)
		in, err := s.Input(t.Context(), ids[i])
		require.NoError(t, err)
		require.Equal(t, number, in.Number)
		waiting, err := s.LeaseStart(t.Context(), ids[i])
		require.NoError(t, err)
		require.Equal(t, number, waiting.Input.Number)

		var told string
		require.NoError(t, pool.QueryRow(t.Context(),
			"SELECT payload ->> 'orderNumber' FROM outbox WHERE aggregate_id = $1", ids[i]).Scan(&told))
		require.Equal(t, number, told)
	}
	slices.Sort(numbers)
	require.Len(t, slices.Compact(numbers), orders, "no number is given twice")
	waiting, err := s.LeaseStarts(t.Context(), 1)
	require.NoError(t, err)
	require.Empty(t, waiting)
	_, err = s.ByNumber(t.Context(), "HF-999999999")
	require.ErrorIs(t, err, orderstore.ErrNotFound)
}

// TestRecordTellsTheNumber: the events of a record have the number also if the workflow does not know it, as the
// workflows of older versions.
func TestRecordTellsTheNumber(t *testing.T) {
	t.Parallel()
	pool := open(t)
	s := orderstore.New(pool)
	in := first(uuid.New(), strings.Repeat("ab", 32))
	number, err := s.Place(t.Context(), *in.Order, false)
	require.NoError(t, err)
	_, err = s.Record(t.Context(), in)
	require.NoError(t, err)

	var events, numbered int
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE payload ->> 'orderNumber' = $2)
		FROM outbox WHERE aggregate_id = $1`, in.Order.OrderID, number).Scan(&events, &numbered))
	require.Equal(t, 2, events)
	require.Equal(t, events, numbered)
}
