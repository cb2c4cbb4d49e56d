package orderstore

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"holdfast/db/ordersdb"
	"holdfast/internal/events"
	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// Lease is how long an order that waits for its workflow belongs to the process that starts it. If the process has not
// succeeded then, or has died, another process starts the order.
const Lease = 15 * time.Second

// Start is an order that waits for its workflow.
type Start struct {
	Input    orderflow.OrderInput
	Attempts int // how many times a start was tried, this time included
}

// OpenLimits limit what one customer may have in open orders that are not paid: orders, and units of all their lines.
// They keep a single customer from holding a whole stock without paying.
type OpenLimits struct{ Orders, Units int64 } // without limit if Orders is 0

func (l OpenLimits) allow(orders, units int64) bool {
	return l.Orders == 0 || orders < l.Orders && units <= l.Units
}

// HoardingError says that a customer has too much in open orders for another one.
type HoardingError struct{ OpenOrders, OpenUnits int64 } // without the order that was refused

func (e *HoardingError) Error() string {
	return fmt.Sprintf("the customer has %d open orders of %d units in all", e.OpenOrders, e.OpenUnits)
}

// LimitOpen sets the limits for the orders that Place inserts. By default there are none.
func (s *Store) LimitOpen(limits OpenLimits) { s.limits = limits }

// CheckEdit returns a *HoardingError if the customer of an open order may not have so many units on its lines. It
// counts what is recorded: two changes of different orders that come at once do not see each other.
func (s *Store) CheckEdit(ctx context.Context, o Order, units int64) error {
	has := int64(0)
	for _, l := range o.Lines {
		has += l.Quantity
	}
	if s.limits.Orders == 0 || units <= has {
		return nil
	}
	held, err := s.q.OpenHolds(ctx, s.pool, ordersdb.OpenHoldsParams{Issuer: o.Issuer, CustomerID: o.CustomerID})
	switch {
	case err != nil:
		return fmt.Errorf("count the open orders of the customer of %s: %w", o.OrderID, err)
	case held.Units-has+units > s.limits.Units:
		return &HoardingError{OpenOrders: held.Orders, OpenUnits: held.Units}
	}
	return nil
}

// Place inserts an order in state pending, with its lines, the first entry of its timeline and the event
// order.created, in one statement, and returns the number that the database has given the order. If the order has a
// row, it changes nothing and returns no number. It returns a
// *HoardingError and changes nothing if the customer has as many open orders or units as the limits allow; the order
// may have a row then. The order then waits for its workflow: until the workflow records the order for the first time,
// LeaseStarts returns it. If leased is true, that happens only after Lease, because the caller starts the workflow
// now.
func (s *Store) Place(ctx context.Context, in orderflow.OrderInput, leased bool) (number string, err error) {
	hash, err := requestHash(in)
	if err != nil {
		return "", err
	}
	shipTo, err := nullable(in.ShipTo)
	if err != nil {
		return "", fmt.Errorf("encode the address: %w", err)
	}
	meta, err := json.Marshal(orEmpty(in.Metadata))
	if err != nil {
		return "", fmt.Errorf("encode the metadata: %w", err)
	}
	input, err := json.Marshal(in)
	if err != nil {
		return "", fmt.Errorf("encode the order: %w", err)
	}
	created, err := createdEvent(ctx, in)
	if err != nil {
		return "", err
	}

	review, err := nullable(in.Review)
	if err != nil {
		return "", fmt.Errorf("encode the review: %w", err)
	}

	params := ordersdb.PlaceOrderParams{
		OrderID:       in.OrderID,
		Review:        review,
		State:         string(order.Pending),
		Event:         string(order.EventCreated),
		RequestHash:   hash,
		CustomerID:    in.CustomerID,
		Issuer:        in.Issuer,
		PlacedBy:      in.Placer(),
		TotalMinor:    in.Total.Minor,
		ShippingMinor: in.Shipping.Minor,
		Currency:      in.Total.Currency,
		ShipTo:        shipTo,
		Email:         in.Email,
		Metadata:      meta,
		WorkflowID:    orderflow.OrderWorkflowID(in.OrderID),
		CorrelationID: in.CorrelationID,
		TtlSeconds:    int32(in.TTLSeconds),  //nolint:gosec // at most a day
		WaitSeconds:   int32(in.WaitSeconds), //nolint:gosec // at most a year
		PlacedAt:      in.PlacedAt,
		Input:         input,
		EventID:       created.EventID,
		EventType:     eventType(order.EventCreated),
		SchemaVersion: events.SchemaVersion,
		EventPayload:  created.Payload,
		EventHeaders:  created.Headers,
	}
	if leased {
		params.LeaseSeconds = Lease.Seconds()
	}
	for _, l := range in.Lines {
		params.LineNos = append(params.LineNos, int32(l.LineNo)) //nolint:gosec // at most 100 lines
		params.ProductIds = append(params.ProductIds, l.ProductID)
		params.Skus = append(params.Skus, l.SKU)
		params.Names = append(params.Names, l.Name)
		params.Quantities = append(params.Quantities, l.Quantity)
		params.UnitPrices = append(params.UnitPrices, l.UnitPrice.Minor)
		params.Discounts = append(params.Discounts, l.Discount.Minor)
		params.Taxes = append(params.Taxes, l.Tax.Minor)
		params.LineTotals = append(params.LineTotals, l.Total.Minor)
	}
	params.MaxOrders, params.MaxUnits = s.limits.Orders, s.limits.Units
	for _, l := range in.Lines {
		params.Units += l.Quantity
	}
	row, err := s.q.PlaceOrder(ctx, s.pool, params)
	switch {
	case err != nil:
		return "", fmt.Errorf("insert order %s: %w", in.OrderID, err)
	case !row.Inserted && !s.limits.allow(row.OpenOrders, row.OpenUnits+params.Units):
		return "", &HoardingError{OpenOrders: row.OpenOrders, OpenUnits: row.OpenUnits}
	}
	return row.Number, nil
}

