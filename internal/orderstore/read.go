package orderstore

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"holdfast/db/ordersdb"
	"holdfast/internal/order"
)

// Get returns an order, or ErrNotFound. It asks the database once.
func (s *Store) Get(ctx context.Context, id uuid.UUID) (Order, error) {
	var batch pgx.Batch
	var found []ordersdb.Order
	batch.Queue(beginSnapshot)
	collect(&batch, &found, ordersdb.GetOrder, id)
	parts := queueParts(&batch, []uuid.UUID{id})
	batch.Queue(endSnapshot)
	if err := s.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return Order{}, fmt.Errorf("read order %s: %w", id, err)
	}
	if len(found) == 0 {
		return Order{}, fmt.Errorf("read order %s: %w", id, ErrNotFound)
	}
	list, err := parts.assemble(found)
	if err != nil {
		return Order{}, err
	}
	return list[0], nil
}

// ByNumber returns the order with a number, or ErrNotFound.
func (s *Store) ByNumber(ctx context.Context, number string) (Order, error) {
	row, err := s.q.GetOrderByNumber(ctx, s.pool, number)
	if err != nil {
		return Order{}, fmt.Errorf("read order %s: %w", number, notFound(err))
	}
	return s.whole(ctx, row)
}

// OfReservation returns the order that has the given reservation, or ErrNotFound.
func (s *Store) OfReservation(ctx context.Context, reservation uuid.UUID) (Order, error) {
	row, err := s.q.GetOrderOfReservation(ctx, s.pool, reservation)
	if err != nil {
		return Order{}, fmt.Errorf("read the order of reservation %s: %w", reservation, notFound(err))
	}
	return s.whole(ctx, row)
}

// Position identifies a row in a list that is sorted newest first. The rows after it are older.
type Position struct {
	CreatedAt time.Time
	ID        uuid.UUID
}

// Filter selects the orders of a list. The zero value selects all.
type Filter struct {
	CustomerID string
	Issuer     string // of the customer; empty means any
	States     []order.State
	Since      time.Time // created then or later
	SKU        string    // of a line; empty means any
	Amount     *AmountRange
}

// AmountRange selects orders by their total, in minor units of a currency.
type AmountRange struct {
	Currency string
	Min, Max int64 // both included
}

