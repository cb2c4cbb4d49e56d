// Package orderstore keeps orders, their timelines and the catalogue in the orders database. Only the order's workflow
// writes an order, and it numbers its records, so that a repeated or late record changes nothing.
package orderstore

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/db/ordersdb"
	"holdfast/internal/database"
	"holdfast/internal/events"
	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// Errors of reads.
var (
	// ErrNotFound says that there is no such row.
	ErrNotFound = errors.New("not found")
	// ErrUnreadable says that a row has a value that no version of this program writes. A retry fails too.
	ErrUnreadable = errors.New("the row cannot be read")
)

// Store works on the orders database.
type Store struct {
	pool *pgxpool.Pool
	q    *ordersdb.Queries
}

// New returns a store on pool.
func New(pool *pgxpool.Pool) *Store { return &Store{pool: pool, q: ordersdb.New()} }

// Record writes an order up to in.View.Seq in one transaction: row, lines, timeline, payments and outbox. The first
// record of an order must have in.Order.
//
// Record is idempotent:
//
//   - A repeated or late record changes nothing.
//   - If Temporal executes a workflow task again, the record of the later execution overwrites the record of the lost
//     one. The later execution is the one with the later time.
//   - A settled row (order.State.Settled) changes only by an entry that starts from the row's state.
//   - If an earlier run of the workflow has written the row, or a lost execution of this run has settled the order in
//     another state, Record writes nothing and returns the row in the result's Earlier. A run that has taken over from
//     that run sets in.After to the row's seq, and Record then writes.
//
// ErrRowTaken and ErrUnrecordable of orderflow are final: a retry returns the same error.
func (s *Store) Record(ctx context.Context, in orderflow.RecordInput) (orderflow.RecordResult, error) {
	out := orderflow.RecordResult{Seq: in.View.Seq}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		changed, err := s.writeRow(ctx, tx, in)
		if err != nil {
			return err
		}
		if changed {
			err = s.insertDetails(ctx, tx, in)
		} else {
			out.Earlier, err = s.rowToTakeOver(ctx, tx, in)
		}
		if err != nil || out.Earlier != nil {
			return err
		}
		out.Begun, err = s.intents(ctx, tx, in.View)
		return err
	})
	if database.Refuses(err) {
		err = fmt.Errorf("%w: %w", orderflow.ErrUnrecordable, err)
	}
	return out, err
}

// insertDetails writes what belongs to a changed row: timeline, payments and outbox.
func (s *Store) insertDetails(ctx context.Context, tx pgx.Tx, in orderflow.RecordInput) error {
	if err := s.insertTimeline(ctx, tx, in); err != nil {
		return err
	}
	if err := s.insertPayments(ctx, tx, in); err != nil {
		return err
	}
	return s.publish(ctx, tx, in)
}

// writeRow inserts or advances the order's row, and reports whether the row changed.
//
// A run writes its records one after the other. So if the row of this run has this record's seq or a later one, the
// database has the whole record already, or a later execution has overwritten it.
func (s *Store) writeRow(ctx context.Context, tx pgx.Tx, in orderflow.RecordInput) (bool, error) {
	if in.Order != nil {
		inserted, err := s.insertOrder(ctx, tx, in)
		if err != nil || inserted {
			return inserted, err
		}
	}
	return s.advanceOrder(ctx, tx, in)
}

// BeginPayment stores the intent of a payment, before the provider is asked for it. It is idempotent. It returns
// orderflow.ErrOrderClosed if the order has ended without being carried out, and orderflow.ErrNoRow if the order is not
// recorded.
func (s *Store) BeginPayment(ctx context.Context, id uuid.UUID, attempt int) error {
	open, err := s.q.BeginPayment(ctx, s.pool, ordersdb.BeginPaymentParams{
		OrderID: id,
		Attempt: int32(attempt), //nolint:gosec // attempts are few
		Closed:  closed,
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return orderflow.ErrNoRow
	case err != nil:
		return fmt.Errorf("store the intent of the payment: %w", err)
	case !open:
		return orderflow.ErrOrderClosed
	}
	return nil
}

// intents returns the payments of a settled order that were begun and have no recorded outcome.
func (s *Store) intents(ctx context.Context, tx pgx.Tx, view orderflow.View) ([]int, error) {
	if !view.State.Settled() {
		return nil, nil
	}
	attempts, err := s.q.IntentsOfOrder(ctx, tx, view.OrderID)
	if err != nil {
		return nil, fmt.Errorf("read the intents of payments: %w", err)
	}
	var out []int
	for _, attempt := range attempts {
		out = append(out, int(attempt))
	}
	return out, nil
}

// rowToTakeOver returns the order's row if the run must take over from it: another run has written the row, or a lost
// execution of this run has settled the order in another state. It returns nil if this record or a later one of this
// run is in the row.
func (s *Store) rowToTakeOver(
	ctx context.Context,
	tx pgx.Tx,
	in orderflow.RecordInput,
) (*orderflow.RecordedOrder, error) {
	row, err := s.find(ctx, tx, in.View.OrderID)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, fmt.Errorf("%w: the order has no row to advance", orderflow.ErrUnrecordable)
	case err != nil:
		return nil, err
	case row.RunID == in.RunID && !settledByLostExecution(row, in):
		return nil, nil
	}
	return &row.RecordedOrder, nil
}

