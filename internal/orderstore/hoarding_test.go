package orderstore_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/workflows/orderflow"
)

// placing returns an order of a customer that no run has recorded.
func placing(customer string, quantity int64) orderflow.OrderInput {
	in := *first(uuid.New(), strings.Repeat("ab", 32)).Order
	in.CustomerID, in.PlacedAt = customer, time.Now()
	line := &in.Lines[0]
	line.Quantity, line.Total.Minor = quantity, quantity*line.UnitPrice.Minor
	return in
}

// TestCustomersCannotHoard: of orders that one customer places at once, only as many are inserted as the customer may
// have open; another customer is not affected.
func TestCustomersCannotHoard(t *testing.T) {
	t.Parallel()
	s := orderstore.New(open(t))
	s.LimitOpen(orderstore.OpenLimits{Orders: 5, Units: 100})
	var placed, refused atomic.Int64
	var running sync.WaitGroup
	for range 20 {
		running.Go(func() {
			number, err := s.Place(t.Context(), placing("alice", 1), true)
			var hoarding *orderstore.HoardingError
			switch {
			case err == nil && number != "":
				placed.Add(1)
			case errors.As(err, &hoarding) && hoarding.OpenOrders == 5:
				refused.Add(1)
			}
		})
	}
	running.Wait()
	require.Equal(t, []int64{5, 15}, []int64{placed.Load(), refused.Load()})

	number, err := s.Place(t.Context(), placing("bob", 1), true)
	require.NoError(t, err)
	require.NotEmpty(t, number)
}

// TestUnitsAreLimited: the units of all open orders count, and only while the orders are open.
func TestUnitsAreLimited(t *testing.T) {
	t.Parallel()
	s := orderstore.New(open(t))
	s.LimitOpen(orderstore.OpenLimits{Orders: 5, Units: 10})
	held := placing("alice", 7)
	number, err := s.Place(t.Context(), held, true)
	require.NoError(t, err)
	require.NotEmpty(t, number)

	var hoarding *orderstore.HoardingError
	_, err = s.Place(t.Context(), placing("alice", 4), true)
	require.ErrorAs(t, err, &hoarding)
	require.Equal(t, orderstore.HoardingError{OpenOrders: 1, OpenUnits: 7}, *hoarding)
	number, err = s.Place(t.Context(), placing("alice", 3), true)
	require.NoError(t, err, "just as many as allowed")
	require.NotEmpty(t, number)

	end := record(held.OrderID, 1, order.Cancelled, order.EventCancelled)
	end.Order, end.Entries[0].From, end.Entries[0].At = &held, order.Pending, time.Now()
	recordAll(t, s, end)
	number, err = s.Place(t.Context(), placing("alice", 7), true)
	require.NoError(t, err, "a cancelled order holds nothing")
	require.NotEmpty(t, number)
}
