package orderstore_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/address"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/workflows/orderflow"
)

// TestOrderIsReadAsItWasRecorded: an order is read as it was recorded, also the columns that are JSON.
func TestOrderIsReadAsItWasRecorded(t *testing.T) {
	t.Parallel()
	s, id := orderstore.New(open(t)), uuid.New()
	in := first(id, strings.Repeat("ab", 32))
	in.Order.ShipTo = &address.Address{Name: "Ada", City: "Berlin", Country: "DE"}
	in.Order.Metadata = map[string]string{"channel": "web"}
	in.View.State, in.Entries[0].State, in.Entries[0].Event = order.Rejected, order.Rejected, order.EventRejected
	in.View.Reason, in.View.RefusalCode = "not enough of it", orderflow.ErrOutOfStock
	in.View.Short = []orderflow.ShortLine{{ProductID: in.Order.Lines[0].ProductID, Requested: 2, Available: 1}}
	recordAll(t, s, in)

	got, err := s.Get(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, in.Order.ShipTo, got.ShipTo)
	require.Equal(t, in.Order.Metadata, got.Metadata)
	require.Equal(t, in.View.Short, got.Short)
	require.Equal(t, orderflow.ErrOutOfStock, got.RefusalCode)
	require.Equal(t, in.Order.Total, got.Total)
	require.Equal(t, strings.Repeat("ab", 32), got.RequestHash)
	require.Equal(t, in.Order.Lines[0].UnitPrice, got.Lines[0].UnitPrice)
}

// TestRefusalOfAnOlderWorkflow: a workflow that is older than refusal codes records only the short lines, and the store
// adds the code.
func TestRefusalOfAnOlderWorkflow(t *testing.T) {
	t.Parallel()
	s, id := orderstore.New(open(t)), uuid.New()
	in := first(id, strings.Repeat("ab", 32))
	in.View.State, in.Entries[0].State, in.Entries[0].Event = order.Rejected, order.Rejected, order.EventRejected
	in.View.Short = []orderflow.ShortLine{{ProductID: uuid.New(), Requested: 1}}
	recordAll(t, s, in)

	got, err := s.Get(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, orderflow.ErrOutOfStock, got.RefusalCode)
}

// TestRowThatCannotBeDecodedIsAnError: a read returns an error and not an order without its address.
func TestRowThatCannotBeDecodedIsAnError(t *testing.T) {
	t.Parallel()
	pool := open(t)
	s := orderstore.New(pool)
	for _, column := range []string{"ship_to", "metadata", "refusal"} {
		id := uuid.New()
		recordAll(t, s, first(id, strings.Repeat("ab", 32)))
		_, err := pool.Exec(t.Context(), "UPDATE orders SET "+column+` = '"text"' WHERE order_id = $1`, id)
		require.NoError(t, err)
		_, err = s.Get(t.Context(), id)
		require.ErrorIs(t, err, orderstore.ErrUnreadable)
		require.ErrorContains(t, err, "decode "+column)
	}
}