// settledByLostExecution reports whether a lost execution of the run has settled the order, and the record comes from a
// later execution that leads to another state.
func settledByLostExecution(row recordedRow, in orderflow.RecordInput) bool {
	last := in.Entries[len(in.Entries)-1]
	return row.State.Settled() && row.State != in.View.State && last.At.After(row.updatedAt)
}

// checkSameOrder returns ErrRowTaken if the input differs from the order's row in its request, customer, total, lines
// or prices. An operator who starts a workflow by hand can give it such an input.
func (s *Store) checkSameOrder(ctx context.Context, tx pgx.Tx, in *orderflow.OrderInput) error {
	stored, err := s.q.GetOrder(ctx, tx, in.OrderID)
	if err != nil {
		return fmt.Errorf("read the recorded order: %w", err)
	}
	lines, err := s.q.LinesOfOrders(ctx, tx, []uuid.UUID{in.OrderID})
	if err != nil {
		return fmt.Errorf("read the recorded lines: %w", err)
	}

	same := hex.EncodeToString(stored.RequestHash) == in.RequestHash &&
		stored.CustomerID == in.CustomerID && stored.Issuer == in.Issuer &&
		stored.TotalMinor == in.Total.Minor && stored.Currency == in.Total.Currency &&
		len(lines) == len(in.Lines)
	for i := 0; same && i < len(lines); i++ {
		stored, given := lines[i], in.Lines[i]
		same = stored.ProductID == given.ProductID && stored.Quantity == given.Quantity &&
			stored.UnitPriceMinor == given.UnitPrice.Minor && stored.LineTotalMinor == given.Total.Minor
	}
	if !same {
		return orderflow.ErrRowTaken
	}
	return nil
}

// Find returns the recorded state of an order and the run of its workflow that has recorded it, or orderflow.ErrNoRow.
func (s *Store) Find(ctx context.Context, id uuid.UUID) (orderflow.RecordedOrder, error) {
	row, err := s.find(ctx, s.pool, id)
	if errors.Is(err, ErrNotFound) {
		err = orderflow.ErrNoRow
	}
	return row.RecordedOrder, err
}

// recordedRow is an order's row, with what only this package needs of it.
type recordedRow struct {
	orderflow.RecordedOrder
	updatedAt time.Time // the time of its last entry, by the workflow's clock
}

func (s *Store) find(ctx context.Context, db ordersdb.DBTX, id uuid.UUID) (recordedRow, error) {
	row, err := s.q.FindRecordedOrder(ctx, db, id)
	if err != nil {
		return recordedRow{}, fmt.Errorf("find order %s: %w", id, notFound(err))
	}
	return recordedRow{orderflow.RecordedOrder{
		RunID:           row.RunID,
		Seq:             row.Seq,
		State:           order.State(row.State),
		Reason:          row.Reason,
		ReservationID:   row.ReservationID,
		ExpiresAt:       row.ExpiresAt,
		PaymentAttempts: int(row.PaymentAttempts),
		Declines:        int(row.Declines),
	}, row.UpdatedAt}, nil
}

func (s *Store) insertTimeline(ctx context.Context, tx pgx.Tx, in orderflow.RecordInput) error {
	for _, e := range in.Entries {
		if err := s.q.InsertTimeline(ctx, tx, ordersdb.InsertTimelineParams{
			OrderID:      in.View.OrderID,
			Seq:          e.Seq,
			Event:        string(e.Event),
			FromState:    string(e.From),
			State:        string(e.State),
			At:           e.At,
			Actor:        storable(e.Actor),
			Reason:       storable(e.Reason),
			Attempt:      int32(e.Attempt), //nolint:gosec // attempts are few
			NextDeadline: e.NextDeadline,
		}); err != nil {
			return fmt.Errorf("insert timeline entry %d: %w", e.Seq, err)
		}
	}

	// A lost execution may have written entries after the last one of this record.
	last := in.Entries[len(in.Entries)-1]
	lost := ordersdb.ForgetLostTimelineParams{OrderID: in.View.OrderID, Seq: last.Seq, At: last.At}
	if err := s.q.ForgetLostTimeline(ctx, tx, lost); err != nil {
		return fmt.Errorf("delete the timeline of a lost execution: %w", err)
	}
	return nil
}

