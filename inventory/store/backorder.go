package store

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/db/inventorydb"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
)

const (
	// waitingPage is how many backorders a transaction reads at once to grant them.
	waitingPage = 2000
	// maxOverdueBackorders bounds how many overdue backorders one look-up returns.
	maxOverdueBackorders = 1000
)

// backorders reads backorders by id, and those of owners under another id.
func (s *Store) backorders(ctx context.Context, v *view, ids []uuid.UUID, owners []stock.Owner) step {
	arg := inventorydb.BackordersParams{BackorderIds: ids}
	for _, o := range owners {
		arg.OwnerKinds = append(arg.OwnerKinds, string(o.Kind))
		arg.OwnerIds = append(arg.OwnerIds, o.ID)
		arg.Numbers = append(arg.Numbers, int32(o.Number)) //nolint:gosec // checked to be at most a million
	}
	return step{"read backorders", func(db inventorydb.DBTX) error {
		rows, err := s.q.Backorders(ctx, db, arg)
		if err != nil {
			return err
		}
		for _, r := range rows {
			v.backorders = append(v.backorders, backorderOf(r))
		}
		return nil
	}}
}

func (s *Store) backorderLines(
	ctx context.Context, into *[]inventorydb.LinesOfBackordersRow, ids []uuid.UUID,
) step {
	return step{"read the lines of backorders", func(db inventorydb.DBTX) error {
		found, err := s.q.LinesOfBackorders(ctx, db, ids)
		if err != nil {
			return err
		}
		*into = append(*into, found...)
		return nil
	}}
}

// attachLines adds lines to their backorders.
func attachLines(list []stock.Backorder, lines []inventorydb.LinesOfBackordersRow) {
	index := make(map[uuid.UUID]*stock.Backorder, len(list))
	for i := range list {
		index[list[i].ID] = &list[i]
	}
	for _, l := range lines {
		if w := index[l.BackorderID]; w != nil {
			w.Lines = append(w.Lines, stock.BackorderLine{No: int(l.LineNo), ProductID: l.ProductID, Quantity: l.Quantity})
		}
	}
}

func (s *Store) waitingOf(ctx context.Context, v *view, products []uuid.UUID) step {
	return step{"read the waiting lists", func(db inventorydb.DBTX) error {
		rows, err := s.q.WaitingOfProducts(ctx, db, products)
		if err != nil {
			return err
		}
		v.waiting = make(map[uuid.UUID]int64, len(rows))
		for _, r := range rows {
			v.waiting[r.ProductID] = r.Waiting
		}
		return nil
	}}
}

func backorderOf(r inventorydb.Backorder) stock.Backorder {
	out := stock.Backorder{
		ID:            r.BackorderID,
		Position:      r.Position,
		Owner:         stock.Owner{Kind: inventoryapi.OwnerKind(r.OwnerKind), ID: r.OwnerID, Number: int(r.Number)},
		RequestHash:   r.RequestHash,
		Status:        inventoryapi.BackorderStatus(r.Status),
		Deadline:      r.Deadline.UTC(),
		TTL:           time.Duration(r.TtlSeconds) * time.Second,
		Strategy:      inventoryapi.Strategy(r.Strategy),
		WorkflowID:    r.WorkflowID,
		Version:       r.Version,
		Actor:         r.Actor,
		Reason:        r.Reason,
		PlaceOp:       r.PlaceOperation,
		CorrelationID: r.CorrelationID,
		CreatedAt:     r.CreatedAt.UTC(),
	}
	if r.ResolveOperation != nil && r.ResolvedAt != nil {
		out.ResolveOp, out.ResolvedAt = *r.ResolveOperation, r.ResolvedAt.UTC()
	}
	return out
}

// grant grants backorders from the stock that the decided requests have made available, in the order of the waiting
// lists. It reports whether it has changed the book. If a backorder also waits for products that the transaction has
// not locked, the error is a stock.MoreError: a transaction locks all its items in one order.
//
// Only a transaction that holds the items of a product changes its waiting list, so the lists stand still.
func (s *Store) grant(ctx context.Context, t *transaction, reads stock.Reads, book *stock.Book) (bool, error) {
	supplies := book.Supplies()
	if len(supplies) == 0 {
		return false, nil
	}

	var scanned []uuid.UUID // the products whose lists are read
	after := int64(0)
	for len(supplies) > 0 {
		products := productsOf(supplies)
		if slices.ContainsFunc(products, func(p uuid.UUID) bool { return !slices.Contains(scanned, p) }) {
			if err := s.requireComplete(ctx, t, reads, book, products); err != nil {
				return false, err
			}
			scanned, after = Distinct(slices.Concat(scanned, products)), 0 // an expiry has stirred another list
		}
		page, err := s.waitingPage(ctx, t, supplies, after)
		if err != nil {
			return false, err
		}
		if len(page) == 0 {
			break
		}
		after = page[len(page)-1].Position
		book.Grant(page)
		supplies = book.Supplies()
	}
	book.GrantNew()
	return true, nil
}

