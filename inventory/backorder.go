package inventory

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"holdfast/internal/correlation"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

var _ inventoryapi.Backorders = (*Service)(nil)

// PlaceBackorder implements inventoryapi.Backorders.
func (s *Service) PlaceBackorder(
	ctx context.Context, in inventoryapi.PlaceBackorderRequest,
) (inventoryapi.Backorder, error) {
	r, err := stock.NewPlaceBackorder(in, s.ttl, correlation.From(ctx))
	if err == nil {
		err = stock.CheckLines(in.Lines, s.mostUnits)
	}
	out, err := applyOne(ctx, s, r.WithDefaultStrategy(s.strategy), err)
	if err != nil || out.Status != inventoryapi.BackorderWaiting {
		return out, err
	}

	// Its place in the waiting list is known only now. It may have been granted meanwhile.
	now, err := s.GetBackorder(ctx, out.BackorderID)
	now.Replayed = out.Replayed
	return now, err
}

// GetBackorder implements inventoryapi.Backorders.
func (s *Service) GetBackorder(ctx context.Context, id uuid.UUID) (inventoryapi.Backorder, error) {
	if id == uuid.Nil {
		return inventoryapi.Backorder{}, inventoryapi.Errorf(inventoryapi.InvalidInput, "backorder_id",
			"backorder_id is required")
	}
	out, found, err := s.store.GetBackorder(ctx, id)
	switch {
	case err != nil:
		return out, unavailable(err)
	case found:
		return out, nil
	}

	// A backorder that found its stock at once is a reservation only.
	held, found, err := s.store.GetReservation(ctx, id)
	switch {
	case errors.Is(err, inventoryapi.ReservationNotFound): // it was archived
		return out, stock.BackorderNotFound(id)
	case err != nil:
		return out, unavailable(err)
	case !found || len(held.Lines) == 0: // a tombstone has no lines
		return out, stock.BackorderNotFound(id)
	}
	return stock.GrantedAtOnce(held), nil
}

// CancelBackorder implements inventoryapi.Backorders.
func (s *Service) CancelBackorder(
	ctx context.Context, id uuid.UUID, in inventoryapi.ReleaseRequest,
) (inventoryapi.Backorder, error) {
	r, err := stock.NewCancelBackorder(id, in)
	return applyOne(ctx, s, r, err)
}

// ExpireBackorder implements inventoryapi.Backorders.
func (s *Service) ExpireBackorder(
	ctx context.Context, id uuid.UUID, in inventoryapi.ResolveRequest,
) (inventoryapi.Backorder, error) {
	r, err := stock.NewExpireBackorder(id, in)
	return applyOne(ctx, s, r, err)
}

// ExtendBackorder implements inventoryapi.Backorders.
func (s *Service) ExtendBackorder(
	ctx context.Context, id uuid.UUID, in inventoryapi.ExtendBackorderRequest,
) (inventoryapi.Backorder, error) {
	r, err := stock.NewExtendBackorder(id, in)
	return applyOne(ctx, s, r, err)
}

// WaitingList implements inventoryapi.Backorders.
func (s *Service) WaitingList(
	ctx context.Context, productID uuid.UUID, page inventoryapi.Page,
) (out inventoryapi.WaitingList, err error) {
	valid := func(p store.WaitingPosition) bool { return p.Position > 0 }
	position, err := positionOf("waiting", page, productID.String(), store.WaitingPosition{}, valid)
	if err != nil {
		return out, err
	}
	rows, err := s.store.WaitingList(ctx, productID, position.after, position.limit+1)
	if err != nil {
		return out, unavailable(err)
	}
	out.Items, out.NextCursor = cut(rows, position)
	return out, nil
}
