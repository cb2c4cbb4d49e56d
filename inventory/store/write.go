package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"holdfast/db/inventorydb"
	"holdfast/internal/events"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
)

// largeWrite is the number of ledger entries from which on a batch counts as large. PostgreSQL then works on the first
// statements of the batch while write still encodes the last ones.
const largeWrite = 16

// write queues all statements of a batch and sends all but the events, which go with COMMIT. If the batch is large,
// write sends each group of statements as soon as it is encoded.
//
// The update of the items is the first statement, because it checks their versions. write waits for the answer to this
// one statement. So a transaction that lost a race fails here, and COMMIT is never sent for it. If backorders change,
// which is rare, it waits for all answers.
func (s *Store) write(ctx context.Context, t *transaction, c stock.Changes) error {
	large := len(c.Entries) >= largeWrite

	s.writeItems(ctx, t, c.Items)
	if large {
		t.flushForAnswers()
	}

	s.insertBackorders(ctx, t, c.NewBackorders)
	s.updateBackorders(ctx, t, c.Backorders) // before the reservations: a trigger looks for the grant
	s.insertReservations(ctx, t, c.Inserts)
	s.updateReservations(ctx, t, c.Updates)
	s.closeLines(ctx, t, c.Resolved)
	s.insertLines(ctx, t, c.Inserts)
	s.updateLines(ctx, t, c.Returned)
	if large {
		t.flush()
	}

	s.writeEntries(ctx, t, c)
	s.writeOperations(ctx, t, c.Named)
	s.writeProducts(ctx, t, c.Products)
	s.writeIncoming(ctx, t, c)
	if len(c.Backorders) > 0 { // their versions are checked, too, also if no item changes
		t.flushForAnswers()
		if err := t.receive(); err != nil {
			return err
		}
		return s.writeEvents(ctx, t, c)
	}
	if large {
		t.flush()
	} else {
		t.flushForAnswers()
	}

	// PostgreSQL executes the statements above while the events are encoded.
	if err := s.writeEvents(ctx, t, c); err != nil {
		return err
	}

	if len(c.Items) == 0 {
		return nil // no version was checked, so there is no answer to wait for
	}
	return t.receiveFirst()
}

// expect returns the step of a statement that must change the given number of rows. If the statement changes fewer,
// another transaction has changed one of the rows since they were read. The transaction calls query twice: once to send
// the statement, and once to read its answer.
func expect(what string, rows int, query func(inventorydb.DBTX) (int64, error)) step {
	return step{what, func(db inventorydb.DBTX) error {
		got, err := query(db)
		if err == nil && got != int64(rows) {
			return fmt.Errorf("%d of %d rows: %w", got, rows, ErrVersionConflict)
		}
		return err
	}}
}

func (s *Store) writeItems(ctx context.Context, t *transaction, items []*stock.Item) {
	if len(items) == 0 {
		return
	}
	var arg inventorydb.UpdateItemsParams
	for _, it := range items {
		arg.ItemIds = append(arg.ItemIds, it.ID)
		arg.Versions = append(arg.Versions, it.Version)
		arg.Quantities = append(arg.Quantities, it.Quantity)
		arg.Reserveds = append(arg.Reserveds, it.Reserved)
		arg.Thresholds = append(arg.Thresholds, it.Threshold)
		arg.Waitings = append(arg.Waitings, it.Waiting)
		arg.Deleteds = append(arg.Deleteds, it.Deleted)
	}
	t.send(expect("update items", len(items), func(db inventorydb.DBTX) (int64, error) {
		return s.q.UpdateItems(ctx, db, arg)
	}))
}

func (s *Store) insertReservations(ctx context.Context, t *transaction, inserts []*stock.Reservation) {
	if len(inserts) == 0 {
		return
	}
	var arg inventorydb.InsertReservationsParams
	for _, r := range inserts {
		hash := r.RequestHash
		if hash == nil {
			hash = []byte{} // the statement stores it as null
		}
		arg.ReservationIds = append(arg.ReservationIds, r.ID)
		arg.OwnerKinds = append(arg.OwnerKinds, string(r.Owner.Kind))
		arg.OwnerIds = append(arg.OwnerIds, r.Owner.ID)
		arg.Numbers = append(arg.Numbers, int32(r.Owner.Number)) //nolint:gosec // checked to be at most a million
		arg.RequestHashes = append(arg.RequestHashes, hash)
		arg.Statuses = append(arg.Statuses, string(r.Status))
		arg.ExpiresAts = append(arg.ExpiresAts, r.ExpiresAt)
		arg.WorkflowIds = append(arg.WorkflowIds, r.WorkflowID)
		arg.Versions = append(arg.Versions, r.Version)
		arg.Actors = append(arg.Actors, r.Actor)
		arg.Reasons = append(arg.Reasons, r.Reason)
		arg.ReserveOperations = append(arg.ReserveOperations, r.ReserveOp)
		arg.ResolveOperations = append(arg.ResolveOperations, r.ResolveOp)
		arg.CreatedAts = append(arg.CreatedAts, r.CreatedAt)
		arg.ResolvedAts = append(arg.ResolvedAts, r.ResolvedAt)
	}
	t.send(expect("insert reservations", len(inserts), func(db inventorydb.DBTX) (int64, error) {
		return s.q.InsertReservations(ctx, db, arg)
	}))
}

