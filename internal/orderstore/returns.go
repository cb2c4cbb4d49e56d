package orderstore

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"holdfast/db/ordersdb"
	"holdfast/workflows/orderflow"
)

// Return is a return of an order.
type Return struct {
	orderflow.Return
	RequestedAt time.Time
	UpdatedAt   time.Time // when its status last changed
}

// returns reads the returns of an order as its workflow knows them.
func (s *Store) returns(ctx context.Context, id uuid.UUID) ([]orderflow.Return, error) {
	rows, err := s.q.ReturnsOfOrders(ctx, s.pool, []uuid.UUID{id})
	if err != nil {
		return nil, fmt.Errorf("read the returns of order %s: %w", id, err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	lines, err := s.q.ReturnLinesOfOrders(ctx, s.pool, []uuid.UUID{id})
	if err != nil {
		return nil, fmt.Errorf("read the contents of the returns of order %s: %w", id, err)
	}
	var out []orderflow.Return
	for _, r := range rows {
		out = append(out, returnOf(r).Return)
	}
	for _, l := range lines {
		if int(l.Number) > len(out) { // the numbers have no gap
			return nil, fmt.Errorf("order %s has changed while it was read", id)
		}
		to := &out[l.Number-1]
		to.Lines = append(to.Lines, returnLineOf(l))
	}
	return out, nil
}

func returnOf(r ordersdb.Return) Return {
	return Return{
		Return: orderflow.Return{
			Number:    int(r.Number),
			Status:    orderflow.ReturnStatus(r.Status),
			Reason:    orderflow.ReturnReason(r.Reason),
			Note:      r.Note,
			Key:       r.Key,
			ReceiveBy: r.ReceiveBy,
		},
		RequestedAt: r.CreatedAt,
		UpdatedAt:   r.UpdatedAt,
	}
}

func returnLineOf(l ordersdb.ReturnLine) orderflow.ReturnLine {
	return orderflow.ReturnLine{
		LineNo:      int(l.LineNo),
		Quantity:    l.Quantity,
		Restocked:   l.Restocked,
		Damaged:     l.Damaged,
		RefundMinor: l.RefundMinor,
	}
}

// ReturnPosition is the last return of a page of returns.
type ReturnPosition struct {
	RequestedAt time.Time
	OrderID     uuid.UUID
	Number      int
}

// ListedReturn is a return as the warehouse needs it.
type ListedReturn struct {
	Return
	OrderID     uuid.UUID
	OrderNumber string
	CustomerID  string
	Items       []ReturnedItem
}

// ReturnedItem is one product of a return.
type ReturnedItem struct {
	orderflow.ReturnLine
	ProductID uuid.UUID
	SKU       string
	Name      string
}

// ListReturns returns a page of the returns in the given statuses, oldest first.
func (s *Store) ListReturns(
	ctx context.Context, statuses []orderflow.ReturnStatus, after ReturnPosition, size int,
) ([]ListedReturn, error) {
	params := ordersdb.ListReturnsParams{
		AfterCreatedAt: after.RequestedAt,
		AfterID:        after.OrderID,
		AfterNumber:    int32(after.Number), //nolint:gosec // returns are few
		PageSize:       int32(size),         //nolint:gosec // bounded by the contract
	}
	for _, status := range statuses {
		params.Statuses = append(params.Statuses, string(status))
	}
	rows, err := s.q.ListReturns(ctx, s.pool, params)
	if err != nil {
		return nil, fmt.Errorf("list the returns: %w", err)
	}

	var out []ListedReturn
	for _, r := range rows {
		if last := len(out) - 1; last < 0 || out[last].OrderID != r.OrderID || out[last].Number != int(r.Number) {
			out = append(out, ListedReturn{
				Return: returnOf(ordersdb.Return{
					OrderID:   r.OrderID,
					Number:    r.Number,
					Status:    r.Status,
					Reason:    r.Reason,
					Note:      r.Note,
					ReceiveBy: r.ReceiveBy,
					CreatedAt: r.CreatedAt,
					UpdatedAt: r.UpdatedAt,
				}),
				OrderID:     r.OrderID,
				OrderNumber: r.OrderNumber,
				CustomerID:  r.CustomerID,
			})
		}
		to := &out[len(out)-1]
		to.Items = append(to.Items, ReturnedItem{
			ReturnLine: returnLineOf(ordersdb.ReturnLine{
				LineNo:      r.LineNo,
				Quantity:    r.Quantity,
				Restocked:   r.Restocked,
				Damaged:     r.Damaged,
				RefundMinor: r.RefundMinor,
			}),
			ProductID: r.ProductID,
			SKU:       r.Sku,
			Name:      r.Name,
		})
	}
	return out, nil
}

// DeliveredAt returns when the last shipment of an order was delivered. ErrNotFound: none was.
func (s *Store) DeliveredAt(ctx context.Context, id uuid.UUID) (time.Time, error) {
	at, err := s.q.DeliveredAt(ctx, s.pool, id)
	if err != nil {
		return time.Time{}, fmt.Errorf("read when order %s was delivered: %w", id, notFound(err))
	}
	return at, nil
}
