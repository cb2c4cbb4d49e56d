package inventory_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
)

// TestOneOpenProposal: while callers of three replicas deplete an item again and again, and operators receive and
// dismiss, no operation fails because of a proposal, and the item never has two open ones.
func TestOneOpenProposal(t *testing.T) {
	t.Parallel()
	services, _, s := inventorytest.NewReplicas(t)
	p := s.Stock(t, 3)
	var outcomes inventorytest.Tally
	inventorytest.Together(12, func(i int) {
		service := services[i%len(services)]
		for range 10 {
			switch i {
			case 0:
				_, err := service.ReceiveStock(t.Context(), p, inventoryapi.ReceiveRequest{Location: "near", Quantity: 1},
					inventorytest.By)
				outcomes.Add(err)
			case 1:
				open, err := service.ReorderProposals(t.Context(), "", inventoryapi.Page{})
				outcomes.Add(err)
				for _, o := range open.Items {
					_, err := service.DismissReorderProposal(t.Context(), o.ProposalID,
						inventoryapi.DismissRequest{Reason: "not now", Actor: inventorytest.Actor})
					outcomes.Add(err)
				}
			default:
				in := inventorytest.NewReserve(inventorytest.Line(p, 1))
				if _, err := service.Reserve(t.Context(), in); err != nil {
					outcomes.Add(err)
					continue
				}
				_, err := service.Release(t.Context(), in.ReservationID, inventorytest.ReleaseOf(in))
				outcomes.Add(err)
			}
		}
	})
	for code := range outcomes.Counts() {
		require.Contains(t, []inventoryapi.Code{"", inventoryapi.InsufficientStock, inventoryapi.ProposalClosed}, code)
	}

	var most int
	require.NoError(t, s.Pool.QueryRow(t.Context(), `
		SELECT coalesce(max(n), 0) FROM (
			SELECT count(*) AS n FROM reorder_proposals WHERE status = 'open' GROUP BY item_id
		) open`).Scan(&most))
	require.LessOrEqual(t, most, 1)
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestProposalCommitsWithTheStock: a transaction that is rolled back leaves no proposal, and the events and the
// proposals of a committed one agree.
func TestProposalCommitsWithTheStock(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	p := s.Stock(t, 2)
	_, err := s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 3)))
	require.ErrorIs(t, err, inventoryapi.InsufficientStock)
	count := func(query string) (n int) {
		t.Helper()
		require.NoError(t, s.Pool.QueryRow(t.Context(), query).Scan(&n))
		return n
	}
	require.Zero(t, count("SELECT count(*) FROM reorder_proposals"))
	_, err = s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 2)))
	require.NoError(t, err)
	require.Equal(t, 1, count("SELECT count(*) FROM outbox WHERE event_type = 'inventory.depleted'"))
	require.Equal(t, 1, count("SELECT count(*) FROM reorder_proposals WHERE status = 'open' AND cause = 'depleted'"))
}

// TestSuggestionFollowsSales: the suggestion grows with what was confirmed, and not with what is only reserved or came
// back.
func TestSuggestionFollowsSales(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	p := s.Stock(t, 100)
	sell := func(quantity int64) uuid.UUID {
		t.Helper()
		in := inventorytest.NewReserve(inventorytest.Line(p, quantity))
		_, err := s.API.Reserve(t.Context(), in)
		require.NoError(t, err)
		_, err = s.API.Confirm(t.Context(), in.ReservationID, inventorytest.Resolve())
		require.NoError(t, err)
		return in.ReservationID
	}
	sell(50)
	back := sell(45)
	_, err := s.API.Return(t.Context(), back, inventorytest.ReturnOf())
	require.NoError(t, err)
	sell(45)
	open, err := s.Service.ReorderProposals(t.Context(), inventoryapi.ReorderOpen, inventoryapi.Page{})
	require.NoError(t, err)
	require.Len(t, open.Items, 1)
	require.Equal(t, int64(95-5), open.Items[0].SuggestedQuantity, "95 were sold lately, and 5 are there")
}

// TestOpenProposalsAreCounted: the metric counts open proposals.
func TestOpenProposalsAreCounted(t *testing.T) {
	t.Parallel()
	_, pool := inventorytest.NewDatabase(t)
	registry := prometheus.NewRegistry()
	s := inventorytest.NewSubject(t, inventory.New(inventory.Options{Pool: pool, Registry: registry}), pool)
	p := s.Stock(t, 1)
	_, err := s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 1)))
	require.NoError(t, err)
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP inventory_reorder_proposals_open Products and locations to reorder; absent while the database does not answer.
# TYPE inventory_reorder_proposals_open gauge
inventory_reorder_proposals_open 1
`), "inventory_reorder_proposals_open"))
}