// List returns up to size orders that come after the given position, newest first.
func (s *Store) List(ctx context.Context, f Filter, after Position, size int) ([]Order, error) {
	states := make([]string, len(f.States))
	for i, state := range f.States {
		states[i] = string(state)
	}

	var rows []ordersdb.Order
	var err error
	page := int32(size) //nolint:gosec // bounded by the contract
	switch {
	case f.SKU != "" || f.Amount != nil:
		rows, err = s.search(ctx, f, states, after, page)
	case f.CustomerID != "" && len(states) > 0:
		rows, err = s.q.ListOrdersOfCustomerInStates(ctx, s.pool, ordersdb.ListOrdersOfCustomerInStatesParams{
			CustomerID:      f.CustomerID,
			AnyIssuer:       f.Issuer == "",
			Issuer:          f.Issuer,
			States:          states,
			BeforeCreatedAt: after.CreatedAt,
			BeforeID:        after.ID,
			Since:           f.Since,
			PageSize:        page,
		})
	case f.CustomerID != "":
		rows, err = s.q.ListOrdersOfCustomer(ctx, s.pool, ordersdb.ListOrdersOfCustomerParams{
			CustomerID:      f.CustomerID,
			AnyIssuer:       f.Issuer == "",
			Issuer:          f.Issuer,
			BeforeCreatedAt: after.CreatedAt,
			BeforeID:        after.ID,
			Since:           f.Since,
			PageSize:        page,
		})
	case len(states) > 0:
		rows, err = s.q.ListOrdersInStates(ctx, s.pool, ordersdb.ListOrdersInStatesParams{
			States:          states,
			BeforeCreatedAt: after.CreatedAt,
			BeforeID:        after.ID,
			Since:           f.Since,
			PageSize:        page,
		})
	default:
		rows, err = s.q.ListOrders(ctx, s.pool, ordersdb.ListOrdersParams{
			BeforeCreatedAt: after.CreatedAt,
			BeforeID:        after.ID,
			Since:           f.Since,
			PageSize:        page,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	return s.assemble(ctx, rows)
}

// OfRequest returns up to size orders that the request with the correlation id created or changed, newest first. Of the
// filter, only the customer and the issuer count.
func (s *Store) OfRequest(ctx context.Context, correlationID string, f Filter, size int) ([]Order, error) {
	rows, err := s.q.ListOrdersOfRequest(ctx, s.pool, ordersdb.ListOrdersOfRequestParams{
		CorrelationID: correlationID,
		CustomerID:    f.CustomerID,
		Issuer:        f.Issuer,
		PageSize:      int32(size), //nolint:gosec // bounded by the contract
	})
	if err != nil {
		return nil, fmt.Errorf("list the orders of a request: %w", err)
	}
	return s.assemble(ctx, rows)
}

// manyOrders is from how many orders on a product is common.
const manyOrders = 10_000

// search finds orders by product or amount. PostgreSQL does not know well how many of a customer's orders, or of the
// newest, have a product, so search counts: it looks at all orders of a rare product, and goes through the newest
// orders for a common one. It forces a plan for the values at hand.
func (s *Store) search(
	ctx context.Context, f Filter, states []string, after Position, page int32,
) (rows []ordersdb.Order, err error) {
	arg := ordersdb.SearchOrdersParams{
		BeforeCreatedAt: after.CreatedAt,
		BeforeID:        after.ID,
		Since:           f.Since,
		CustomerID:      f.CustomerID,
		AnyIssuer:       f.Issuer == "",
		Issuer:          f.Issuer,
		States:          states,
		AnyProduct:      f.SKU == "",
		PageSize:        page,
	}
	if f.Amount != nil {
		arg.Currency, arg.AmountMin, arg.AmountMax = f.Amount.Currency, f.Amount.Min, f.Amount.Max
	}
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL plan_cache_mode = force_custom_plan"); err != nil {
			return err
		}
		if f.SKU != "" {
			found, err := s.q.OrdersOfProduct(ctx, tx, ordersdb.OrdersOfProductParams{Sku: f.SKU, Size: manyOrders})
			if err != nil || len(found) == 0 {
				return err
			}
			arg.OrderIds = found
		}
		if len(arg.OrderIds) < manyOrders {
			rows, err = s.q.SearchOrders(ctx, tx, arg)
			return err
		}
		rows, err = s.q.SearchOrdersOfProduct(ctx, tx, ordersdb.SearchOrdersOfProductParams{
			BeforeCreatedAt: arg.BeforeCreatedAt,
			BeforeID:        arg.BeforeID,
			Since:           arg.Since,
			CustomerID:      arg.CustomerID,
			AnyIssuer:       arg.AnyIssuer,
			Issuer:          arg.Issuer,
			States:          arg.States,
			Currency:        arg.Currency,
			AmountMin:       arg.AmountMin,
			AmountMax:       arg.AmountMax,
			Sku:             f.SKU,
			PageSize:        arg.PageSize,
		})
		return err
	})
	return rows, err
}

func (s *Store) whole(ctx context.Context, row ordersdb.Order) (Order, error) {
	list, err := s.assemble(ctx, []ordersdb.Order{row})
	if err != nil {
		return Order{}, err
	}
	return list[0], nil
}

