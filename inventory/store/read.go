package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/db/inventorydb"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
)

// view has the rows that a transaction has read so far.
type view struct {
	items        []stock.Item
	reservations []stock.Reservation
	entries      []stock.Entry
	archived     []stock.Archived
	operations   []stock.Operation
	products     []stock.Product
	backorders   []stock.Backorder
	waiting      map[uuid.UUID]int64 // by product
	incoming     []stock.Incoming
	now          time.Time
}

// read locks and reads the rows that the requests need. Every transaction locks in the same order: items by id, then
// reservations by id. The order of the statements matters as well: a transaction that resolves a reservation holds the
// locks of its items. So a transaction that reads the reservation after it has those locks reads the result of the
// winner of a race.
//
// All of this is one round trip. A second round trip reads the rows that only a repeated request or an archived
// reservation needs.
func (s *Store) read(ctx context.Context, t *transaction, reads stock.Reads) (*stock.Book, error) {
	v := &view{}
	facts := slices.Clone(reads.Facts)
	for _, place := range reads.Ensure {
		facts = append(facts, place.ProductID)
	}
	if len(facts)+len(reads.Backorders) > 0 {
		t.send(s.lockProducts(ctx, facts, reads.Backorders))
	}
	if len(reads.Ensure) > 0 {
		t.send(s.ensureItems(ctx, reads.Ensure))
	}

	products := Distinct(reads.Products)
	t.send(s.lockItems(ctx, v, products, reads))
	if len(reads.Reservations)+len(reads.Reserves)+len(reads.Backorders)+len(reads.Owners) > 0 {
		t.send(s.lockReservations(ctx, v, reads))
	}
	made := slices.Concat(reads.Reserves, reads.Backorders) // ids that may be in use already
	var backorderLines []inventorydb.LinesOfBackordersRow
	if len(made) > 0 { // after the locks: a reservation may move to the archive while this transaction waits
		t.send(
			s.archived(ctx, v, made),
			s.backorders(ctx, v, made, reads.Owners),
			s.backorderLines(ctx, &backorderLines, made),
		)
	}

	var lines []inventorydb.LinesOfReservationsRow
	if len(reads.Reservations) > 0 {
		t.send(s.lines(ctx, &lines, reads.Reservations))
	}
	if len(reads.Operations) > 0 {
		t.send(s.entriesOf(ctx, v, reads.Operations))
	}
	if len(facts) > 0 {
		t.send(s.productsOf(ctx, v, facts), s.waitingOf(ctx, v, facts))
	}
	if len(reads.Named) > 0 {
		t.send(s.operations(ctx, v, reads.Named))
	}
	if len(reads.Incoming) > 0 {
		t.send(s.lockIncoming(ctx, v, reads.Incoming))
	}
	t.send(s.clock(ctx, v, products, reads.Backorders))
	if err := t.sync(); err != nil {
		return nil, err
	}

	again, operations := v.repeated(reads)
	missing := slices.DeleteFunc(v.missing(reads.Reservations), func(id uuid.UUID) bool {
		return slices.Contains(made, id) // looked up above
	})
	if len(again)+len(operations)+len(missing) > 0 {
		if len(missing) > 0 {
			t.send(
				s.archived(ctx, v, missing),
				s.backorders(ctx, v, missing, nil),
				s.backorderLines(ctx, &backorderLines, missing),
			)
		}
		if len(again) > 0 {
			t.send(s.lines(ctx, &lines, again))
		}
		if len(operations) > 0 {
			t.send(s.entriesOf(ctx, v, operations))
		}
		if err := t.sync(); err != nil {
			return nil, err
		}
	}

	v.attach(lines)
	book := stock.NewBook(v.now.UTC(), v.items, v.reservations, v.entries)
	book.LimitGrants(s.maxGrants)
	book.NoteArchived(v.archived)
	book.NoteOperations(v.operations)
	book.NoteProducts(v.products)
	if len(facts) > 0 {
		book.NoteWaiting(v.waiting, facts)
	}
	if len(v.backorders) > 0 {
		attachLines(v.backorders, backorderLines)
		book.NoteBackorders(v.backorders, func(id uuid.UUID) bool { return slices.Contains(reads.Backorders, id) })
	}
	if len(v.incoming) > 0 {
		book.NoteIncoming(v.incoming)
	}
	return book, nil
}