func (s *Store) insertPayments(ctx context.Context, tx pgx.Tx, in orderflow.RecordInput) error {
	for _, p := range in.Payments {
		if err := s.q.InsertPayment(ctx, tx, ordersdb.InsertPaymentParams{
			OrderID:         in.View.OrderID,
			Step:            string(p.Step),
			Attempt:         int32(p.Attempt), //nolint:gosec // attempts are few
			Provider:        storable(p.Provider),
			ProviderRef:     storable(p.ProviderRef),
			AmountMinor:     p.Amount.Minor,
			Currency:        p.Amount.Currency,
			State:           string(p.State),
			Reason:          storable(p.Reason),
			AuthorisedUntil: p.AuthorisedUntil,
			CreatedAt:       p.At,
		}); err != nil {
			return fmt.Errorf("insert payment %s %d: %w", p.Step, p.Attempt, err)
		}
	}
	return s.deleteIntents(ctx, tx, in)
}

// deleteIntents deletes the intents of payments whose outcome this record has.
func (s *Store) deleteIntents(ctx context.Context, tx pgx.Tx, in orderflow.RecordInput) error {
	var ended []int32
	for _, p := range in.Payments {
		if p.State != orderflow.PaymentAuthorised {
			ended = append(ended, int32(p.Attempt)) //nolint:gosec // attempts are few
		}
	}
	if len(ended) == 0 {
		return nil
	}
	err := s.q.ForgetIntents(ctx, tx, ordersdb.ForgetIntentsParams{OrderID: in.View.OrderID, Attempts: ended})
	if err != nil {
		return fmt.Errorf("delete the intents of payments: %w", err)
	}
	return nil
}

// insertOrder inserts the order's row and lines if the order has no row, and reports whether it did. If the order has a
// row, insertOrder checks that the row belongs to the same request.
func (s *Store) insertOrder(ctx context.Context, tx pgx.Tx, in orderflow.RecordInput) (bool, error) {
	hash, err := hex.DecodeString(in.Order.RequestHash)
	if err != nil {
		return false, fmt.Errorf("%w: decode the request hash: %w", orderflow.ErrUnrecordable, err)
	}
	shipTo, err := nullable(in.Order.ShipTo)
	if err != nil {
		return false, fmt.Errorf("encode the address: %w", err)
	}
	meta, err := json.Marshal(orEmpty(in.Order.Metadata))
	if err != nil {
		return false, fmt.Errorf("encode the metadata: %w", err)
	}
	refusal, err := nullable(in.View.Short)
	if err != nil {
		return false, fmt.Errorf("encode the refusal: %w", err)
	}

	o, last := in.Order, in.Entries[len(in.Entries)-1]
	inserted, err := s.q.InsertOrder(ctx, tx, ordersdb.InsertOrderParams{
		OrderID:         o.OrderID,
		Seq:             in.View.Seq,
		State:           string(in.View.State),
		Reason:          storable(in.View.Reason),
		RefusalCode:     refusalCode(in.View),
		Refusal:         refusal,
		RequestHash:     hash,
		CustomerID:      o.CustomerID,
		Issuer:          o.Issuer,
		TotalMinor:      o.Total.Minor,
		Currency:        o.Total.Currency,
		ReservationID:   in.View.ReservationID,
		ExpiresAt:       in.View.ExpiresAt,
		PaymentAttempts: int32(in.View.PaymentAttempts), //nolint:gosec // attempts are few
		ShipTo:          shipTo,
		Email:           o.Email,
		Metadata:        meta,
		WorkflowID:      in.WorkflowID,
		RunID:           in.RunID,
		CorrelationID:   o.CorrelationID,
		CreatedAt:       o.PlacedAt,
		UpdatedAt:       last.At,
	})
	if err != nil {
		return false, fmt.Errorf("insert order: %w", err)
	}
	if inserted == 0 {
		return false, s.checkSameOrder(ctx, tx, o)
	}

	lines := ordersdb.InsertOrderLinesParams{OrderID: o.OrderID, Currency: o.Total.Currency}
	for _, l := range o.Lines {
		lines.LineNos = append(lines.LineNos, int32(l.LineNo)) //nolint:gosec // at most 100 lines
		lines.ProductIds = append(lines.ProductIds, l.ProductID)
		lines.Skus = append(lines.Skus, l.SKU)
		lines.Names = append(lines.Names, l.Name)
		lines.Quantities = append(lines.Quantities, l.Quantity)
		lines.UnitPrices = append(lines.UnitPrices, l.UnitPrice.Minor)
		lines.LineTotals = append(lines.LineTotals, l.Total.Minor)
	}
	if err := s.q.InsertOrderLines(ctx, tx, lines); err != nil {
		return false, fmt.Errorf("insert order lines: %w", err)
	}
	return true, nil
}

