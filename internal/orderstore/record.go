package orderstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"holdfast/db/ordersdb"
	"holdfast/internal/database"
	"holdfast/internal/events"
	"holdfast/internal/money"
	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// Record writes an order up to in.View.Seq in one statement: row, timeline, payments and outbox. The first
// record of an order must have in.Order. If the order has no row, because its workflow was started by hand, Record
// inserts the row first.
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
	out, err := s.record(ctx, in)
	if database.Refuses(err) {
		err = fmt.Errorf("%w: %w", orderflow.ErrUnrecordable, err)
	}
	return out, err
}

func (s *Store) record(ctx context.Context, in orderflow.RecordInput) (orderflow.RecordResult, error) {
	out := orderflow.RecordResult{Seq: in.View.Seq}
	advanced, err := s.advance(ctx, in)
	if err == nil && !advanced && in.Order != nil {
		var number string
		if number, err = s.Place(ctx, *in.Order, false); number != "" {
			advanced, err = s.advance(ctx, in)
		}
	}
	if err == nil && !advanced {
		out.Earlier, err = s.rowToTakeOver(ctx, in)
	}
	if err == nil && out.Earlier == nil && in.View.State.Settled() {
		out.Begun, err = s.intents(ctx, in.View.OrderID)
	}
	return out, err
}

// advance advances the order's row in one statement, with all that belongs to the change, and reports whether it did.
// It leaves a row that has this record's seq or a later one, and a row that an earlier run wrote and that this run has
// not taken over.
//
// A run writes its records one after the other. So if advance leaves the row of this run, the database has the whole
// record already, or a later execution has overwritten it.
func (s *Store) advance(ctx context.Context, in orderflow.RecordInput) (bool, error) {
	refusal, err := nullable(in.View.Short)
	if err != nil {
		return false, fmt.Errorf("encode the refusal: %w", err)
	}
	params := ordersdb.RecordOrderParams{
		OrderID:         in.View.OrderID,
		Seq:             in.View.Seq,
		State:           string(in.View.State),
		Reason:          storable(in.View.Reason),
		RefusalCode:     refusalCode(in.View),
		Refusal:         refusal,
		ReservationID:   in.View.ReservationID,
		ActionUrl:       storable(in.View.ActionURL),
		ExpiresAt:       in.View.ExpiresAt,
		PaymentAttempts: int32(in.View.PaymentAttempts), //nolint:gosec // attempts are few
		UpdatedAt:       in.Entries[len(in.Entries)-1].At,
		RunID:           in.RunID,
		After:           in.After,
		FromState:       string(in.Entries[0].From),
		Settled:         settled,
		SchemaVersion:   events.SchemaVersion,
	}
	if err := expectOrder(&params, in.Order); err != nil {
		return false, err
	}
	addContents(&params, in.Contents)
	addEntries(&params, in.Entries)
	s.addFulfilment(&params, in)
	addPayments(&params, in.Payments)
	if err := s.addEvents(ctx, &params, in); err != nil {
		return false, err
	}

	advanced, err := s.q.RecordOrder(ctx, s.pool, params)
	if err != nil {
		return false, fmt.Errorf("record order %s up to %d: %w", in.View.OrderID, in.View.Seq, err)
	}
	return advanced, nil
}

// expectOrder makes a first record claim only the row of the same order.
func expectOrder(params *ordersdb.RecordOrderParams, in *orderflow.OrderInput) error {
	if in == nil {
		return nil
	}
	hash, err := requestHash(*in)
	if err != nil {
		return err
	}
	params.First = true
	params.RequestHash, params.CustomerID, params.Issuer = hash, in.CustomerID, in.Issuer
	params.TotalMinor, params.Currency = in.Total.Minor, in.Total.Currency
	for _, l := range in.Lines {
		params.LineNos = append(params.LineNos, int32(l.LineNo)) //nolint:gosec // at most 100 lines
		params.ProductIds = append(params.ProductIds, l.ProductID)
		params.Quantities = append(params.Quantities, l.Quantity)
		params.UnitPrices = append(params.UnitPrices, l.UnitPrice.Minor)
	}
	return nil
}

