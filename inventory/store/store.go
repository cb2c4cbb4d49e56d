// Package store reads the stock under lock and writes the decided changes. It uses one statement per table, for any
// number of requests in a batch. SQL is in db/queries/inventory.
package store

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/db/inventorydb"
	"holdfast/inventory/stock"
)

// Store keeps stock and reservations in the inventory database.
type Store struct {
	pool       *pgxpool.Pool
	q          *inventorydb.Queries
	statements []string // the statements that transactions use
	maxGrants  int      // of one transaction
}

// New returns a store on pool.
func New(pool *pgxpool.Pool) *Store {
	q := inventorydb.New()
	return &Store{pool: pool, q: q, statements: transactional(q), maxGrants: stock.MaxGrants}
}

// LimitGrants bounds the backorders that one transaction grants; stock.MaxGrants if it is not called.
func (s *Store) LimitGrants(most int) { s.maxGrants = most }

// Decide runs one transaction: it reads and locks the rows that the requests need, calls decide with them, and writes
// the changes that decide returns. A nil error means that the changes are committed. Any other error leaves the
// database as it was, except that a commit whose answer was lost (see Classify) may have happened.
//
// If a reserve fell short and overdue reservations which are not among the reads hold its stock, the error is an
// OverdueError. If backorders can be granted or are overdue, and the reads lack their products, it is a
// stock.MoreError. The caller adds what the error names to the reads and calls Decide again.
func (s *Store) Decide(ctx context.Context, reads stock.Reads, decide func(*stock.Book) (stock.Changes, error)) error {
	t, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer t.end()
	err = s.decide(ctx, t, reads, decide)
	if unusable(err) {
		t.invalidate()
	}
	return err
}

func (s *Store) decide(
	ctx context.Context, t *transaction, reads stock.Reads, decide func(*stock.Book) (stock.Changes, error),
) error {
	book, err := s.read(ctx, t, reads)
	if err != nil {
		return err
	}
	changes, err := decide(book)
	if err != nil {
		return err
	}
	if err := s.findOverdue(ctx, t, reads, book); err != nil {
		return err
	}
	if err := s.findOverdueBackorders(ctx, t, reads, book); err != nil {
		return err
	}
	switch granted, err := s.grant(ctx, t, reads, book); {
	case err != nil:
		return err
	case granted:
		changes = book.Changes()
	}
	if changes.Empty() && len(reads.Ensure) == 0 {
		return nil
	}
	if err := s.write(ctx, t, changes); err != nil {
		return err
	}
	return t.commit()
}
