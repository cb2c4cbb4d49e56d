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

func (s *Store) lockIncoming(ctx context.Context, v *view, ids []uuid.UUID) step {
	return step{"lock deliveries", func(db inventorydb.DBTX) error {
		rows, err := s.q.LockIncoming(ctx, db, ids)
		if err != nil {
			return err
		}
		for _, r := range rows {
			v.incoming = append(v.incoming, incomingOf(inventorydb.GetIncomingRow(r)))
		}
		return nil
	}}
}

func incomingOf(r inventorydb.GetIncomingRow) stock.Incoming {
	return stock.Incoming{
		ID:         r.IncomingID,
		ProductID:  r.ProductID,
		Location:   r.Location,
		Quantity:   r.Quantity,
		Received:   r.Received,
		ExpectedAt: r.ExpectedAt.UTC(),
		Reference:  r.Reference,
		Status:     inventoryapi.IncomingStatus(r.Status),
		Version:    r.Version,
		Actor:      r.Actor,
		CreatedAt:  r.CreatedAt.UTC(),
		UpdatedAt:  r.UpdatedAt.UTC(),
	}
}

func (s *Store) writeIncoming(ctx context.Context, t *transaction, c stock.Changes) {
	if n := len(c.NewIncoming); n > 0 {
		arg := inventorydb.InsertIncomingParams{At: c.At}
		for _, d := range c.NewIncoming {
			arg.IncomingIds = append(arg.IncomingIds, d.ID)
			arg.ProductIds = append(arg.ProductIds, d.ProductID)
			arg.Locations = append(arg.Locations, d.Location)
			arg.Quantities = append(arg.Quantities, d.Quantity)
			arg.Receiveds = append(arg.Receiveds, d.Received)
			arg.ExpectedAts = append(arg.ExpectedAts, d.ExpectedAt)
			arg.ReferenceTexts = append(arg.ReferenceTexts, d.Reference)
			arg.Statuses = append(arg.Statuses, string(d.Status))
			arg.Versions = append(arg.Versions, d.Version)
			arg.Actors = append(arg.Actors, d.Actor)
		}
		t.send(expect("insert deliveries", n, func(db inventorydb.DBTX) (int64, error) {
			return s.q.InsertIncoming(ctx, db, arg)
		}))
	}
	if n := len(c.Incoming); n > 0 {
		arg := inventorydb.UpdateIncomingParams{At: c.At}
		for _, d := range c.Incoming {
			arg.IncomingIds = append(arg.IncomingIds, d.ID)
			arg.Versions = append(arg.Versions, d.ReadVersion())
			arg.VersionsAfter = append(arg.VersionsAfter, d.Version)
			arg.Locations = append(arg.Locations, d.Location)
			arg.Quantities = append(arg.Quantities, d.Quantity)
			arg.Receiveds = append(arg.Receiveds, d.Received)
			arg.ExpectedAts = append(arg.ExpectedAts, d.ExpectedAt)
			arg.ReferenceTexts = append(arg.ReferenceTexts, d.Reference)
			arg.Statuses = append(arg.Statuses, string(d.Status))
			arg.Actors = append(arg.Actors, d.Actor)
		}
		t.send(expect("update deliveries", n, func(db inventorydb.DBTX) (int64, error) {
			return s.q.UpdateIncoming(ctx, db, arg)
		}))
	}
}

// GetIncoming returns a delivery; found is false if it does not exist.
func (s *Store) GetIncoming(ctx context.Context, id uuid.UUID) (out inventoryapi.Incoming, found bool, err error) {
	row, err := s.q.GetIncoming(ctx, s.pool, id)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return out, false, nil
	case err != nil:
		return out, false, fmt.Errorf("read delivery %s: %w", id, err)
	}
	d := incomingOf(row)
	return stock.DescribeIncoming(&d), true, nil
}

// IncomingPosition is a place in the list of the open deliveries of a product.
type IncomingPosition struct {
	ExpectedAt time.Time `json:"e"`
	IncomingID uuid.UUID `json:"i"`
}

// ListIncoming returns up to limit open deliveries of a product that follow a position.
func (s *Store) ListIncoming(
	ctx context.Context, productID uuid.UUID, after IncomingPosition, limit int,
) ([]Row[inventoryapi.Incoming, IncomingPosition], error) {
	rows, err := s.q.IncomingPage(ctx, s.pool, inventorydb.IncomingPageParams{
		ProductID:       productID,
		AfterExpectedAt: after.ExpectedAt,
		AfterIncoming:   after.IncomingID,
		PageSize:        size(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list the deliveries of product %s: %w", productID, err)
	}
	out := make([]Row[inventoryapi.Incoming, IncomingPosition], len(rows))
	for i, r := range rows {
		d := incomingOf(inventorydb.GetIncomingRow(r))
		out[i].Value = stock.DescribeIncoming(&d)
		out[i].Position = IncomingPosition{ExpectedAt: d.ExpectedAt, IncomingID: d.ID}
	}
	return out, nil
}
