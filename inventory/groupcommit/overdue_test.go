package groupcommit_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/groupcommit"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

// A receipt and a reserve of another product arrive in one batch. The overdue reservation that the reserve needs holds
// both products. The answer to the receipt contains the version of its product, so the take-back of the reserve must
// not be committed with it: the version would stand for two states.
func TestTakeBackBesideAnAnswerWithAVersion(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	wanted, received := s.Stock(t, 1), s.Stock(t, 1)
	late := inventorytest.NewReserve(inventorytest.Line(wanted, 1), inventorytest.Line(received, 1))
	_, err := s.API.Reserve(t.Context(), late)
	require.NoError(t, err)
	s.Age(t, late.ReservationID)
	w := groupcommit.New(groupcommit.Options{Store: store.New(s.Pool)})
	t.Cleanup(w.Close)

	receive := groupcommit.NewTask[stock.Receipt](stock.Receive{
		OperationID: uuid.New(),
		ProductID:   received,
		Location:    "near",
		Quantity:    1,
		Actor:       inventorytest.Actor,
	})
	reserve := groupcommit.NewTask(
		inventorytest.StockReserve(t, inventorytest.NewReserve(inventorytest.Line(wanted, 1))))
	require.NoError(t, w.Submit(t.Context(), receive, reserve))
	require.NoError(t, receive.Answer().Err)
	require.NoError(t, reserve.Answer().Err)
	require.EqualValues(t, 3, receive.Answer().Value.Version, "received, reserved, received")
	now, err := s.API.Availability(t.Context(), received, 1)
	require.NoError(t, err)
	require.EqualValues(t, 4, now.Version, "the take-back is another version")
	inventorytest.RequireConsistent(t, s.Pool)
}

// countingStore counts the transactions.
type countingStore struct {
	*store.Store
	transactions atomic.Int32
}

func (c *countingStore) Decide(
	ctx context.Context, reads stock.Reads, decide func(*stock.Book) (stock.Changes, error),
) error {
	c.transactions.Add(1)
	return c.Store.Decide(ctx, reads, decide)
}

// A batch of reserves is decided once if there is enough stock, and once more if it needs overdue stock. Reserves that
// are refused because no reservation is overdue cost no further transaction.
func TestTransactionsOfATakeBack(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	p := s.Stock(t, 20)
	counting := &countingStore{Store: store.New(s.Pool)}
	w := groupcommit.New(groupcommit.Options{Store: counting})
	t.Cleanup(w.Close)
	batch := func() (requests []inventoryapi.ReserveRequest, refused int) {
		in, reserves := inventorytest.NewReserves(t, p, 20)
		for _, a := range groupcommit.Apply(t.Context(), w, reserves...) {
			if a.Err != nil {
				require.ErrorIs(t, a.Err, inventoryapi.InsufficientStock)
				refused++
			}
		}
		return in, refused
	}

	first, refused := batch()
	require.Zero(t, refused)
	require.EqualValues(t, 1, counting.transactions.Swap(0))

	_, refused = batch()
	require.Equal(t, 20, refused)
	require.EqualValues(t, 2, counting.transactions.Swap(0), "the second looks the reservations up, as for any refusal")
	_, refused = batch()
	require.Equal(t, 20, refused)
	require.EqualValues(t, 1, counting.transactions.Swap(0))

	for _, in := range first[:15] {
		s.Age(t, in.ReservationID)
	}
	_, refused = batch()
	require.Equal(t, 5, refused)
	require.EqualValues(t, 2, counting.transactions.Swap(0))
	inventorytest.RequireConsistent(t, s.Pool)
}
