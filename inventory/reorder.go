package inventory

import (
	"cmp"
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

// ReorderProposals implements inventoryapi.Queries.
func (s *Service) ReorderProposals(
	ctx context.Context, status inventoryapi.ReorderStatus, page inventoryapi.Page,
) (out inventoryapi.ReorderProposalList, err error) {
	status = cmp.Or(status, inventoryapi.ReorderOpen)
	if !status.Valid() {
		return out, inventoryapi.Errorf(inventoryapi.InvalidInput, "status", "expected one of: open, received, dismissed")
	}
	first := store.ProposalPosition{OpenedAt: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), ProposalID: uuid.Max}
	position, err := positionOf("reorder", page, string(status), first, func(p store.ProposalPosition) bool {
		return !p.OpenedAt.IsZero() && p.ProposalID != uuid.Nil
	})
	if err != nil {
		return out, err
	}
	rows, err := s.store.ReorderProposals(ctx, status, position.after, position.limit+1)
	if err != nil {
		return out, unavailable(err)
	}
	out.Items, out.NextCursor = cut(rows, position)
	return out, nil
}

// DismissReorderProposal implements inventoryapi.Administration.
func (s *Service) DismissReorderProposal(
	ctx context.Context, id uuid.UUID, in inventoryapi.DismissRequest,
) (out inventoryapi.ReorderProposal, err error) {
	if err := stock.CheckDismissal(in.Actor, in.Reason); err != nil {
		return out, err
	}
	dismissed, err := s.store.DismissReorderProposal(ctx, id, in.Actor, in.Reason)
	if err != nil {
		return out, unavailable(err)
	}
	out, found, err := s.store.ReorderProposal(ctx, id)
	switch {
	case err != nil:
		return out, unavailable(err)
	case !found:
		return out, inventoryapi.Errorf(inventoryapi.ProposalNotFound, "proposal_id", "there is no reorder proposal %s", id)
	case !dismissed:
		return out, inventoryapi.Errorf(inventoryapi.ProposalClosed, "",
			"the proposal is %s since %s", out.Status, out.ClosedAt.Format(time.RFC3339))
	}
	return out, nil
}

// proposalCollector exports the number of open proposals. It asks the database at each scrape, with an index that has
// only the open ones.
type proposalCollector struct {
	store *store.Store
	open  *prometheus.Desc
}

// collectTimeout bounds the query of a scrape.
const collectTimeout = time.Second

func newProposalCollector(s *store.Store) proposalCollector {
	return proposalCollector{s, prometheus.NewDesc("inventory_reorder_proposals_open",
		"Products and locations to reorder; absent while the database does not answer.", nil, nil)}
}

// Describe implements prometheus.Collector.
func (c proposalCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.open }

// Collect implements prometheus.Collector.
func (c proposalCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	if n, err := c.store.OpenReorderProposals(ctx); err == nil {
		ch <- prometheus.MustNewConstMetric(c.open, prometheus.GaugeValue, float64(n))
	}
}
