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

// Record brings an order up to in.View.Seq in one transaction: row, lines, timeline, payments and outbox. The first
// record of an order must carry in.Order.
//
// It is idempotent by seq and time: a repeated or late record changes nothing, and a record of a workflow task that was
// executed again overwrites the record of the lost execution. A row never goes back: a settled row
// (order.State.Settled) changes only by an entry that starts from its state. If another run of the workflow has written
// the row, Record writes nothing and returns the row as the result's Earlier, until the run names the row's seq in
// in.After.
//
// A retry does not help against orderflow.ErrRowTaken and orderflow.ErrUnrecordable.
func (s *Store) Record(ctx context.Context, in orderflow.RecordInput) (orderflow.RecordResult, error) {
	out := orderflow.RecordResult{Seq: in.View.Seq}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		added := false
		if in.Order != nil {
			var err error
			if added, err = s.insert(ctx, tx, in); err != nil {
				return err
			}
		}
		if !added {
			// A run writes its records one after the other. So if the row has this record's seq or a later one, the
			// whole record has been written, or a later execution has overwritten it.
			if advanced, err := s.advance(ctx, tx, in); err != nil {
				return err
			} else if !advanced {
				if out.Earlier, err = s.writtenOtherwise(ctx, tx, in); err != nil || out.Earlier != nil {
					return err
				}
				out.Begun, err = s.begun(ctx, tx, in.View)
				return err
			}
		}

		if err := s.insertTimeline(ctx, tx, in); err != nil {
			return err
		}
		if err := s.insertPayments(ctx, tx, in); err != nil {
			return err
		}
		if err := s.publish(ctx, tx, in); err != nil {
			return err
		}
		var err error
		out.Begun, err = s.begun(ctx, tx, in.View)
		return err
	})
	if database.Refuses(err) {
		err = fmt.Errorf("%w: %w", orderflow.ErrUnrecordable, err)
	}
	return out, err
}

// BeginPayment remembers that a payment of an order may be made at the provider from now on. It is idempotent.
// orderflow.ErrOrderClosed: the order has ended without being carried out; orderflow.ErrNoRow: it is not recorded.
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
		return fmt.Errorf("remember the payment: %w", err)
	case !open:
		return orderflow.ErrOrderClosed
	}
	return nil
}

// begun returns the payments of a settled order whose outcome is not recorded.
func (s *Store) begun(ctx context.Context, tx pgx.Tx, view orderflow.View) ([]int, error) {
	if !view.State.Settled() {
		return nil, nil
	}
	attempts, err := s.q.IntentsOfOrder(ctx, tx, view.OrderID)
	if err != nil {
		return nil, fmt.Errorf("find the payments that have begun: %w", err)
	}
	var out []int
	for _, attempt := range attempts {
		out = append(out, int(attempt))
	}
	return out, nil
}

// writtenOtherwise returns the order's row if this record does not lead to it: another run of the workflow has written
// the row, or a lost execution of this run has settled the order. It returns nil if the row is what this record
// makes of it, or what a later record did.
func (s *Store) writtenOtherwise(
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
	case row.RunID == in.RunID && !lostOtherwise(row, in):
		return nil, nil
	}
	return &row.RecordedOrder, nil
}

// lostOtherwise reports whether a lost execution of the run has settled the order, and the record is of a later
// execution that leads elsewhere.
func lostOtherwise(row recorded, in orderflow.RecordInput) bool {
	last := in.Entries[len(in.Entries)-1]
	return row.State.Settled() && row.State != in.View.State && last.At.After(row.updatedAt)
}

// sameOrder refuses a workflow's input that differs from the order's row: another request, or the same request with
// another customer, other lines or other prices. An operator who starts a workflow by hand may give such an input.
func (s *Store) sameOrder(ctx context.Context, tx pgx.Tx, row recorded, in *orderflow.OrderInput) error {
	stored, err := s.q.GetOrder(ctx, tx, in.OrderID)
	if err != nil {
		return fmt.Errorf("read the order that is there: %w", err)
	}
	lines, err := s.q.LinesOfOrders(ctx, tx, []uuid.UUID{in.OrderID})
	if err != nil {
		return fmt.Errorf("read the lines that are there: %w", err)
	}

	same := row.requestHash == in.RequestHash && stored.CustomerID == in.CustomerID && stored.Issuer == in.Issuer &&
		stored.TotalMinor == in.Total.Minor && stored.Currency == in.Total.Currency && len(lines) == len(in.Lines)
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

type recorded struct {
	orderflow.RecordedOrder
	requestHash string
	updatedAt   time.Time
}

func (s *Store) find(ctx context.Context, db ordersdb.DBTX, id uuid.UUID) (recorded, error) {
	row, err := s.q.FindRecordedOrder(ctx, db, id)
	if err != nil {
		return recorded{}, fmt.Errorf("find order %s: %w", id, notFound(err))
	}
	return recorded{orderflow.RecordedOrder{
		RunID:           row.RunID,
		Seq:             row.Seq,
		State:           order.State(row.State),
		Reason:          row.Reason,
		ReservationID:   row.ReservationID,
		ExpiresAt:       row.ExpiresAt,
		PaymentAttempts: int(row.PaymentAttempts),
		Declines:        int(row.Declines),
	}, hex.EncodeToString(row.RequestHash), row.UpdatedAt}, nil
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
	last := in.Entries[len(in.Entries)-1]
	lost := ordersdb.ForgetLostTimelineParams{OrderID: in.View.OrderID, Seq: last.Seq, At: last.At}
	if err := s.q.ForgetLostTimeline(ctx, tx, lost); err != nil {
		return fmt.Errorf("forget what a lost task told: %w", err)
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
	return s.forgetIntents(ctx, tx, in)
}

// forgetIntents drops the intents of payments whose last step is recorded.
func (s *Store) forgetIntents(ctx context.Context, tx pgx.Tx, in orderflow.RecordInput) error {
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
		return fmt.Errorf("forget the intents: %w", err)
	}
	return nil
}

// insert inserts the order's row and lines if there is no row, and reports whether it did.
func (s *Store) insert(ctx context.Context, tx pgx.Tx, in orderflow.RecordInput) (bool, error) {
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
	added, err := s.q.InsertOrder(ctx, tx, ordersdb.InsertOrderParams{
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
	if added == 0 {
		row, err := s.find(ctx, tx, o.OrderID)
		if err != nil {
			return false, err
		}
		return false, s.sameOrder(ctx, tx, row, o)
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

// advance moves the row forward and reports whether it did. It does not change a row that has this record's seq or a
// later one.
func (s *Store) advance(ctx context.Context, tx pgx.Tx, in orderflow.RecordInput) (bool, error) {
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

// publish writes an event into the outbox for each entry that other services receive.
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

// nullable encodes v, or nil for a nil pointer or empty slice.
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

// refusalCode returns why an order was rejected. A workflow that is older than refusal codes records only the short
// lines.
func refusalCode(v orderflow.View) string {
	if v.RefusalCode == "" && v.State == order.Rejected && len(v.Short) > 0 {
		return orderflow.ErrOutOfStock
	}
	return v.RefusalCode
}