func productsOf(supplies []stock.Supply) []uuid.UUID {
	ids := make([]uuid.UUID, len(supplies))
	for i, p := range supplies {
		ids[i] = p.ProductID
	}
	return ids
}

// requireComplete returns a stock.MoreError unless the book has all items of the products, and of all products that
// backorders wait for together with them.
func (s *Store) requireComplete(
	ctx context.Context, t *transaction, reads stock.Reads, book *stock.Book, products []uuid.UUID,
) error {
	var others []uuid.UUID
	t.send(step{"find the products that are waited for together", func(db inventorydb.DBTX) (err error) {
		others, err = s.q.ProductsWaitedForWith(ctx, db, products)
		return err
	}})
	if err := t.sync(); err != nil {
		return err
	}

	complete := make(map[uuid.UUID]bool, len(reads.Products))
	for _, p := range reads.Products {
		complete[p] = true
	}
	for _, p := range book.ProductsOfBackorders(reads.Backorders) {
		complete[p] = true
	}
	missing := slices.DeleteFunc(slices.Concat(products, others), func(p uuid.UUID) bool { return complete[p] })
	if len(missing) > 0 {
		return &stock.MoreError{Products: Distinct(missing)}
	}
	return nil
}

// waitingPage reads a part of the waiting lists of products, after a position.
func (s *Store) waitingPage(
	ctx context.Context, t *transaction, supplies []stock.Supply, after int64,
) ([]stock.Backorder, error) {
	arg := inventorydb.WaitingPageParams{AfterPosition: after, PageSize: waitingPage}
	for _, p := range supplies {
		arg.ProductIds = append(arg.ProductIds, p.ProductID)
		arg.Available = append(arg.Available, p.Available)
	}
	var page []stock.Backorder
	t.send(step{"read the waiting list", func(db inventorydb.DBTX) error {
		rows, err := s.q.WaitingPage(ctx, db, arg)
		if err != nil {
			return err
		}
		for _, r := range rows {
			page = append(page, waitingBackorderOf(r))
		}
		return nil
	}})
	if err := t.sync(); err != nil || len(page) == 0 {
		return nil, err
	}

	ids := make([]uuid.UUID, len(page))
	for i := range page {
		ids[i] = page[i].ID
	}
	var lines []inventorydb.LinesOfBackordersRow
	t.send(s.backorderLines(ctx, &lines, ids))
	if err := t.sync(); err != nil {
		return nil, err
	}
	attachLines(page, lines)
	return page, nil
}

func waitingBackorderOf(r inventorydb.WaitingPageRow) stock.Backorder {
	out := backorderOf(inventorydb.Backorder{
		BackorderID:      r.BackorderID,
		Position:         r.Position,
		OwnerKind:        r.OwnerKind,
		OwnerID:          r.OwnerID,
		Number:           r.Number,
		RequestHash:      r.RequestHash,
		Status:           r.Status,
		Deadline:         r.Deadline,
		TtlSeconds:       r.TtlSeconds,
		Strategy:         r.Strategy,
		WorkflowID:       r.WorkflowID,
		Version:          r.Version,
		Actor:            r.Actor,
		Reason:           r.Reason,
		PlaceOperation:   r.PlaceOperation,
		ResolveOperation: r.ResolveOperation,
		CorrelationID:    r.CorrelationID,
		CreatedAt:        r.CreatedAt,
		ResolvedAt:       r.ResolvedAt,
	})
	out.Taken = r.Taken
	return out
}

// findOverdueBackorders looks for overdue backorders whose products refused reserves need. The next attempt ends
// them, so that their stock is not promised any longer.
func (s *Store) findOverdueBackorders(
	ctx context.Context, t *transaction, reads stock.Reads, book *stock.Book,
) error {
	products := book.ShortBehindBackorders()
	if len(products) == 0 {
		return nil
	}
	arg := inventorydb.OverdueBackordersParams{ProductIds: products, Now: book.Now(), Most: maxOverdueBackorders}
	var found []uuid.UUID
	t.send(step{"find overdue backorders", func(db inventorydb.DBTX) (err error) {
		found, err = s.q.OverdueBackorders(ctx, db, arg)
		return err
	}})
	if err := t.sync(); err != nil {
		return err
	}
	found = slices.DeleteFunc(Distinct(found), func(id uuid.UUID) bool { return slices.Contains(reads.Backorders, id) })
	if len(found) > 0 {
		return &stock.MoreError{Backorders: found}
	}
	return nil
}

