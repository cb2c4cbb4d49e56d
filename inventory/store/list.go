package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"holdfast/db/inventorydb"
	"holdfast/inventory/inventoryapi"
)

// Row is one row of a list with its position in the list. The next page begins after the position of the last row.
type Row[T, P any] struct {
	Value    T
	Position P
}

// Products returns up to limit products after the given one, by id.
func (s *Store) Products(ctx context.Context, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	ids, err := s.q.ProductPage(ctx, s.pool, inventorydb.ProductPageParams{AfterProduct: after, PageSize: size(limit)})
	if err != nil {
		return nil, fmt.Errorf("list products: %w", err)
	}
	return ids, nil
}

// HasProduct reports whether a product has an item, with or without stock.
func (s *Store) HasProduct(ctx context.Context, productID uuid.UUID) (bool, error) {
	found, err := s.q.ProductHasItems(ctx, s.pool, productID)
	if err != nil {
		return false, fmt.Errorf("look for product %s: %w", productID, err)
	}
	return found, nil
}

// Locations is a range of locations: one, or all.
type Locations struct{ first, last int32 }

// AllLocations is the range of all locations.
var AllLocations = Locations{math.MinInt32, math.MaxInt32}

// FindLocation returns the range of one location; found is false if the location does not exist.
func (s *Store) FindLocation(ctx context.Context, code string) (only Locations, found bool, err error) {
	id, err := s.q.FindLocation(ctx, s.pool, code)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Locations{}, false, nil
	case err != nil:
		return Locations{}, false, fmt.Errorf("find location %s: %w", code, err)
	}
	return Locations{id, id}, true, nil
}

// ItemPosition is a place in the list of low items.
type ItemPosition struct {
	LocationID int32 `json:"l"`
	ItemID     int64 `json:"i"`
}

// LowStock returns up to limit low items at the given locations that follow a position. threshold takes the place of
// the items' own; nil leaves them theirs.
func (s *Store) LowStock(
	ctx context.Context, at Locations, threshold *int64, after ItemPosition, limit int,
) ([]Row[inventoryapi.LowStockItem, ItemPosition], error) {
	if after.LocationID < at.first { // the whole range follows the position
		after = ItemPosition{LocationID: at.first, ItemID: math.MinInt64}
	}
	rows, err := s.lowStock(ctx, at, threshold, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list low items: %w", err)
	}
	out := make([]Row[inventoryapi.LowStockItem, ItemPosition], len(rows))
	for i, r := range rows {
		out[i].Position = ItemPosition{LocationID: r.LocationID, ItemID: r.ItemID}
		out[i].Value = inventoryapi.LowStockItem{
			ProductID:         r.ProductID,
			Location:          r.Location,
			Quantity:          r.Quantity,
			Reserved:          r.Reserved,
			Available:         r.Quantity - r.Reserved,
			LowStockThreshold: r.LowStockThreshold,
		}
	}
	return out, nil
}

// lowStock reads a page of items that are low by their own threshold, or by the given one.
func (s *Store) lowStock(
	ctx context.Context, at Locations, threshold *int64, after ItemPosition, limit int,
) ([]inventorydb.LowStockPageRow, error) {
	if threshold == nil {
		return s.q.LowStockPage(ctx, s.pool, inventorydb.LowStockPageParams{
			AfterLocation: after.LocationID, AfterItem: after.ItemID, LastLocation: at.last, PageSize: size(limit),
		})
	}
	rows, err := s.q.LowStockBelowPage(ctx, s.pool, inventorydb.LowStockBelowPageParams{
		Threshold:     *threshold,
		AfterLocation: after.LocationID,
		AfterItem:     after.ItemID,
		LastLocation:  at.last,
		PageSize:      size(limit),
	})
	out := make([]inventorydb.LowStockPageRow, len(rows))
	for i, row := range rows {
		out[i] = inventorydb.LowStockPageRow(row)
	}
	return out, err
}

// HoldPosition is a place in the list of a product's holds.
type HoldPosition struct {
	ExpiresAt     time.Time `json:"e"`
	ReservationID uuid.UUID `json:"r"`
	LineNo        int32     `json:"n"`
	ItemID        int64     `json:"i"`
}