// repeated returns the reservations whose lines, and the operations whose entries, the answers to repeated requests are
// made from.
func (v *view) repeated(reads stock.Reads) (reservations, operations []uuid.UUID) {
	if len(v.reservations) == 0 {
		return nil, nil
	}
	reserves := make(map[uuid.UUID]bool, len(reads.Reserves))
	for _, id := range reads.Reserves {
		reserves[id] = true
	}
	for _, id := range reads.Backorders { // a repeat of a granted one answers with the reservation
		reserves[id] = true
	}
	for i := range v.reservations {
		r := &v.reservations[i]
		if reserves[r.ID] {
			operations = append(operations, r.ReserveOp)
			if !slices.Contains(reads.Reservations, r.ID) {
				reservations = append(reservations, r.ID)
			}
		}
		if r.ResolveOp != uuid.Nil {
			operations = append(operations, r.ResolveOp)
		}
	}

	// An entry must not be read twice.
	known := make(map[uuid.UUID]bool, len(reads.Operations))
	for _, op := range reads.Operations {
		known[op] = true
	}
	return reservations, slices.DeleteFunc(operations, func(op uuid.UUID) bool { return known[op] })
}

func (v *view) attach(lines []inventorydb.LinesOfReservationsRow) {
	index := make(map[uuid.UUID]*stock.Reservation, len(v.reservations))
	for i := range v.reservations {
		index[v.reservations[i].ID] = &v.reservations[i]
	}
	for _, l := range lines {
		if r := index[l.ReservationID]; r != nil {
			r.Lines = append(r.Lines, stock.Line{
				No: int(l.LineNo), ItemID: l.ItemID, Quantity: l.Quantity, Returned: l.Returned,
			})
		}
	}
}

// clock reads the time. It fails if another transaction created an item of a product while this one waited for locks.
func (s *Store) clock(ctx context.Context, v *view, products, backorders []uuid.UUID) step {
	return step{"read the clock", func(db inventorydb.DBTX) error {
		now, err := s.q.Clock(ctx, db, inventorydb.ClockParams{ProductIds: products, BackorderIds: backorders})
		if err != nil {
			return err
		}
		v.now = now.At
		for _, id := range now.ItemIds {
			_, locked := slices.BinarySearchFunc(v.items, id, func(it stock.Item, id int64) int {
				return cmp.Compare(it.ID, id)
			})
			if !locked {
				return fmt.Errorf("item %d was created while the transaction waited for locks: %w", id, ErrVersionConflict)
			}
		}
		return nil
	}}
}

func (s *Store) lockProducts(ctx context.Context, products, backorders []uuid.UUID) step {
	arg := inventorydb.LockProductsParams{ProductIds: products, BackorderIds: backorders}
	return step{"lock products", func(db inventorydb.DBTX) error { return s.q.LockProducts(ctx, db, arg) }}
}

func (s *Store) ensureItems(ctx context.Context, places []stock.Place) step {
	var arg inventorydb.EnsureItemsParams
	for _, p := range places {
		arg.ProductIds = append(arg.ProductIds, p.ProductID)
		arg.Locations = append(arg.Locations, p.Location)
	}
	return step{"create items", func(db inventorydb.DBTX) error { return s.q.EnsureItems(ctx, db, arg) }}
}

func (s *Store) lockItems(ctx context.Context, v *view, products []uuid.UUID, reads stock.Reads) step {
	arg := inventorydb.LockItemsParams{
		ProductIds: products, ReservationIds: reads.Reservations, BackorderIds: reads.Backorders,
	}
	return step{"lock items", func(db inventorydb.DBTX) error {
		rows, err := s.q.LockItems(ctx, db, arg)
		if err != nil {
			return err
		}
		v.items = make([]stock.Item, len(rows))
		for i, r := range rows {
			v.items[i] = stock.Item{
				ID:        r.ItemID,
				ProductID: r.ProductID,
				Location:  r.Location,
				Priority:  int(r.Priority),
				Quantity:  r.Quantity,
				Reserved:  r.Reserved,
				Version:   r.Version,
				Threshold: r.LowStockThreshold,
				Waiting:   r.Waiting,
				Deleted:   r.Deleted,
			}
		}
		return nil
	}}
}

func (s *Store) lockReservations(ctx context.Context, v *view, reads stock.Reads) step {
	arg := inventorydb.LockReservationsParams{
		ReservationIds: slices.Concat(reads.Reservations, reads.Reserves, reads.Backorders),
	}
	for _, o := range reads.Owners {
		arg.OwnerKinds = append(arg.OwnerKinds, string(o.Kind))
		arg.OwnerIds = append(arg.OwnerIds, o.ID)
		arg.Numbers = append(arg.Numbers, int32(o.Number)) //nolint:gosec // checked to be at most a million
	}
	return step{"lock reservations", func(db inventorydb.DBTX) error {
		rows, err := s.q.LockReservations(ctx, db, arg)
		if err != nil {
			return err
		}
		v.reservations = make([]stock.Reservation, len(rows))
		for i, r := range rows {
			v.reservations[i] = reservationOf(r)
		}
		return nil
	}}
}