func (s *Store) insertBackorders(ctx context.Context, t *transaction, inserts []*stock.Backorder) {
	if len(inserts) == 0 {
		return
	}
	var arg inventorydb.InsertBackordersParams
	var lines inventorydb.InsertBackorderLinesParams
	for i, w := range inserts {
		hash := w.RequestHash
		if hash == nil {
			hash = []byte{} // the statement stores it as null
		}
		arg.BackorderIds = append(arg.BackorderIds, w.ID)
		arg.OwnerKinds = append(arg.OwnerKinds, string(w.Owner.Kind))
		arg.OwnerIds = append(arg.OwnerIds, w.Owner.ID)
		arg.Numbers = append(arg.Numbers, int32(w.Owner.Number)) //nolint:gosec // checked to be at most a million
		arg.RequestHashes = append(arg.RequestHashes, hash)
		arg.Statuses = append(arg.Statuses, string(w.Status))
		arg.Deadlines = append(arg.Deadlines, w.Deadline)
		arg.Ttls = append(arg.Ttls, int64(w.TTL/time.Second))
		arg.Strategies = append(arg.Strategies, string(w.Strategy))
		arg.WorkflowIds = append(arg.WorkflowIds, w.WorkflowID)
		arg.Versions = append(arg.Versions, w.Version)
		arg.Actors = append(arg.Actors, w.Actor)
		arg.Reasons = append(arg.Reasons, w.Reason)
		arg.PlaceOperations = append(arg.PlaceOperations, w.PlaceOp)
		arg.ResolveOperations = append(arg.ResolveOperations, w.ResolveOp)
		arg.CorrelationIds = append(arg.CorrelationIds, w.CorrelationID)
		arg.CreatedAts = append(arg.CreatedAts, w.CreatedAt)
		arg.ResolvedAts = append(arg.ResolvedAts, w.ResolvedAt)
		arg.Orders = append(arg.Orders, int32(i))
		for _, l := range w.Lines {
			lines.BackorderIds = append(lines.BackorderIds, w.ID)
			lines.LineNos = append(lines.LineNos, int32(l.No)) //nolint:gosec // checked to be at most a million
			lines.ProductIds = append(lines.ProductIds, l.ProductID)
			lines.Quantities = append(lines.Quantities, l.Quantity)
		}
	}
	t.send(expect("insert backorders", len(inserts), func(db inventorydb.DBTX) (int64, error) {
		return s.q.InsertBackorders(ctx, db, arg)
	}))
	if n := len(lines.LineNos); n > 0 { // a tombstone has no lines
		t.send(expect("insert the lines of backorders", n, func(db inventorydb.DBTX) (int64, error) {
			return s.q.InsertBackorderLines(ctx, db, lines)
		}))
	}
}

func (s *Store) updateBackorders(ctx context.Context, t *transaction, updates []*stock.Backorder) {
	if len(updates) == 0 {
		return
	}
	var arg inventorydb.UpdateBackordersParams
	var lines inventorydb.UpdateBackorderLinesParams
	n := 0
	for _, w := range updates {
		arg.BackorderIds = append(arg.BackorderIds, w.ID)
		arg.Versions = append(arg.Versions, w.ReadVersion())
		arg.VersionsAfter = append(arg.VersionsAfter, w.Version)
		arg.Statuses = append(arg.Statuses, string(w.Status))
		arg.Deadlines = append(arg.Deadlines, w.Deadline)
		arg.Actors = append(arg.Actors, w.Actor)
		arg.Reasons = append(arg.Reasons, w.Reason)
		arg.ResolveOperations = append(arg.ResolveOperations, w.ResolveOp)
		arg.ResolvedAts = append(arg.ResolvedAts, w.ResolvedAt)
		lines.BackorderIds = append(lines.BackorderIds, w.ID)
		lines.Deadlines = append(lines.Deadlines, w.Deadline)
		lines.Waitings = append(lines.Waitings, w.Status == inventoryapi.BackorderWaiting)
		n += len(w.Lines)
	}
	t.send(
		expect("update backorders", len(updates), func(db inventorydb.DBTX) (int64, error) {
			return s.q.UpdateBackorders(ctx, db, arg)
		}),
		expect("update the lines of backorders", n, func(db inventorydb.DBTX) (int64, error) {
			return s.q.UpdateBackorderLines(ctx, db, lines)
		}),
	)
}
