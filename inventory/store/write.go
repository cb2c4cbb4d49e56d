package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"holdfast/db/inventorydb"
	"holdfast/internal/events"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
)

// streamed is the number of entries from which on write sends the first statements before it encodes the last ones.
const streamed = 16

// write sends all statements. Of a large batch it sends each group of statements as soon as it is encoded. The version
// check comes first, and write returns only after it has read the answer to it. So COMMIT is not sent to a transaction
// that lost the race.
func (s *Store) write(ctx context.Context, t *transaction, c stock.Changes) error {
	s.writeItems(ctx, t, c.Items)
	large := len(c.Entries) >= streamed
	if large {
		t.flush(true)
	}

	s.writeReservations(ctx, t, c)
	s.writeLines(ctx, t, c)
	if large {
		t.flush(false)
	}

	s.writeEntries(ctx, t, c)
	s.writeOperations(ctx, t, c.Named)
	s.writeProducts(ctx, t, c.Products)
	t.flush(!large)
	if err := s.writeEvents(ctx, t, c); err != nil {
		return err
	}
	if len(c.Items) == 0 {
		return nil
	}
	return t.receiveFirst()
}

// expect returns the step of a statement that must change the given number of rows. If it changes fewer, another
// transaction has changed one of them since they were read.
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
		arg.Deleteds = append(arg.Deleteds, it.Deleted)
	}
	t.send(expect("update items", len(items), func(db inventorydb.DBTX) (int64, error) {
		return s.q.UpdateItems(ctx, db, arg)
	}))
}

func (s *Store) writeReservations(ctx context.Context, t *transaction, c stock.Changes) {
	if len(c.Inserts) > 0 {
		var arg inventorydb.InsertReservationsParams
		for _, r := range c.Inserts {
			arg.ReservationIds = append(arg.ReservationIds, r.ID)
			arg.OwnerKinds = append(arg.OwnerKinds, string(r.Owner.Kind))
			arg.OwnerIds = append(arg.OwnerIds, r.Owner.ID)
			arg.Numbers = append(arg.Numbers, int32(r.Owner.Number)) //nolint:gosec // checked to be at most a million
			hash := r.RequestHash
			if hash == nil {
				hash = []byte{} // the statement stores it as null
			}
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
		t.send(expect("insert reservations", len(c.Inserts), func(db inventorydb.DBTX) (int64, error) {
			return s.q.InsertReservations(ctx, db, arg)
		}))
	}

	if len(c.Updates) > 0 {
		var arg inventorydb.UpdateReservationsParams
		for _, r := range c.Updates {
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
		t.send(expect("update reservations", len(c.Updates), func(db inventorydb.DBTX) (int64, error) {
			return s.q.UpdateReservations(ctx, db, arg)
		}))
	}

	if len(c.Resolved) > 0 {
		lines, ids := 0, make([]uuid.UUID, len(c.Resolved))
		for i, r := range c.Resolved {
			ids[i] = r.ID
			lines += len(r.Lines)
		}
		t.send(expect("close lines", lines, func(db inventorydb.DBTX) (int64, error) {
			return s.q.CloseReservationLines(ctx, db, ids)
		}))
	}
}

func (s *Store) writeLines(ctx context.Context, t *transaction, c stock.Changes) {
	var in inventorydb.InsertReservationLinesParams
	for _, r := range c.Inserts {
		for _, l := range r.Lines {
			in.ReservationIds = append(in.ReservationIds, r.ID)
			in.LineNos = append(in.LineNos, int32(l.No)) //nolint:gosec // checked to be at most a million
			in.ItemIds = append(in.ItemIds, l.ItemID)
			in.Quantities = append(in.Quantities, l.Quantity)
			in.Returneds = append(in.Returneds, l.Returned)
			in.Opens = append(in.Opens, r.Status == inventoryapi.StatusPending) // the same batch may have ended it
		}
	}
	if n := len(in.ItemIds); n > 0 {
		t.send(expect("insert lines", n, func(db inventorydb.DBTX) (int64, error) {
			return s.q.InsertReservationLines(ctx, db, in)
		}))
	}

	var up inventorydb.UpdateReservationLinesParams
	for _, l := range c.Returned {
		up.ReservationIds = append(up.ReservationIds, l.ReservationID)
		up.LineNos = append(up.LineNos, int32(l.No)) //nolint:gosec // read from an integer column
		up.ItemIds = append(up.ItemIds, l.ItemID)
		up.Returneds = append(up.Returneds, l.Returned)
	}
	if n := len(up.ItemIds); n > 0 {
		t.send(expect("update lines", n, func(db inventorydb.DBTX) (int64, error) {
			return s.q.UpdateReservationLines(ctx, db, up)
		}))
	}
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
	t.send(expect("remember named operations", len(named), func(db inventorydb.DBTX) (int64, error) {
		return s.q.InsertOperations(ctx, db, arg)
	}))
}

func (s *Store) writeProducts(ctx context.Context, t *transaction, products []stock.Product) {
	if len(products) == 0 {
		return
	}
	var arg inventorydb.UpsertProductsParams
	for _, p := range products {
		threshold := int64(-1)
		if p.Threshold != nil {
			threshold = *p.Threshold
		}
		arg.ProductIds = append(arg.ProductIds, p.ID)
		arg.Thresholds = append(arg.Thresholds, threshold)
		arg.Sellables = append(arg.Sellables, !p.Unsellable)
		arg.CatalogueVersions = append(arg.CatalogueVersions, p.CatalogueVersion)
	}
	t.send(expect("write products", len(products), func(db inventorydb.DBTX) (int64, error) {
		return s.q.UpsertProducts(ctx, db, arg)
	}))
}

func (s *Store) writeEvents(ctx context.Context, t *transaction, c stock.Changes) error {
	if len(c.Events) == 0 {
		return nil
	}
	arg := inventorydb.InsertEventsParams{SchemaVersion: events.SchemaVersion, CreatedAt: c.At}
	for _, e := range c.Events {
		event, err := events.NewPending(e.Data, e.CorrelationID)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrFault, e.Type, err)
		}
		arg.EventIds = append(arg.EventIds, event.EventID)
		arg.AggregateTypes = append(arg.AggregateTypes, e.AggregateType)
		arg.AggregateIds = append(arg.AggregateIds, e.AggregateID)
		arg.AggregateVersions = append(arg.AggregateVersions, e.Version)
		arg.EventTypes = append(arg.EventTypes, e.Type)
		arg.Payloads = append(arg.Payloads, string(event.Payload))
		arg.Headers = append(arg.Headers, string(event.Headers))
	}
	t.send(expect("insert events", len(c.Events), func(db inventorydb.DBTX) (int64, error) {
		return s.q.InsertEvents(ctx, db, arg)
	}))
	return nil
}
