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

// dismissalHolds is how long a dismissed item is not proposed again for the same cause, unless stock is received
// before.
const dismissalHolds = 24 * time.Hour

// ProposalPosition is a place in the list of reorder proposals.
type ProposalPosition struct {
	OpenedAt   time.Time `json:"o"`
	ProposalID uuid.UUID `json:"p"`
}

// ReorderProposals returns up to limit proposals in a status that follow a position, newest first. An open proposal has
// a suggested quantity.
func (s *Store) ReorderProposals(
	ctx context.Context, status inventoryapi.ReorderStatus, after ProposalPosition, limit int,
) ([]Row[inventoryapi.ReorderProposal, ProposalPosition], error) {
	rows, err := s.q.ReorderProposalPage(ctx, s.pool, inventorydb.ReorderProposalPageParams{
		Status:         string(status),
		BeforeOpenedAt: after.OpenedAt,
		BeforeID:       after.ProposalID,
		Sample:         stock.SalesSample,
		WindowSeconds:  stock.SalesWindow.Seconds(),
		PageSize:       size(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("list reorder proposals: %w", err)
	}
	out := make([]Row[inventoryapi.ReorderProposal, ProposalPosition], len(rows))
	for i, r := range rows {
		out[i].Position = ProposalPosition{OpenedAt: r.OpenedAt.UTC(), ProposalID: r.ProposalID}
		out[i].Value = proposalOf(inventorydb.GetReorderProposalRow{
			ProposalID:        r.ProposalID,
			ProductID:         r.ProductID,
			Location:          r.Location,
			Cause:             r.Cause,
			Status:            r.Status,
			OpenedAt:          r.OpenedAt,
			ClosedAt:          r.ClosedAt,
			ClosedBy:          r.ClosedBy,
			Reason:            r.Reason,
			ReceivedQuantity:  r.ReceivedQuantity,
			Quantity:          r.Quantity,
			Reserved:          r.Reserved,
			LowStockThreshold: r.LowStockThreshold,
		})
		if status == inventoryapi.ReorderOpen {
			out[i].Value.SuggestedQuantity = stock.SuggestReorder(r.Quantity-r.Reserved, r.LowStockThreshold, stock.Sales{
				Sold: r.Sold, Entries: r.Entries, Span: r.At.Sub(r.Since),
			})
		}
	}
	return out, nil
}

// ReorderProposal returns a proposal without a suggestion, and whether it exists.
func (s *Store) ReorderProposal(
	ctx context.Context, id uuid.UUID,
) (p inventoryapi.ReorderProposal, found bool, err error) {
	r, err := s.q.GetReorderProposal(ctx, s.pool, id)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return p, false, nil
	case err != nil:
		return p, false, fmt.Errorf("read reorder proposal %s: %w", id, err)
	}
	return proposalOf(r), true, nil
}

// DismissReorderProposal closes an open proposal, and reports whether it was open.
func (s *Store) DismissReorderProposal(ctx context.Context, id uuid.UUID, actor, reason string) (bool, error) {
	changed, err := s.q.DismissReorderProposal(ctx, s.pool, inventorydb.DismissReorderProposalParams{
		ProposalID: id, Actor: actor, Reason: reason, SilentSeconds: dismissalHolds.Seconds(),
	})
	if err != nil {
		return false, fmt.Errorf("dismiss reorder proposal %s: %w", id, err)
	}
	return changed > 0, nil
}

// OpenReorderProposals counts the open proposals.
func (s *Store) OpenReorderProposals(ctx context.Context) (int64, error) {
	n, err := s.q.CountOpenReorderProposals(ctx, s.pool)
	if err != nil {
		return 0, fmt.Errorf("count open reorder proposals: %w", err)
	}
	return n, nil
}

func proposalOf(r inventorydb.GetReorderProposalRow) inventoryapi.ReorderProposal {
	out := inventoryapi.ReorderProposal{
		ProposalID:        r.ProposalID,
		ProductID:         r.ProductID,
		Location:          r.Location,
		Cause:             inventoryapi.ReorderProposalCause(r.Cause),
		Status:            inventoryapi.ReorderStatus(r.Status),
		OpenedAt:          r.OpenedAt.UTC(),
		ClosedBy:          r.ClosedBy,
		Reason:            r.Reason,
		ReceivedQuantity:  r.ReceivedQuantity,
		Quantity:          r.Quantity,
		Reserved:          r.Reserved,
		Available:         r.Quantity - r.Reserved,
		LowStockThreshold: r.LowStockThreshold,
	}
	if r.ClosedAt != nil {
		out.ClosedAt = r.ClosedAt.UTC()
	}
	return out
}