// assemble decodes rows into orders, and reads their lines, payments, shipments and returns.
func (s *Store) assemble(ctx context.Context, rows []ordersdb.Order) ([]Order, error) {
	if len(rows) == 0 {
		return []Order{}, nil
	}
	ids := make([]uuid.UUID, len(rows))
	for i, r := range rows {
		ids[i] = r.OrderID
	}
	var batch pgx.Batch
	batch.Queue(beginSnapshot)
	parts := queueParts(&batch, ids)
	batch.Queue(endSnapshot)
	if err := s.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, fmt.Errorf("read the parts of orders: %w", err)
	}
	return parts.assemble(rows)
}

// The queries of a batch see one state of the database. Otherwise a record that commits between two of them could show
// the contents of a shipment that the batch did not see.
const (
	beginSnapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
	endSnapshot   = "COMMIT"
)

// parts are the rows of orders in other tables.
type parts struct {
	lines    []ordersdb.OrderLine
	payments []ordersdb.Payment

	shipments     []ordersdb.Shipment
	shipmentLines []ordersdb.ShipmentLine
	returns       []ordersdb.Return
	returnLines   []ordersdb.ReturnLine
}

// queueParts puts the queries for the lines, payments, shipments and returns of orders into a batch.
func queueParts(batch *pgx.Batch, ids []uuid.UUID) *parts {
	var p parts
	collect(batch, &p.lines, ordersdb.LinesOfOrders, ids)
	collect(batch, &p.payments, ordersdb.PaymentsOfOrders, ids)
	collect(batch, &p.shipments, ordersdb.ShipmentsOfOrders, ids)
	collect(batch, &p.shipmentLines, ordersdb.ShipmentLinesOfOrders, ids)
	collect(batch, &p.returns, ordersdb.ReturnsOfOrders, ids)
	collect(batch, &p.returnLines, ordersdb.ReturnLinesOfOrders, ids)
	return &p
}

// collect puts a query into a batch, and its rows into the slice once the batch is sent. The query selects the columns
// of T in their order.
func collect[T any](batch *pgx.Batch, into *[]T, query string, args ...any) {
	batch.Queue(query, args...).Query(func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectRows(rows, pgx.RowToStructByPos[T])
		return err
	})
}

// assemble decodes rows into orders with their parts.
func (p *parts) assemble(rows []ordersdb.Order) ([]Order, error) {
	out := make([]Order, len(rows))
	at := make(map[uuid.UUID]*Order, len(rows))
	for i, r := range rows {
		var err error
		if out[i], err = orderOf(r); err != nil {
			return nil, err
		}
		at[r.OrderID] = &out[i]
	}
	for _, l := range p.lines {
		at[l.OrderID].Lines = append(at[l.OrderID].Lines, lineOf(l))
	}
	for _, payment := range p.payments {
		at[payment.OrderID].Payments = append(at[payment.OrderID].Payments, paymentOf(payment))
	}
	for _, r := range p.shipments {
		at[r.OrderID].Shipments = append(at[r.OrderID].Shipments, shipmentOf(r))
	}
	for _, l := range p.shipmentLines {
		to := &at[l.OrderID].Shipments[l.Number-1] // the numbers have no gap
		to.Lines = append(to.Lines, shipmentLineOf(l))
	}
	for _, r := range p.returns {
		at[r.OrderID].Returns = append(at[r.OrderID].Returns, returnOf(r))
	}
	for _, l := range p.returnLines {
		to := &at[l.OrderID].Returns[l.Number-1] // the numbers have no gap
		to.Lines = append(to.Lines, returnLineOf(l))
	}
	return out, nil
}

// Timeline returns everything that happened to an order, oldest first.
func (s *Store) Timeline(ctx context.Context, id uuid.UUID) ([]TimelineEntry, error) {
	rows, err := s.q.ListTimeline(ctx, s.pool, id)
	if err != nil {
		return nil, fmt.Errorf("read the timeline of order %s: %w", id, err)
	}
	out := make([]TimelineEntry, len(rows))
	for i, r := range rows {
		out[i] = entryOf(r)
	}
	return out, nil
}