func (s *Store) updateReservations(ctx context.Context, t *transaction, updates []*stock.Reservation) {
	if len(updates) == 0 {
		return
	}
	var arg inventorydb.UpdateReservationsParams
	for _, r := range updates {
		arg.ReservationIds = append(arg.ReservationIds, r.ID)
		arg.Versions = append(arg.Versions, r.ReadVersion())
		arg.VersionsAfter = append(arg.VersionsAfter, r.Version)
		arg.Statuses = append(arg.Statuses, string(r.Status))
		arg.ExpiresAts = append(arg.ExpiresAts, r.ExpiresAt)
		arg.Actors = append(arg.Actors, r.Actor)
		arg.Reasons = append(arg.Reasons, r.Reason)
		arg.ResolveOperations = append(arg.ResolveOperations, r.ResolveOp)
		arg.ResolvedAts = append(arg.ResolvedAts, r.ResolvedAt)
	}
	t.send(expect("update reservations", len(updates), func(db inventorydb.DBTX) (int64, error) {
		return s.q.UpdateReservations(ctx, db, arg)
	}))
}

// closeLines marks the lines of reservations that are no longer pending as closed.
func (s *Store) closeLines(ctx context.Context, t *transaction, resolved []*stock.Reservation) {
	if len(resolved) == 0 {
		return
	}
	ids, lines := make([]uuid.UUID, len(resolved)), 0
	for i, r := range resolved {
		ids[i] = r.ID
		lines += len(r.Lines)
	}
	t.send(expect("close lines", lines, func(db inventorydb.DBTX) (int64, error) {
		return s.q.CloseReservationLines(ctx, db, ids)
	}))
}

func (s *Store) insertLines(ctx context.Context, t *transaction, inserts []*stock.Reservation) {
	var arg inventorydb.InsertReservationLinesParams
	for _, r := range inserts {
		pending := r.Status == inventoryapi.StatusPending // false if a later request of the same batch resolved it
		for _, l := range r.Lines {
			arg.ReservationIds = append(arg.ReservationIds, r.ID)
			arg.LineNos = append(arg.LineNos, int32(l.No)) //nolint:gosec // checked to be at most a million
			arg.ItemIds = append(arg.ItemIds, l.ItemID)
			arg.Quantities = append(arg.Quantities, l.Quantity)
			arg.Returneds = append(arg.Returneds, l.Returned)
			arg.Opens = append(arg.Opens, pending)
			arg.ExpiresAts = append(arg.ExpiresAts, r.ExpiresAt)
		}
	}
	if n := len(arg.ItemIds); n > 0 { // a tombstone has no lines
		t.send(expect("insert lines", n, func(db inventorydb.DBTX) (int64, error) {
			return s.q.InsertReservationLines(ctx, db, arg)
		}))
	}
}

func (s *Store) updateLines(ctx context.Context, t *transaction, returned []stock.ReturnedLine) {
	if len(returned) == 0 {
		return
	}
	var arg inventorydb.UpdateReservationLinesParams
	for _, l := range returned {
		arg.ReservationIds = append(arg.ReservationIds, l.ReservationID)
		arg.LineNos = append(arg.LineNos, int32(l.No)) //nolint:gosec // read from an integer column
		arg.ItemIds = append(arg.ItemIds, l.ItemID)
		arg.Returneds = append(arg.Returneds, l.Returned)
	}
	t.send(expect("update lines", len(returned), func(db inventorydb.DBTX) (int64, error) {
		return s.q.UpdateReservationLines(ctx, db, arg)
	}))
}