func (s *Store) lines(ctx context.Context, into *[]inventorydb.LinesOfReservationsRow, ids []uuid.UUID) step {
	return step{"read lines", func(db inventorydb.DBTX) error {
		found, err := s.q.LinesOfReservations(ctx, db, ids)
		if err != nil {
			return err
		}
		*into = append(*into, found...)
		return nil
	}}
}

// ProductsOfReservations returns for each reservation the products of its lines, without locking anything.
func (s *Store) ProductsOfReservations(
	ctx context.Context, reservations []uuid.UUID,
) (map[uuid.UUID][]uuid.UUID, error) {
	lines, err := s.q.LinesOfReservations(ctx, s.pool, reservations)
	if err != nil {
		return nil, fmt.Errorf("look up the products of reservations: %w", err)
	}
	out := make(map[uuid.UUID][]uuid.UUID, len(reservations))
	for _, l := range lines {
		out[l.ReservationID] = append(out[l.ReservationID], l.ProductID)
	}
	return out, nil
}

func (s *Store) entriesOf(ctx context.Context, v *view, operations []uuid.UUID) step {
	return step{"read entries", func(db inventorydb.DBTX) error {
		found, err := s.q.EntriesOfOperations(ctx, db, operations)
		if err != nil {
			return err
		}
		for _, e := range found {
			v.entries = append(v.entries, entryOf(e))
		}
		return nil
	}}
}

func (s *Store) productsOf(ctx context.Context, v *view, ids []uuid.UUID) step {
	return step{"read products", func(db inventorydb.DBTX) error {
		found, err := s.q.Products(ctx, db, ids)
		if err != nil {
			return err
		}
		for _, p := range found {
			known := stock.Product{ID: p.ProductID, Unsellable: !p.Sellable, CatalogueVersion: p.CatalogueVersion}
			if p.LowStockThreshold.Valid {
				known.Threshold = &p.LowStockThreshold.Int64
			}
			v.products = append(v.products, known)
		}
		return nil
	}}
}

func (s *Store) operations(ctx context.Context, v *view, names []uuid.UUID) step {
	return step{"read named operations", func(db inventorydb.DBTX) error {
		found, err := s.q.Operations(ctx, db, names)
		if err != nil {
			return err
		}
		for _, o := range found {
			v.operations = append(v.operations, stock.Operation{
				ID: o.OperationID, Hash: o.RequestHash, Answer: o.Answer,
			})
		}
		return nil
	}}
}

// Distinct returns the ids without repeats, each at its first position.
func Distinct(ids []uuid.UUID) []uuid.UUID {
	if len(ids) < 2 {
		return ids
	}
	seen := make(map[uuid.UUID]bool, min(len(ids), 64))
	out := make([]uuid.UUID, 0, len(ids))
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out
}

func reservationOf(r inventorydb.Reservation) stock.Reservation {
	out := stock.Reservation{
		ID:          r.ReservationID,
		Owner:       stock.Owner{Kind: inventoryapi.OwnerKind(r.OwnerKind), ID: r.OwnerID, Number: int(r.Number)},
		RequestHash: r.RequestHash,
		Status:      inventoryapi.Status(r.Status),
		ExpiresAt:   r.ExpiresAt.UTC(),
		WorkflowID:  r.WorkflowID,
		Version:     r.Version,
		Actor:       r.Actor,
		Reason:      r.Reason,
		ReserveOp:   r.ReserveOperation,
		CreatedAt:   r.CreatedAt.UTC(),
	}
	if r.ResolveOperation != nil && r.ResolvedAt != nil {
		out.ResolveOp, out.ResolvedAt = *r.ResolveOperation, r.ResolvedAt.UTC()
	}
	return out
}

func entryOf(e inventorydb.EntriesOfOperationsRow) stock.Entry {
	out := stock.Entry{
		OperationID:   e.OperationID,
		ItemID:        e.ItemID,
		Line:          int(e.Line),
		Kind:          stock.Kind(e.Kind),
		QuantityDelta: e.QuantityDelta,
		ReservedDelta: e.ReservedDelta,
		QuantityAfter: e.QuantityAfter,
		ReservedAfter: e.ReservedAfter,
		VersionAfter:  e.VersionAfter,
		Actor:         e.Actor,
		Reason:        e.Reason,
	}
	if e.ReservationID != nil {
		out.ReservationID = *e.ReservationID
	}
	return out
}