// addContents adds the lines and the total that replace those of the row.
func addContents(params *ordersdb.RecordOrderParams, now *orderflow.Contents) {
	if now == nil {
		return
	}
	params.Edited = true
	params.NewTotalMinor, params.NewCurrency = now.Total.Minor, now.Total.Currency
	params.NewReservationNumber = int32(now.ReservationNumber) //nolint:gosec // at most a few hundred
	for _, l := range now.Lines {
		params.NewLineNos = append(params.NewLineNos, int32(l.LineNo)) //nolint:gosec // at most 100 lines
		params.NewProductIds = append(params.NewProductIds, l.ProductID)
		params.NewSkus = append(params.NewSkus, l.SKU)
		params.NewNames = append(params.NewNames, l.Name)
		params.NewQuantities = append(params.NewQuantities, l.Quantity)
		params.NewUnitPrices = append(params.NewUnitPrices, l.UnitPrice.Minor)
		params.NewLineTotals = append(params.NewLineTotals, l.Total.Minor)
	}
}

func addEntries(params *ordersdb.RecordOrderParams, entries []orderflow.TimelineEntry) {
	for _, e := range entries {
		params.EntrySeqs = append(params.EntrySeqs, e.Seq)
		params.EntryEvents = append(params.EntryEvents, string(e.Event))
		params.EntryFromStates = append(params.EntryFromStates, string(e.From))
		params.EntryStates = append(params.EntryStates, string(e.State))
		params.EntryTimes = append(params.EntryTimes, e.At)
		params.EntryActors = append(params.EntryActors, storable(e.Actor))
		params.EntryReasons = append(params.EntryReasons, storable(e.Reason))
		params.EntryAttempts = append(params.EntryAttempts, int32(e.Attempt))    //nolint:gosec // attempts are few
		params.EntryShipments = append(params.EntryShipments, int32(e.Shipment)) //nolint:gosec // shipments are few
		params.EntryCorrelationIds = append(params.EntryCorrelationIds, storable(e.CorrelationID))
		params.EntryDeadlines = append(params.EntryDeadlines, orNoTime(e.NextDeadline))
	}
}

// addPayments adds the steps of payments, and deletes the intents of the payments whose outcome they are.
func addPayments(params *ordersdb.RecordOrderParams, payments []orderflow.PaymentRecord) {
	for _, p := range payments {
		attempt := int32(p.Attempt) //nolint:gosec // attempts are few
		params.PaymentSteps = append(params.PaymentSteps, string(p.Step))
		params.PaymentNumbers = append(params.PaymentNumbers, attempt)
		params.PaymentParts = append(params.PaymentParts, int32(p.Number)) //nolint:gosec // refunds are few
		params.PaymentProviders = append(params.PaymentProviders, storable(p.Provider))
		params.PaymentRefs = append(params.PaymentRefs, storable(p.ProviderRef))
		params.PaymentAmounts = append(params.PaymentAmounts, p.Amount.Minor)
		params.PaymentCurrencies = append(params.PaymentCurrencies, p.Amount.Currency)
		params.PaymentStates = append(params.PaymentStates, string(p.State))
		params.PaymentReasons = append(params.PaymentReasons, storable(p.Reason))
		params.PaymentDeadlines = append(params.PaymentDeadlines, orNoTime(p.AuthorisedUntil))
		params.PaymentTimes = append(params.PaymentTimes, p.At)
		repair, _ := uuid.Parse(p.Repair) // the nil id stands for none
		params.PaymentRepairs = append(params.PaymentRepairs, repair)
		if p.State != orderflow.PaymentAuthorised {
			params.EndedAttempts = append(params.EndedAttempts, attempt)
		}
	}
}

// addFulfilment adds all shipments and returns of a paid order. The day for which a shipment is promised counts only
// if the shipment is new.
func (s *Store) addFulfilment(params *ordersdb.RecordOrderParams, in orderflow.RecordInput) {
	f := in.View.Fulfilment
	if f == nil {
		return
	}
	if f.Hold != nil {
		params.HoldReason, params.HoldNote = string(f.Hold.Reason), storable(f.Hold.Note)
	}
	for _, x := range f.Shipments {
		number := int32(x.Number) //nolint:gosec // shipments are few
		params.ShipmentNumbers = append(params.ShipmentNumbers, number)
		params.ShipmentLocations = append(params.ShipmentLocations, x.Location)
		params.ShipmentStatuses = append(params.ShipmentStatuses, string(x.Status))
		params.ShipmentCarriers = append(params.ShipmentCarriers, storable(x.Carrier))
		params.ShipmentTrackingNumbers = append(params.ShipmentTrackingNumbers, storable(x.TrackingNumber))
		day := ""
		if s.calendar != nil {
			day = s.calendar.Day(x.Location, in.ShipCountry, params.UpdatedAt)
		}
		params.ShipmentPromises = append(params.ShipmentPromises, day)
		for _, l := range x.Lines {
			params.ContentNumbers = append(params.ContentNumbers, number)
			params.ContentLineNos = append(params.ContentLineNos, int32(l.LineNo))                //nolint:gosec // at most 100
			params.ContentReservations = append(params.ContentReservations, int32(l.Reservation)) //nolint:gosec // few
			params.ContentQuantities = append(params.ContentQuantities, l.Quantity)
			params.ContentCancelled = append(params.ContentCancelled, l.Cancelled)
			params.ContentShort = append(params.ContentShort, l.Short)
			params.ContentRerouting = append(params.ContentRerouting, l.Rerouting)
			params.ContentRestocked = append(params.ContentRestocked, l.Restocked)
		}
	}
	addReturns(params, f.Returns)
}

