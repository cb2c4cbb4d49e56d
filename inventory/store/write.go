package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/db/inventorydb"
	"holdfast/internal/events"
	"holdfast/inventory/stock"
)

// write sends all statements in one round trip. The version check comes first, so that a lost race is
// reported as such and not as whatever it breaks further on.
func (s *Store) write(ctx context.Context, tx pgx.Tx, c stock.Changes) error {
	p := &pipeline{}
	s.writeItems(ctx, p, c.Items)
	s.writeReservations(ctx, p, c)
	s.writeLines(ctx, p, c)
	s.writeEntries(ctx, p, c)
	if err := s.writeEvents(ctx, p, c); err != nil {
		return err
	}
	return p.send(ctx, tx)
}

func (s *Store) writeItems(ctx context.Context, p *pipeline, items []*stock.Item) {
	if len(items) == 0 {
		return
	}
	var arg inventorydb.UpdateItemsParams
	for _, it := range items {
		arg.ItemIds = append(arg.ItemIds, it.ID)
		arg.Versions = append(arg.Versions, it.Version)
		arg.Quantities = append(arg.Quantities, it.Quantity)
		arg.Reserveds = append(arg.Reserveds, it.Reserved)
	}
	p.expect("update items", len(items), func() { _, _ = s.q.UpdateItems(ctx, p, arg) })
}

func (s *Store) writeReservations(ctx context.Context, p *pipeline, c stock.Changes) {
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
		p.expect("insert reservations", len(c.Inserts), func() { _, _ = s.q.InsertReservations(ctx, p, arg) })
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
		p.expect("update reservations", len(c.Updates), func() { _, _ = s.q.UpdateReservations(ctx, p, arg) })
	}
}

func (s *Store) writeLines(ctx context.Context, p *pipeline, c stock.Changes) {
	var in inventorydb.InsertReservationLinesParams
	for _, r := range c.Inserts {
		for _, l := range r.Lines {
			in.ReservationIds = append(in.ReservationIds, r.ID)
			in.LineNos = append(in.LineNos, int32(l.No)) //nolint:gosec // checked to be at most a million
			in.ItemIds = append(in.ItemIds, l.ItemID)
			in.Quantities = append(in.Quantities, l.Quantity)
			in.Returneds = append(in.Returneds, l.Returned)
		}
	}
	if n := len(in.ItemIds); n > 0 {
		p.expect("insert lines", n, func() { _, _ = s.q.InsertReservationLines(ctx, p, in) })
	}
	var up inventorydb.UpdateReservationLinesParams
	for _, l := range c.Returned {
		up.ReservationIds = append(up.ReservationIds, l.ReservationID)
		up.LineNos = append(up.LineNos, int32(l.No)) //nolint:gosec // read from an integer column
		up.ItemIds = append(up.ItemIds, l.ItemID)
		up.Returneds = append(up.Returneds, l.Returned)
	}
	if n := len(up.ItemIds); n > 0 {
		p.expect("update lines", n, func() { _, _ = s.q.UpdateReservationLines(ctx, p, up) })
	}
}

func (s *Store) writeEntries(ctx context.Context, p *pipeline, c stock.Changes) {
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
	p.expect("insert entries", len(c.Entries), func() { _, _ = s.q.InsertEntries(ctx, p, arg) })
}

func (s *Store) writeEvents(ctx context.Context, p *pipeline, c stock.Changes) error {
	if len(c.Events) == 0 {
		return nil
	}
	arg := inventorydb.InsertEventsParams{SchemaVersion: events.SchemaVersion, CreatedAt: c.At}
	for _, e := range c.Events {
		meta := events.Metadata{Service: "inventory", CorrelationID: e.CorrelationID}
		envelope, err := events.New(e.Type, e.AggregateID, e.Version, e.Data, meta, c.At.Truncate(time.Microsecond))
		if err != nil {
			return err
		}
		payload, err := json.Marshal(envelope)
		if err != nil {
			return fmt.Errorf("encode %s: %w", e.Type, err)
		}
		arg.EventIds = append(arg.EventIds, envelope.EventID)
		arg.AggregateTypes = append(arg.AggregateTypes, e.AggregateType)
		arg.AggregateIds = append(arg.AggregateIds, e.AggregateID)
		arg.AggregateVersions = append(arg.AggregateVersions, e.Version)
		arg.EventTypes = append(arg.EventTypes, e.Type)
		arg.Payloads = append(arg.Payloads, string(payload))
	}
	p.expect("insert events", len(c.Events), func() { _, _ = s.q.InsertEvents(ctx, p, arg) })
	return nil
}
