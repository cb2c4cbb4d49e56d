package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"holdfast/db/inventorydb"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
)

// GetReservation returns a reservation with the present stock of its lines; found is false if the reservation does not
// exist. For an archived reservation it returns the error of stock.Archived.
func (s *Store) GetReservation(
	ctx context.Context, id uuid.UUID,
) (out inventoryapi.Reservation, found bool, err error) {
	// One snapshot for all statements, so that lines and status belong together.
	tx, err := s.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return out, false, fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	return s.reservationIn(ctx, tx, id)
}

func (s *Store) reservationIn(
	ctx context.Context, tx pgx.Tx, id uuid.UUID,
) (out inventoryapi.Reservation, found bool, err error) {
	row, err := s.q.GetReservation(ctx, tx, id)
	if errors.Is(err, pgx.ErrNoRows) {
		return out, false, s.refuseArchived(ctx, tx, id)
	}
	if err != nil {
		return out, false, fmt.Errorf("read reservation %s: %w", id, err)
	}
	lines, err := s.q.ReservationLineStock(ctx, tx, id)
	if err != nil {
		return out, false, fmt.Errorf("read the lines of reservation %s: %w", id, err)
	}

	held := reservationOf(row)
	out = stock.Describe(&held)
	for _, l := range lines {
		out.Lines = append(out.Lines, inventoryapi.ReservationLine{
			LineNo:           int(l.LineNo),
			ProductID:        l.ProductID,
			Location:         l.Location,
			Quantity:         l.Quantity,
			Returned:         l.Returned,
			RemainingStock:   l.ItemQuantity - l.ItemReserved,
			ReservedQuantity: l.ItemReserved,
		})
	}
	return out, true, nil
}

// Availabilities returns the stock of the given products, each once, in the given order and as of one moment. It omits
// unknown products. It counts the stock of overdue reservations as available, and not the stock that backorders wait
// for.
func (s *Store) Availabilities(ctx context.Context, productIDs []uuid.UUID) ([]stock.Availability, error) {
	rows, err := s.q.StockOfProducts(ctx, s.pool, productIDs)
	if err != nil {
		return nil, fmt.Errorf("read the stock of products: %w", err)
	}
	found := make(map[uuid.UUID]*stock.Availability, len(productIDs))
	gone := map[uuid.UUID]int64{} // versions of deleted items
	for _, r := range rows {
		if r.Deleted {
			gone[r.ProductID] += r.Version
			continue
		}
		a := found[r.ProductID]
		if a == nil {
			a = &stock.Availability{Availability: inventoryapi.Availability{ProductID: r.ProductID, Sellable: r.Sellable}}
			found[r.ProductID] = a
		}
		reserved := r.Reserved - r.Overdue
		a.TotalStock += r.Quantity
		a.ReservedQuantity += reserved
		a.OverdueQuantity += r.Overdue
		a.WaitingQuantity = r.Waiting // of the product, the same at every location
		a.AvailableQuantity += r.Quantity - reserved
		a.Version += r.Version // each change moves the version of an item, so the sum grows with every change
		a.Locations = append(a.Locations, inventoryapi.LocationStock{
			Location:  r.Location,
			Quantity:  r.Quantity,
			Reserved:  reserved,
			Available: r.Quantity - reserved,
			Version:   r.Version,
		})
		if r.NextDeadline >= 0 {
			next := max(time.Duration(r.NextDeadline)*time.Microsecond, 1)
			if a.FreshFor == 0 || next < a.FreshFor {
				a.FreshFor = next
			}
		}
	}

	out := make([]stock.Availability, 0, len(found))
	for _, id := range productIDs {
		if a := found[id]; a != nil {
			a.AvailableQuantity = max(a.AvailableQuantity-a.WaitingQuantity, 0)
			a.Version += gone[id] // so that the version does not fall when an item is deleted
			out = append(out, *a)
			delete(found, id)
		}
	}
	return out, nil
}

// Location is a place that keeps stock.
type Location struct {
	Code     string // a-z, 0-9 and hyphens
	Name     string
	Priority int // lower is picked first
}

// PutLocations creates or changes locations by code.
func (s *Store) PutLocations(ctx context.Context, locations []Location) error {
	return s.putLocations(ctx, s.pool, locations)
}

func (s *Store) putLocations(ctx context.Context, db inventorydb.DBTX, locations []Location) error {
	var arg inventorydb.UpsertLocationsParams
	for _, l := range locations {
		arg.Codes = append(arg.Codes, l.Code)
		arg.Names = append(arg.Names, l.Name)
		arg.Priorities = append(arg.Priorities, int32(l.Priority)) //nolint:gosec // a small number by nature
	}
	if err := s.q.UpsertLocations(ctx, db, arg); err != nil {
		return fmt.Errorf("write locations: %w", err)
	}
	return nil
}