// addReturns adds all returns of a paid order.
func addReturns(params *ordersdb.RecordOrderParams, returns []orderflow.Return) {
	for _, r := range returns {
		number := int32(r.Number) //nolint:gosec // returns are few
		params.ReturnNumbers = append(params.ReturnNumbers, number)
		params.ReturnStatuses = append(params.ReturnStatuses, string(r.Status))
		params.ReturnReasons = append(params.ReturnReasons, string(r.Reason))
		params.ReturnNotes = append(params.ReturnNotes, storable(r.Note))
		params.ReturnKeys = append(params.ReturnKeys, storable(r.Key))
		params.ReturnDeadlines = append(params.ReturnDeadlines, orNoTime(r.ReceiveBy))
		for _, l := range r.Lines {
			params.ReturnedNumbers = append(params.ReturnedNumbers, number)
			params.ReturnedLineNos = append(params.ReturnedLineNos, int32(l.LineNo)) //nolint:gosec // at most 100
			params.ReturnedQuantities = append(params.ReturnedQuantities, l.Quantity)
			params.ReturnedRestocked = append(params.ReturnedRestocked, l.Restocked)
			params.ReturnedDamaged = append(params.ReturnedDamaged, l.Damaged)
			params.ReturnedRefunds = append(params.ReturnedRefunds, l.RefundMinor)
		}
	}
}

// addEvents adds one outbox event for each timeline entry that other systems receive.
func (s *Store) addEvents(ctx context.Context, params *ordersdb.RecordOrderParams, in orderflow.RecordInput) error {
	for _, e := range in.Entries {
		if e.Event.PublishedAs() == "" {
			continue
		}
		data, err := s.eventData(ctx, in, e)
		if err != nil {
			return err
		}
		eventType := eventType(e.Event)
		event, err := events.NewPending(data, headers(ctx, cmp.Or(e.CorrelationID, in.CorrelationID)))
		if err != nil {
			return fmt.Errorf("%s: %w", eventType, err)
		}
		params.EventIds = append(params.EventIds, event.EventID)
		params.EventVersions = append(params.EventVersions, e.Seq)
		params.EventTypes = append(params.EventTypes, eventType)
		params.EventPayloads = append(params.EventPayloads, event.Payload)
		params.EventHeaders = append(params.EventHeaders, event.Headers)
		params.EventTimes = append(params.EventTimes, e.At)
	}
	return nil
}

// errNoRow refuses a record that neither finds the order's row nor has the order.
var errNoRow = fmt.Errorf("%w: the order has no row to advance", orderflow.ErrUnrecordable)

