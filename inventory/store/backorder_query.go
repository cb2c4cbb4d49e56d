package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"holdfast/db/inventorydb"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
)

// GetBackorder returns a backorder as of one moment: with its place in the waiting lists while it waits, with its
// reservation once it was granted. found is false if the backorder does not exist.
func (s *Store) GetBackorder(ctx context.Context, id uuid.UUID) (out inventoryapi.Backorder, found bool, err error) {
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, s.pool, snapshot, func(tx pgx.Tx) error {
		row, err := s.q.GetBackorder(ctx, tx, id)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		list := []stock.Backorder{backorderOf(row)}
		lines, err := s.q.LinesOfBackorders(ctx, tx, []uuid.UUID{id})
		if err != nil {
			return err
		}
		attachLines(list, lines)
		out, found = stock.DescribeBackorder(&list[0]), true
		switch out.Status {
		case inventoryapi.BackorderWaiting:
			return s.addPlace(ctx, tx, &out)
		case inventoryapi.BackorderGranted:
			out.Reservation, _, err = s.reservationIn(ctx, tx, id) // it may be archived
			if errors.Is(err, inventoryapi.ReservationNotFound) {
				return nil
			}
			return err
		default:
			return nil
		}
	})
	if err != nil {
		return out, false, fmt.Errorf("read backorder %s: %w", id, err)
	}
	return out, found, nil
}

// addPlace adds the position and the promised date of a waiting backorder.
func (s *Store) addPlace(ctx context.Context, tx pgx.Tx, out *inventoryapi.Backorder) error {
	queue, err := s.q.BackorderQueue(ctx, tx, out.BackorderID)
	if err != nil {
		return err
	}
	products := make([]uuid.UUID, len(queue))
	for i, p := range queue {
		products[i] = p.ProductID
	}
	expected, err := s.expected(ctx, tx, products)
	if err != nil {
		return err
	}
	wants := make([]stock.Want, len(queue))
	for i, p := range queue {
		out.Position = max(out.Position, p.Ahead+1)
		wants[i] = stock.Want{
			Quantity:  p.Wanted,
			Ahead:     p.AheadQuantity,
			Available: p.Available,
			Expected:  expected[p.ProductID],
		}
	}
	out.PromisedAt = stock.PromisedAt(wants)
	return nil
}

// expected returns the deliveries that products expect, in the order in which they come.
func (s *Store) expected(
	ctx context.Context, tx pgx.Tx, products []uuid.UUID,
) (map[uuid.UUID][]stock.Delivery, error) {
	rows, err := s.q.ExpectedStock(ctx, tx, products)
	if err != nil {
		return nil, err
	}
	out := map[uuid.UUID][]stock.Delivery{}
	for _, r := range rows {
		out[r.ProductID] = append(out[r.ProductID], stock.Delivery{At: r.ExpectedAt.UTC(), Quantity: r.Quantity})
	}
	return out, nil
}

// WaitingPosition is a place in the waiting list of a product.
type WaitingPosition struct {
	Position int64 `json:"p"`
}

// WaitingList returns up to limit backorders that wait for a product and follow a position, as of one moment.
func (s *Store) WaitingList(
	ctx context.Context, productID uuid.UUID, after WaitingPosition, limit int,
) (out []Row[inventoryapi.WaitingBackorder, WaitingPosition], err error) {
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, s.pool, snapshot, func(tx pgx.Tx) error {
		before, err := s.q.BackordersUpTo(ctx, tx, inventorydb.BackordersUpToParams{
			ProductID: productID, Position: after.Position,
		})
		if err != nil {
			return err
		}
		rows, err := s.q.BackorderPage(ctx, tx, inventorydb.BackorderPageParams{
			ProductID: productID, AfterPosition: after.Position, PageSize: size(limit),
		})
		if err != nil {
			return err
		}
		expected, err := s.expected(ctx, tx, []uuid.UUID{productID})
		if err != nil {
			return err
		}

		out = make([]Row[inventoryapi.WaitingBackorder, WaitingPosition], len(rows))
		place, ahead := before.Ahead, before.AheadQuantity
		for i, r := range rows {
			place++
			want := stock.Want{
				Quantity:  r.Quantity,
				Ahead:     ahead,
				Available: before.Available,
				Expected:  expected[productID],
			}
			out[i].Position = WaitingPosition{r.Position}
			out[i].Value = inventoryapi.WaitingBackorder{
				BackorderID:   r.BackorderID,
				OwnerKind:     inventoryapi.OwnerKind(r.OwnerKind),
				OwnerID:       r.OwnerID,
				Number:        int(r.Number),
				WorkflowID:    r.WorkflowID,
				Position:      place,
				Quantity:      r.Quantity,
				QuantityAhead: ahead,
				CoveredAt:     stock.CoveredAt(want),
				CreatedAt:     r.CreatedAt.UTC(),
				Deadline:      r.Deadline.UTC(),
				Overdue:       r.Overdue,
			}
			ahead += r.Quantity
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the backorders of product %s: %w", productID, err)
	}
	return out, nil
}

// ProductsToGrant returns up to limit products of items after the given one, which backorders wait for and which have
// stock that no reservation holds. last is the last item.
func (s *Store) ProductsToGrant(
	ctx context.Context, after int64, limit int,
) (products []uuid.UUID, last int64, err error) {
	rows, err := s.q.ProductsToGrant(ctx, s.pool, inventorydb.ProductsToGrantParams{
		AfterItem: after, Most: size(limit),
	})
	if err != nil {
		return nil, 0, fmt.Errorf("look for products to grant: %w", err)
	}
	for _, r := range rows {
		products, last = append(products, r.ProductID), r.ItemID
	}
	return Distinct(products), last, nil
}
