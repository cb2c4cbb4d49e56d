// Package store reads the stock under lock and writes what was decided, each with one statement per
// table however many requests a batch has. SQL is in db/queries/inventory.
package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/db/inventorydb"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
)

// Store keeps stock and reservations in the inventory database.
type Store struct {
	pool *pgxpool.Pool
	q    *inventorydb.Queries
}

// New returns a store on pool.
func New(pool *pgxpool.Pool) *Store { return &Store{pool: pool, q: inventorydb.New()} }

// Decide runs one transaction: it reads and locks what the requests need, lets decide work on it, and
// writes the changes that decide returns. A nil error means that they are committed; any other leaves
// the database as it was, except that a commit whose answer was lost (see Classify) may have happened.
func (s *Store) Decide(ctx context.Context, reads stock.Reads, decide func(*stock.Book) (stock.Changes, error)) error {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	// Rolled back also when the caller has gone: the connection must not keep its locks.
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	book, err := s.read(ctx, tx, reads)
	if err != nil {
		return err
	}
	changes, err := decide(book)
	if err != nil {
		return err
	}
	if changes.Empty() {
		if len(reads.Ensure) > 0 {
			return commit(ctx, tx)
		}
		return nil
	}
	if err := s.write(ctx, tx, changes); err != nil {
		return err
	}
	return commit(ctx, tx)
}

