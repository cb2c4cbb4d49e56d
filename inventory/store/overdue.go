package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"holdfast/db/inventorydb"
	"holdfast/inventory/stock"
)

// maxOverdue bounds the reservations that one look-up returns for an item. It is more than a batch has requests, so
// that every request for one unit finds its reservation. To expire one costs PostgreSQL about 40 µs.
const maxOverdue = 1000

// OverdueError means that a reserve fell short although reservations past their deadline hold its stock. Nothing was
// written.
type OverdueError struct {
	Reservations []uuid.UUID // oldest deadline first
}

func (e *OverdueError) Error() string {
	return fmt.Sprintf("%d overdue reservations hold stock that a reserve needs", len(e.Reservations))
}

// Is makes Classify treat it as a conflict: the transaction must read again and decide again.
func (e *OverdueError) Is(target error) bool { return target == ErrVersionConflict }

// findOverdue looks for overdue reservations that hold the stock which refused reserves of the batch need. It is one
// query for the whole batch, and none if no reserve fell short. Each such reservation holds at least one unit, so as
// many reservations of an item as units are missing are enough.
//
// The transaction has locked the items, so no other transaction can take or give back their stock meanwhile.
func (s *Store) findOverdue(ctx context.Context, t *transaction, reads stock.Reads, book *stock.Book) error {
	short := book.Short()
	if len(short) == 0 {
		return nil
	}

	arg := inventorydb.OverdueReservationsParams{Now: book.Now()}
	for _, p := range short {
		for _, item := range p.Items {
			arg.ItemIds = append(arg.ItemIds, item)
			arg.Limits = append(arg.Limits, int32(min(p.Quantity, maxOverdue))) //nolint:gosec // at most maxOverdue
		}
	}
	var found []uuid.UUID
	t.send(step{"find overdue reservations", func(db inventorydb.DBTX) (err error) {
		found, err = s.q.OverdueReservations(ctx, db, arg)
		return err
	}})
	if err := t.sync(); err != nil {
		return err
	}

	if len(found) == 0 {
		return nil
	}

	known := make(map[uuid.UUID]bool, len(reads.Reservations))
	for _, id := range reads.Reservations {
		known[id] = true
	}
	if found = slices.DeleteFunc(found, func(id uuid.UUID) bool { return known[id] }); len(found) == 0 {
		return nil
	}
	return &OverdueError{found}
}