// orNoTime returns the time, or the zero time, which the statement stores as NULL.
func orNoTime(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// intents returns the payments of a settled order that were begun and have no recorded outcome. The caller reads them
// after the record of the settled state has committed: BeginPayment locks the order's row, so it has committed before,
// or finds the order closed.
func (s *Store) intents(ctx context.Context, id uuid.UUID) ([]int, error) {
	attempts, err := s.q.IntentsOfOrder(ctx, s.pool, id)
	if err != nil {
		return nil, fmt.Errorf("read the intents of payments: %w", err)
	}
	return attemptsOf(attempts), nil
}

func attemptsOf(numbers []int32) []int {
	var out []int
	for _, n := range numbers {
		out = append(out, int(n))
	}
	return out
}

// rowToTakeOver returns the order's row if the run must take over from it: another run has written the row, or a lost
// execution of this run has settled the order in another state. It returns nil if this record or a later one of this
// run is in the row.
//
// It returns ErrRowTaken if the row belongs to another order than the record.
func (s *Store) rowToTakeOver(ctx context.Context, in orderflow.RecordInput) (*orderflow.RecordedOrder, error) {
	if in.Order != nil {
		if err := s.checkSameOrder(ctx, *in.Order); err != nil {
			return nil, err
		}
	}
	row, err := s.find(ctx, in.View.OrderID)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, errNoRow
	case err != nil:
		return nil, err
	case row.RunID == "" && in.Order == nil: // the database was restored to a time before the first record
		return nil, errNoRow
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
// or prices. An operator who starts a workflow by hand can give it such an input. If an earlier run has changed the
// lines, they and the total are not compared: the input of a run that began before has the old ones.
func (s *Store) checkSameOrder(ctx context.Context, in orderflow.OrderInput) error {
	stored, err := s.Get(ctx, in.OrderID)
	if err != nil {
		return err
	}
	edited := stored.ReservationNumber > 1
	same := stored.RequestHash == in.RequestHash && stored.CustomerID == in.CustomerID && stored.Issuer == in.Issuer &&
		(edited || stored.Total == in.Total && stored.Shipping == in.Shipping && len(stored.Lines) == len(in.Lines))
	for i := 0; same && !edited && i < len(in.Lines); i++ {
		have, given := stored.Lines[i], in.Lines[i]
		same = have.ProductID == given.ProductID && have.Quantity == given.Quantity &&
			have.UnitPrice == given.UnitPrice && have.Discount == given.Discount && have.Tax == given.Tax &&
			have.Total == given.Total
	}
	if !same {
		return orderflow.ErrRowTaken
	}
	return nil
}

// Find returns the recorded state of an order and the run of its workflow that has recorded it. It returns
// orderflow.ErrNoRow if no run has recorded the order.
func (s *Store) Find(ctx context.Context, id uuid.UUID) (orderflow.RecordedOrder, error) {
	row, err := s.find(ctx, id)
	if errors.Is(err, ErrNotFound) || err == nil && row.RunID == "" {
		err = orderflow.ErrNoRow
	}
	return row.RecordedOrder, err
}

// recordedRow is an order's row, with what only this package needs of it.
type recordedRow struct {
	orderflow.RecordedOrder
	updatedAt time.Time // the time of its last entry, by the workflow's clock
}

func (s *Store) find(ctx context.Context, id uuid.UUID) (recordedRow, error) {
	row, err := s.q.FindRecordedOrder(ctx, s.pool, id)
	if err != nil {
		return recordedRow{}, fmt.Errorf("find order %s: %w", id, notFound(err))
	}
	f, err := s.fulfilment(ctx, id, row)
	if err != nil {
		return recordedRow{}, err
	}
	now, err := s.changedContents(ctx, id, row)
	if err != nil {
		return recordedRow{}, err
	}
	return recordedRow{orderflow.RecordedOrder{
		Contents:        now,
		CapturedAttempt: int(row.CapturedAttempt),
		Refunds:         int(row.Refunds),
		RefundedMinor:   row.RefundedMinor,
		Fulfilment:      f,
		RunID:           row.RunID,
		Seq:             row.Seq,
		State:           order.State(row.State),
		Reason:          row.Reason,
		ReservationID:   row.ReservationID,
		ExpiresAt:       row.ExpiresAt,
		PaymentAttempts: int(row.PaymentAttempts),
		Declines:        int(row.Declines),
		Unended:         attemptsOf(row.Unended),
		ByHand:          attemptsOf(row.ByHand),
	}, row.UpdatedAt}, nil
}

// changedContents returns what an order consists of, if its lines were changed.
func (s *Store) changedContents(
	ctx context.Context, id uuid.UUID, row ordersdb.FindRecordedOrderRow,
) (*orderflow.Contents, error) {
	if row.ReservationNumber == 1 {
		return nil, nil
	}
	lines, err := s.q.LinesOfOrders(ctx, s.pool, []uuid.UUID{id})
	if err != nil {
		return nil, fmt.Errorf("read the lines of order %s: %w", id, err)
	}
	out := &orderflow.Contents{
		ReservationNumber: int(row.ReservationNumber),
		Total:             money.Amount{Minor: row.TotalMinor, Currency: row.Currency},
	}
	for _, l := range lines {
		out.Lines = append(out.Lines, orderflow.Line(lineOf(l)))
	}
	return out, nil
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