func commit(ctx context.Context, tx pgx.Tx) error {
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// read locks in one order, everywhere: items by id, then reservations by id. The order of the
// statements matters as well. A resolution holds the locks of its items, so a reservation that is
// read after they were obtained shows what the winner of a race made of it.
func (s *Store) read(ctx context.Context, tx pgx.Tx, reads stock.Reads) (*stock.Book, error) {
	if len(reads.Ensure) > 0 {
		if err := s.ensureItems(ctx, tx, reads.Ensure); err != nil {
			return nil, err
		}
	}
	rows, err := s.q.LockItems(ctx, tx, inventorydb.LockItemsParams{ProductIds: reads.Products, ReservationIds: reads.Reservations})
	if err != nil {
		return nil, fmt.Errorf("lock items: %w", err)
	}
	items := make([]stock.Item, len(rows))
	for i, r := range rows {
		items[i] = stock.Item{
			ID: r.ItemID, ProductID: r.ProductID, Location: r.Location, Priority: int(r.Priority),
			Quantity: r.Quantity, Reserved: r.Reserved, Version: r.Version,
		}
	}
	reservations, operations, err := s.readReservations(ctx, tx, reads)
	if err != nil {
		return nil, err
	}
	var entries []stock.Entry
	if operations = append(operations, reads.Operations...); len(operations) > 0 {
		found, err := s.q.EntriesOfOperations(ctx, tx, operations)
		if err != nil {
			return nil, fmt.Errorf("read entries: %w", err)
		}
		for _, e := range found {
			entries = append(entries, entryOf(e))
		}
	}
	now, err := s.q.Clock(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("read the clock: %w", err)
	}
	return stock.NewBook(now.UTC(), items, reservations, entries), nil
}

// readReservations also returns the operations whose entries hold answers to be given again.
func (s *Store) readReservations(ctx context.Context, tx pgx.Tx, reads stock.Reads) ([]stock.Reservation, []uuid.UUID, error) {
	if len(reads.Reservations)+len(reads.Owners) == 0 {
		return nil, nil, nil
	}
	arg := inventorydb.LockReservationsParams{ReservationIds: reads.Reservations}
	for _, o := range reads.Owners {
		arg.OwnerKinds = append(arg.OwnerKinds, string(o.Kind))
		arg.OwnerIds = append(arg.OwnerIds, o.ID)
		arg.Numbers = append(arg.Numbers, int32(o.Number)) //nolint:gosec // checked to be at most a million
	}
	rows, err := s.q.LockReservations(ctx, tx, arg)
	if err != nil {
		return nil, nil, fmt.Errorf("lock reservations: %w", err)
	}
	if len(rows) == 0 {
		return nil, nil, nil
	}
	reserves := make(map[uuid.UUID]bool, len(reads.Reserves))
	for _, id := range reads.Reserves {
		reserves[id] = true
	}
	var operations []uuid.UUID
	found := make([]stock.Reservation, len(rows))
	index := make(map[uuid.UUID]int, len(rows))
	ids := make([]uuid.UUID, len(rows))
	for i, r := range rows {
		found[i] = reservationOf(r)
		index[r.ReservationID], ids[i] = i, r.ReservationID
		if reserves[r.ReservationID] {
			operations = append(operations, r.ReserveOperation)
		}
		if r.ResolveOperation != nil {
			operations = append(operations, *r.ResolveOperation)
		}
	}
	lines, err := s.q.LinesOfReservations(ctx, tx, ids)
	if err != nil {
		return nil, nil, fmt.Errorf("read lines: %w", err)
	}
	for _, l := range lines {
		r := &found[index[l.ReservationID]]
		r.Lines = append(r.Lines, stock.Line{No: int(l.LineNo), ItemID: l.ItemID, Quantity: l.Quantity, Returned: l.Returned})
	}
	return found, operations, nil
}

func (s *Store) ensureItems(ctx context.Context, tx pgx.Tx, places []stock.Place) error {
	var arg inventorydb.EnsureItemsParams
	for _, p := range places {
		arg.ProductIds = append(arg.ProductIds, p.ProductID)
		arg.Locations = append(arg.Locations, p.Location)
	}
	if err := s.q.EnsureItems(ctx, tx, arg); err != nil {
		return fmt.Errorf("create items: %w", err)
	}
	return nil
}

func reservationOf(r inventorydb.Reservation) stock.Reservation {
	out := stock.Reservation{
		ID: r.ReservationID, Owner: stock.Owner{Kind: inventoryapi.OwnerKind(r.OwnerKind), ID: r.OwnerID, Number: int(r.Number)},
		RequestHash: r.RequestHash, Status: inventoryapi.Status(r.Status), ExpiresAt: r.ExpiresAt.UTC(), WorkflowID: r.WorkflowID,
		Version: r.Version, Actor: r.Actor, Reason: r.Reason, ReserveOp: r.ReserveOperation, CreatedAt: r.CreatedAt.UTC(),
	}
	if r.ResolveOperation != nil && r.ResolvedAt != nil {
		out.ResolveOp, out.ResolvedAt = *r.ResolveOperation, r.ResolvedAt.UTC()
	}
	return out
}

func entryOf(e inventorydb.StockLedger) stock.Entry {
	out := stock.Entry{
		OperationID: e.OperationID, ItemID: e.ItemID, Line: int(e.Line), Kind: stock.Kind(e.Kind),
		QuantityDelta: e.QuantityDelta, ReservedDelta: e.ReservedDelta, QuantityAfter: e.QuantityAfter,
		ReservedAfter: e.ReservedAfter, VersionAfter: e.VersionAfter, Actor: e.Actor, Reason: e.Reason,
	}
	if e.ReservationID != nil {
		out.ReservationID = *e.ReservationID
	}
	return out
}

// Class says what a failed transaction means for the batch.
type Class int

// The classes.
const (
	Other          Class = iota // one of the requests may be at fault
	Conflict                    // lost a race: read again and decide again
	OperationTaken              // an operation id is in the ledger already
	Disconnected                // no database, or its answer was lost; the commit may have happened
)

// ErrVersionConflict means that a row had moved since it was read.
var ErrVersionConflict = errors.New("a row changed after it was read")

// Classify tells what to do about an error of Decide.
func Classify(err error) Class {
	var pg *pgconn.PgError
	switch {
	case errors.Is(err, ErrVersionConflict), errors.Is(err, stock.ErrStale):
		return Conflict
	case !errors.As(err, &pg):
		return Disconnected // not an answer of the server: it was not reached, or did not finish
	}
	switch pg.Code {
	case "40001", "40P01": // serialization failure, deadlock
		return Conflict
	case "23505":
		switch pg.ConstraintName {
		case "reservations_pkey", "reservations_owner_key", "items_product_location_key":
			return Conflict // somebody wrote it between our read and our write
		case "stock_ledger_operation_key":
			return OperationTaken
		}
	case "57P01", "57P02", "57P03", "53300", "57014": // stopping, crashed, starting, too many connections, cancelled
		return Disconnected
	}
	if pg.Code[:2] == "08" { // connection exceptions
		return Disconnected
	}
	return Other
}