func (s *Store) writeEntries(ctx context.Context, t *transaction, c stock.Changes) {
	if len(c.Entries) == 0 {
		return
	}
	arg := inventorydb.InsertEntriesParams{CreatedAt: c.At}
	for _, e := range c.Entries {
		arg.OperationIds = append(arg.OperationIds, e.OperationID)
		arg.ItemIds = append(arg.ItemIds, e.ItemID)
		arg.Lines = append(arg.Lines, int32(e.Line)) //nolint:gosec // checked to be at most a million
		arg.Kinds = append(arg.Kinds, string(e.Kind))
		arg.QuantityDeltas = append(arg.QuantityDeltas, e.QuantityDelta)
		arg.ReservedDeltas = append(arg.ReservedDeltas, e.ReservedDelta)
		arg.QuantityAfters = append(arg.QuantityAfters, e.QuantityAfter)
		arg.ReservedAfters = append(arg.ReservedAfters, e.ReservedAfter)
		arg.VersionAfters = append(arg.VersionAfters, e.VersionAfter)
		arg.ReservationIds = append(arg.ReservationIds, e.ReservationID)
		arg.Actors = append(arg.Actors, e.Actor)
		arg.Reasons = append(arg.Reasons, e.Reason)
	}
	t.send(expect("insert entries", len(c.Entries), func(db inventorydb.DBTX) (int64, error) {
		return s.q.InsertEntries(ctx, db, arg)
	}))
}

func (s *Store) writeOperations(ctx context.Context, t *transaction, named []stock.Operation) {
	if len(named) == 0 {
		return
	}
	var arg inventorydb.InsertOperationsParams
	for _, o := range named {
		arg.OperationIds = append(arg.OperationIds, o.ID)
		arg.RequestHashes = append(arg.RequestHashes, o.Hash)
		arg.Answers = append(arg.Answers, string(o.Answer))
	}
	t.send(expect("insert operations", len(named), func(db inventorydb.DBTX) (int64, error) {
		return s.q.InsertOperations(ctx, db, arg)
	}))
}

func (s *Store) writeProducts(ctx context.Context, t *transaction, products []stock.Product) {
	if len(products) == 0 {
		return
	}
	var arg inventorydb.UpsertProductsParams
	for _, p := range products {
		threshold := int64(-1) // the statement stores it as null
		if p.Threshold != nil {
			threshold = *p.Threshold
		}
		arg.ProductIds = append(arg.ProductIds, p.ID)
		arg.Thresholds = append(arg.Thresholds, threshold)
		arg.Sellables = append(arg.Sellables, !p.Unsellable)
		arg.CatalogueVersions = append(arg.CatalogueVersions, p.CatalogueVersion)
	}
	t.send(expect("upsert products", len(products), func(db inventorydb.DBTX) (int64, error) {
		return s.q.UpsertProducts(ctx, db, arg)
	}))
}

func (s *Store) writeEvents(ctx context.Context, t *transaction, c stock.Changes) error {
	if len(c.Events) == 0 {
		return nil
	}
	arg, err := eventRows(ctx, c.Events, c.At)
	if err != nil {
		return err
	}
	t.send(expect("insert events", len(c.Events), func(db inventorydb.DBTX) (int64, error) {
		return s.q.InsertEvents(ctx, db, arg)
	}))
	return nil
}

// Announce writes events that belong to no change of stock, in a transaction of their own. If an event of its aggregate
// has its version and type already, Announce fails and writes none of them.
func (s *Store) Announce(ctx context.Context, list []stock.Event) error {
	clock, err := s.q.Clock(ctx, s.pool, inventorydb.ClockParams{})
	if err != nil {
		return fmt.Errorf("read the clock: %w", err)
	}
	arg, err := eventRows(ctx, list, clock.At)
	if err != nil {
		return err
	}
	if _, err := s.q.InsertEvents(ctx, s.pool, arg); err != nil {
		return fmt.Errorf("insert %d events: %w", len(list), err)
	}
	return nil
}

func eventRows(ctx context.Context, list []stock.Event, at time.Time) (inventorydb.InsertEventsParams, error) {
	arg := inventorydb.InsertEventsParams{SchemaVersion: events.SchemaVersion, CreatedAt: at}
	for _, e := range list {
		event, err := events.NewPending(e.Data, headers(ctx, e.CorrelationID))
		if err != nil {
			return arg, fmt.Errorf("%w: %s: %w", ErrFault, e.Type, err)
		}
		arg.EventIds = append(arg.EventIds, event.EventID)
		arg.AggregateTypes = append(arg.AggregateTypes, e.AggregateType)
		arg.AggregateIds = append(arg.AggregateIds, e.AggregateID)
		arg.AggregateVersions = append(arg.AggregateVersions, e.Version)
		arg.EventTypes = append(arg.EventTypes, e.Type)
		arg.Payloads = append(arg.Payloads, string(event.Payload))
		arg.Headers = append(arg.Headers, string(event.Headers))
	}
	return arg, nil
}
