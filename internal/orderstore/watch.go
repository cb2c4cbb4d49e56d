package orderstore

import (
	"context"
	"fmt"
	"time"

	"holdfast/db/ordersdb"
	"holdfast/internal/order"
)

// MostCounted is the highest number of orders that OpenOrders counts in a state.
const MostCounted = 100_000

// notClosed are the states in which an order still waits for something.
var notClosed = statesThat(func(s order.State) bool { return !s.Closed() })

// OpenCount says how many orders are in a state, MostCounted at most, and how long ago the oldest of them was placed.
type OpenCount struct {
	State  order.State
	Orders int64
	Oldest time.Duration // 0 if there is none
}

// OpenOrders counts the orders that are not closed, by state. It reads one index.
func (s *Store) OpenOrders(ctx context.Context) ([]OpenCount, error) {
	rows, err := s.q.CountOpenOrders(ctx, s.pool, ordersdb.CountOpenOrdersParams{States: notClosed, Most: MostCounted})
	if err != nil {
		return nil, fmt.Errorf("count the open orders: %w", err)
	}
	out := make([]OpenCount, len(rows))
	for i, r := range rows {
		out[i] = OpenCount{
			State:  order.State(r.State),
			Orders: r.Orders,
			Oldest: max(0, time.Duration(r.OldestSeconds*float64(time.Second))),
		}
	}
	return out, nil
}