// Holds returns up to limit holds of a product that follow a position, by deadline.
func (s *Store) Holds(
	ctx context.Context, productID uuid.UUID, after HoldPosition, limit int,
) ([]Row[inventoryapi.Hold, HoldPosition], error) {
	rows, err := s.q.HoldPage(ctx, s.pool, inventorydb.HoldPageParams{
		ProductID:        productID,
		AfterExpiresAt:   after.ExpiresAt,
		AfterReservation: after.ReservationID,
		AfterLine:        after.LineNo,
		AfterItem:        after.ItemID,
		PageSize:         size(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list the holds of product %s: %w", productID, err)
	}
	out := make([]Row[inventoryapi.Hold, HoldPosition], len(rows))
	for i, r := range rows {
		out[i].Position = HoldPosition{
			ExpiresAt:     r.ExpiresAt.UTC(),
			ReservationID: r.ReservationID,
			LineNo:        r.LineNo,
			ItemID:        r.ItemID,
		}
		out[i].Value = inventoryapi.Hold{
			ReservationID: r.ReservationID,
			OwnerKind:     inventoryapi.OwnerKind(r.OwnerKind),
			OwnerID:       r.OwnerID,
			Number:        int(r.Number),
			WorkflowID:    r.WorkflowID,
			LineNo:        int(r.LineNo),
			Location:      r.Location,
			Quantity:      r.Quantity,
			CreatedAt:     r.CreatedAt.UTC(),
			ExpiresAt:     r.ExpiresAt.UTC(),
			Overdue:       r.Overdue,
		}
	}
	return out, nil
}

// OverduePosition is a place in the list of overdue reservations.
type OverduePosition struct {
	ExpiresAt     time.Time `json:"e"`
	ReservationID uuid.UUID `json:"r"`
}

// Overdue returns up to limit overdue reservations that follow a position, by deadline.
func (s *Store) Overdue(
	ctx context.Context, after OverduePosition, limit int,
) ([]Row[inventoryapi.OverdueReservation, OverduePosition], error) {
	rows, err := s.q.OverduePage(ctx, s.pool, inventorydb.OverduePageParams{
		AfterExpiresAt:   after.ExpiresAt,
		AfterReservation: after.ReservationID,
		PageSize:         size(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list the overdue reservations: %w", err)
	}
	out := make([]Row[inventoryapi.OverdueReservation, OverduePosition], len(rows))
	for i, r := range rows {
		out[i].Position = OverduePosition{ExpiresAt: r.ExpiresAt.UTC(), ReservationID: r.ReservationID}
		out[i].Value = inventoryapi.OverdueReservation{
			ReservationID: r.ReservationID,
			OwnerKind:     inventoryapi.OwnerKind(r.OwnerKind),
			OwnerID:       r.OwnerID,
			Number:        int(r.Number),
			WorkflowID:    r.WorkflowID,
			CreatedAt:     r.CreatedAt.UTC(),
			ExpiresAt:     r.ExpiresAt.UTC(),
		}
	}
	return out, nil
}

// EntryPosition is a place in the ledger.
type EntryPosition struct {
	LedgerID int64 `json:"g"`
}

// Ledger returns up to limit entries of a product at the given locations that precede a position, newest first.
func (s *Store) Ledger(
	ctx context.Context, productID uuid.UUID, at Locations, before EntryPosition, limit int,
) ([]Row[inventoryapi.LedgerEntry, EntryPosition], error) {
	rows, err := s.q.LedgerPage(ctx, s.pool, inventorydb.LedgerPageParams{
		ProductID:     productID,
		FirstLocation: at.first,
		LastLocation:  at.last,
		BeforeEntry:   before.LedgerID,
		PageSize:      size(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list the ledger of product %s: %w", productID, err)
	}
	out := make([]Row[inventoryapi.LedgerEntry, EntryPosition], len(rows))
	for i, r := range rows {
		out[i].Position = EntryPosition{r.LedgerID}
		out[i].Value = inventoryapi.LedgerEntry{
			LedgerID:      r.LedgerID,
			OperationID:   r.OperationID,
			Kind:          r.Kind,
			Location:      r.Location,
			Line:          int(r.Line),
			QuantityDelta: r.QuantityDelta,
			ReservedDelta: r.ReservedDelta,
			QuantityAfter: r.QuantityAfter,
			ReservedAfter: r.ReservedAfter,
			VersionAfter:  r.VersionAfter,
			Actor:         r.Actor,
			Reason:        r.Reason,
			CreatedAt:     r.CreatedAt.UTC(),
		}
		if r.ReservationID != nil {
			out[i].Value.ReservationID = *r.ReservationID
		}
	}
	return out, nil
}

func size(limit int) int32 { return int32(limit) } //nolint:gosec // checked to be at most a few hundred
