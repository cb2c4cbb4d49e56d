package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"holdfast/db/inventorydb"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
)

// archived reads the archived ones of the given reservations. It must run after the live reservations were read. A
// reservation moves to the archive in one transaction, so a reader that did not find it live finds it here.
func (s *Store) archived(ctx context.Context, v *view, ids []uuid.UUID) step {
	return step{"look into the archive", func(db inventorydb.DBTX) error {
		rows, err := s.q.ArchivedReservations(ctx, db, ids)
		if err != nil {
			return err
		}
		for _, r := range rows {
			v.archived = append(v.archived, archivedOf(r))
		}
		return nil
	}}
}

// missing returns the ids for which no reservation was found.
func (v *view) missing(ids []uuid.UUID) []uuid.UUID {
	if len(ids) == 0 {
		return nil
	}
	found := make(map[uuid.UUID]bool, len(v.reservations))
	for i := range v.reservations {
		found[v.reservations[i].ID] = true
	}
	var out []uuid.UUID
	for _, id := range ids {
		if !found[id] {
			out = append(out, id)
		}
	}
	return out
}

// refuseArchived returns the error of stock.Archived if the reservation is in the archive.
func (s *Store) refuseArchived(ctx context.Context, db inventorydb.DBTX, id uuid.UUID) error {
	rows, err := s.q.ArchivedReservations(ctx, db, []uuid.UUID{id})
	if err != nil {
		return fmt.Errorf("look for reservation %s in the archive: %w", id, err)
	}
	if len(rows) > 0 {
		return archivedOf(rows[0]).NotFound()
	}
	return nil
}

func archivedOf(r inventorydb.ArchivedReservationsRow) stock.Archived {
	a := stock.Archived{ID: r.ReservationID, Status: inventoryapi.Status(r.Status)}
	if r.ResolvedAt != nil {
		a.ResolvedAt = r.ResolvedAt.UTC()
	}
	return a
}

// ArchivedEntries counts the archived entries of a product at the given locations.
func (s *Store) ArchivedEntries(ctx context.Context, productID uuid.UUID, at Locations) (int64, error) {
	n, err := s.q.ArchivedEntriesOfProduct(ctx, s.pool, inventorydb.ArchivedEntriesOfProductParams{
		ProductID: productID, FirstLocation: at.first, LastLocation: at.last,
	})
	if err != nil {
		return 0, fmt.Errorf("count the archived entries of product %s: %w", productID, err)
	}
	return n, nil
}
