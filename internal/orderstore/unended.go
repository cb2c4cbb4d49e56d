package orderstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"holdfast/db/ordersdb"
	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// open are the states of an order whose workflow has not settled it.
var open = statesThat(func(s order.State) bool { return !s.Settled() })

// Unended returns the inputs of up to limit open orders that nothing has changed since the given time, and whose
// deadline, if they have one, has passed by then, the oldest first. Orders that wait for their first start are not
// among them.
func (s *Store) Unended(ctx context.Context, since time.Time, limit int) ([]orderflow.OrderInput, error) {
	rows, err := s.q.UnendedOrders(ctx, s.pool, ordersdb.UnendedOrdersParams{
		States: open,
		Since:  since,
		Size:   int32(limit), //nolint:gosec // a few hundred
	})
	if err != nil {
		return nil, fmt.Errorf("list the orders that stand still: %w", err)
	}
	orders, err := s.assemble(ctx, rows)
	if err != nil {
		return nil, err
	}
	var out []orderflow.OrderInput
	for _, o := range orders {
		out = append(out, InputOf(o))
	}
	return out, nil
}

// Input returns the input of an order's workflow, as far as the row has it. ErrNoRow: there is no such order.
func (s *Store) Input(ctx context.Context, id uuid.UUID) (orderflow.OrderInput, error) {
	o, err := s.Get(ctx, id)
	if errors.Is(err, ErrNotFound) {
		err = orderflow.ErrNoRow
	}
	if err != nil {
		return orderflow.OrderInput{}, err
	}
	return InputOf(o), nil
}

// InputOf makes the input of an order's workflow from its row. The row does not have the payment method that came with
// the order: the customer pays again.
func InputOf(o Order) orderflow.OrderInput {
	in := orderflow.OrderInput{
		OrderID:       o.OrderID,
		Number:        o.Number,
		RequestHash:   o.RequestHash,
		CustomerID:    o.CustomerID,
		Issuer:        o.Issuer,
		Total:         o.Total,
		Shipping:      o.Shipping,
		TTLSeconds:    o.TTLSeconds,
		WaitSeconds:   o.WaitSeconds,
		Review:        o.Review,
		ShipTo:        o.ShipTo,
		Email:         o.Email,
		Metadata:      o.Metadata,
		CorrelationID: o.CorrelationID,
		PlacedAt:      o.CreatedAt,
		Revision:      orderflow.CurrentRevision,
	}
	if o.ReservationNumber > 1 {
		in.ReservationNumber = o.ReservationNumber
	}
	for _, l := range o.Lines {
		in.Lines = append(in.Lines, orderflow.Line(l))
	}
	return in
}