var (
	// settled are the states in which a row changes only by an entry that starts from the row's state.
	settled = statesThat(order.State.Settled)
	// closed are the states of an order that cannot be paid any more.
	closed = statesThat(order.State.Closed)
)

func statesThat(are func(order.State) bool) []string {
	var out []string
	for _, state := range order.States() {
		if are(state) {
			out = append(out, string(state))
		}
	}
	return out
}

// advanceOrder updates the order's row and reports whether it did. It leaves a row that has this record's seq or a
// later one, and a row that an earlier run wrote and that this run has not taken over.
func (s *Store) advanceOrder(ctx context.Context, tx pgx.Tx, in orderflow.RecordInput) (bool, error) {
	refusal, err := nullable(in.View.Short)
	if err != nil {
		return false, fmt.Errorf("encode the refusal: %w", err)
	}
	advanced, err := s.q.AdvanceOrder(ctx, tx, ordersdb.AdvanceOrderParams{
		OrderID:         in.View.OrderID,
		Seq:             in.View.Seq,
		State:           string(in.View.State),
		Reason:          storable(in.View.Reason),
		RefusalCode:     refusalCode(in.View),
		Refusal:         refusal,
		ReservationID:   in.View.ReservationID,
		ExpiresAt:       in.View.ExpiresAt,
		PaymentAttempts: int32(in.View.PaymentAttempts), //nolint:gosec // attempts are few
		UpdatedAt:       in.Entries[len(in.Entries)-1].At,
		RunID:           in.RunID,
		After:           in.After,
		FromState:       string(in.Entries[0].From),
		Settled:         settled,
	})
	if err != nil {
		return false, fmt.Errorf("advance order to %d: %w", in.View.Seq, err)
	}
	return advanced > 0, nil
}

// publish writes one outbox event for each timeline entry that other services receive.
func (s *Store) publish(ctx context.Context, tx pgx.Tx, in orderflow.RecordInput) error {
	for _, e := range in.Entries {
		if !e.Event.Published() {
			continue
		}
		data := events.OrderChanged{
			OrderID:       in.View.OrderID,
			State:         string(e.State),
			ReservationID: in.View.ReservationID,
			ExpiresAt:     e.NextDeadline,
		}
		if e.Actor == orderflow.ActorSystem { // a person's words may be personal data
			data.Reason = storable(e.Reason)
		}
		if in.Order != nil {
			for _, l := range in.Order.Lines {
				line := events.OrderLine{ProductID: l.ProductID, SKU: l.SKU, Quantity: l.Quantity}
				data.Lines = append(data.Lines, line)
			}
			data.Total = &in.Order.Total
		}
		eventType := events.OrderPrefix + string(e.Event)
		event, err := events.NewPending(data, in.CorrelationID)
		if err != nil {
			return fmt.Errorf("%s: %w", eventType, err)
		}
		if err := s.q.InsertOutbox(ctx, tx, ordersdb.InsertOutboxParams{
			EventID:          event.EventID,
			AggregateType:    "order",
			AggregateID:      in.View.OrderID,
			AggregateVersion: e.Seq,
			EventType:        eventType,
			SchemaVersion:    events.SchemaVersion,
			Payload:          event.Payload,
			Headers:          event.Headers,
			CreatedAt:        e.At,
		}); err != nil {
			return fmt.Errorf("insert the %s event: %w", eventType, err)
		}
	}
	return nil
}

// storable returns s without the characters that PostgreSQL cannot store. The api refuses requests with such
// characters, but the text of a payment provider or another service must not make an order unrecordable.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}

// nullable returns v as JSON, or nil if v is a nil pointer or a nil slice.
func nullable[T any](v T) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil || string(raw) == "null" {
		return nil, err
	}
	return raw, nil
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func notFound(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// refusalCode returns the code for why an order was rejected. A workflow that started before View had RefusalCode sets
// only Short.
func refusalCode(v orderflow.View) string {
	if v.RefusalCode == "" && v.State == order.Rejected && len(v.Short) > 0 {
		return orderflow.ErrOutOfStock
	}
	return v.RefusalCode
}