// Placed returns the order as Place inserts it.
func Placed(in orderflow.OrderInput) Order {
	o := Order{
		OrderID:       in.OrderID,
		Number:        in.Number,
		State:         order.Pending,
		RequestHash:   in.RequestHash,
		CustomerID:    in.CustomerID,
		Issuer:        in.Issuer,
		Total:         in.Total,
		Shipping:      in.Shipping,
		ShipTo:        in.ShipTo,
		Email:         in.Email,
		Metadata:      orEmpty(in.Metadata),
		WorkflowID:    orderflow.OrderWorkflowID(in.OrderID),
		CorrelationID: in.CorrelationID,
		TTLSeconds:    in.TTLSeconds,
		WaitSeconds:   in.WaitSeconds,
		Review:        in.Review,
		CreatedAt:     in.PlacedAt,
		UpdatedAt:     in.PlacedAt,
		Lines:         make([]Line, len(in.Lines)),

		ReservationNumber: 1,
	}
	for i, l := range in.Lines {
		o.Lines[i] = Line(l)
	}
	return o
}

// LeaseStarts takes up to size orders that wait for their workflow, the longest waiting first, for Lease. It passes
// over the orders that another process has taken.
//
// An order that cannot be decoded is put aside for an hour. LeaseStarts then returns the others and an error that names
// it.
func (s *Store) LeaseStarts(ctx context.Context, size int) ([]Start, error) {
	rows, err := s.q.LeaseStarts(ctx, s.pool, ordersdb.LeaseStartsParams{
		LeaseSeconds: Lease.Seconds(),
		Size:         int32(size), //nolint:gosec // bounded by the limit of concurrent starts
	})
	if err != nil {
		return nil, fmt.Errorf("take orders that wait: %w", err)
	}
	slices.SortFunc(rows, func(a, b ordersdb.LeaseStartsRow) int { return cmp.Compare(a.Position, b.Position) })
	var out []Start
	var unreadable error
	for _, r := range rows {
		start, err := startOf(r.Input, r.Number, r.Attempts)
		if err != nil {
			unreadable = errors.Join(unreadable, fmt.Errorf("order %s: %w", r.OrderID, err),
				s.DeferStart(ctx, r.OrderID, time.Hour))
			continue
		}
		out = append(out, start)
	}
	return out, unreadable
}

// LeaseStart takes one order that waits for its workflow, also if another process has taken it: two processes may start
// the same workflow. It returns ErrNotFound if the order does not wait.
func (s *Store) LeaseStart(ctx context.Context, id uuid.UUID) (Start, error) {
	row, err := s.q.LeaseStart(ctx, s.pool, ordersdb.LeaseStartParams{OrderID: id, LeaseSeconds: Lease.Seconds()})
	if err != nil {
		return Start{}, fmt.Errorf("take order %s: %w", id, notFound(err))
	}
	return startOf(row.Input, row.Number, row.Attempts)
}

// DeferStart lets other processes start the order after the delay.
func (s *Store) DeferStart(ctx context.Context, id uuid.UUID, delay time.Duration) error {
	in := ordersdb.DeferStartParams{OrderID: id, DelaySeconds: delay.Seconds()}
	if err := s.q.DeferStart(ctx, s.pool, in); err != nil {
		return fmt.Errorf("let order %s wait: %w", id, err)
	}
	return nil
}

// ForgetStart ends the order's wait for its workflow.
func (s *Store) ForgetStart(ctx context.Context, id uuid.UUID) error {
	if err := s.q.ForgetStart(ctx, s.pool, id); err != nil {
		return fmt.Errorf("end the wait of order %s: %w", id, err)
	}
	return nil
}

// CountStarts returns how many orders wait for their workflow, limit at most, and whether one of them is not
// leased.
func (s *Store) CountStarts(ctx context.Context, limit int) (waiting int, available bool, err error) {
	n, err := s.q.CountStarts(ctx, s.pool, int32(min(limit, math.MaxInt32))) //nolint:gosec // bounded
	if err != nil {
		return 0, false, fmt.Errorf("count the orders that wait: %w", err)
	}
	return int(n.Waiting), n.Available, nil
}

// maxPosition is the greatest position that PositionInLine counts to.
const maxPosition = 1000

// PositionInLine returns how many orders must start until this order has started, itself included, 1,000 at most. It
// returns 0 if the order does not wait.
func (s *Store) PositionInLine(ctx context.Context, id uuid.UUID) (int, error) {
	n, err := s.q.PositionInLine(ctx, s.pool, ordersdb.PositionInLineParams{OrderID: id, Size: maxPosition})
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("find the place of order %s in the line: %w", id, err)
	}
	return int(n), nil
}

// startOf decodes an order that waits. Its input was written before the database had given the order a number.
func startOf(input []byte, number string, attempts int32) (Start, error) {
	out := Start{Attempts: int(attempts)}
	if err := json.Unmarshal(input, &out.Input); err != nil {
		return out, fmt.Errorf("%w: decode an order that waits: %w", ErrUnreadable, err)
	}
	out.Input.Number = number
	return out, nil
}

func requestHash(in orderflow.OrderInput) ([]byte, error) {
	hash, err := hex.DecodeString(in.RequestHash)
	if err != nil {
		return nil, fmt.Errorf("%w: decode the request hash: %w", orderflow.ErrUnrecordable, err)
	}
	return hash, nil
}
