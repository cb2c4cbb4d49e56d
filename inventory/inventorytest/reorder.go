package inventorytest

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

// proposals returns a product's reorder proposals in a status, newest first.
func (a administered) proposals(
	t *testing.T, product uuid.UUID, status inventoryapi.ReorderStatus,
) (found []inventoryapi.ReorderProposal) {
	t.Helper()
	q, ok := a.API.(inventoryapi.Queries)
	require.True(t, ok)
	for _, p := range collect(t, 2, func(page inventoryapi.Page) ([]inventoryapi.ReorderProposal, string, error) {
		out, err := q.ReorderProposals(t.Context(), status, page)
		return out.Items, out.NextCursor, err
	}) {
		if p.ProductID == product {
			require.Equal(t, status, p.Status)
			found = append(found, p)
		}
	}
	return found
}

// testReorder: an item has a proposal from the moment in which its stock becomes low or runs out until stock is
// received.
func testReorder(t *testing.T, a administered) {
	p := a.Stock(t, 20)
	require.Empty(t, a.proposals(t, p, inventoryapi.ReorderOpen))
	a.reserve(t, Line(p, 9))
	require.Empty(t, a.proposals(t, p, inventoryapi.ReorderOpen), "11 are more than 10")
	all, _ := a.reserve(t, Line(p, 2))
	open := a.proposals(t, p, inventoryapi.ReorderOpen)
	require.Len(t, open, 1)
	require.Equal(t, inventoryapi.ReorderProposal{
		ProposalID:        open[0].ProposalID,
		ProductID:         p,
		Location:          "near",
		Cause:             inventoryapi.LowStock,
		Status:            inventoryapi.ReorderOpen,
		SuggestedQuantity: 11, // up to twice the threshold
		OpenedAt:          open[0].OpenedAt,
		Quantity:          20,
		Reserved:          11,
		Available:         9,
		LowStockThreshold: 10,
	}, open[0])
	require.False(t, open[0].OpenedAt.IsZero())

	rest, _ := a.reserve(t, Line(p, 9))
	depleted := a.proposals(t, p, inventoryapi.ReorderOpen)
	require.Len(t, depleted, 1)
	require.Equal(t, open[0].ProposalID, depleted[0].ProposalID)
	require.Equal(t, inventoryapi.Depleted, depleted[0].Cause)
	for _, r := range []inventoryapi.ReserveRequest{all, rest} {
		_, err := a.API.Release(t.Context(), r.ReservationID, ReleaseOf(r))
		require.NoError(t, err)
	}
	require.Len(t, a.proposals(t, p, inventoryapi.ReorderOpen), 1, "a release closes no proposal")

	sold, _ := a.reserve(t, Line(p, 11))
	_, err := a.API.Confirm(t.Context(), sold.ReservationID, Resolve())
	require.NoError(t, err)
	_, err = a.admin.ReceiveStock(t.Context(), p, inventoryapi.ReceiveRequest{Location: "near", Quantity: 4}, By)
	require.NoError(t, err)
	received := a.proposals(t, p, inventoryapi.ReorderReceived)
	require.Len(t, received, 1)
	require.Equal(t, []any{open[0].ProposalID, int64(4), Actor, int64(0)},
		[]any{received[0].ProposalID, received[0].ReceivedQuantity, received[0].ClosedBy, received[0].SuggestedQuantity})
	again := a.proposals(t, p, inventoryapi.ReorderOpen)
	require.Len(t, again, 1, "the stock is still low")
	require.NotEqual(t, open[0].ProposalID, again[0].ProposalID)

	_, err = a.admin.ReceiveStock(t.Context(), p, inventoryapi.ReceiveRequest{Location: "near", Quantity: 100}, By)
	require.NoError(t, err)
	require.Empty(t, a.proposals(t, p, inventoryapi.ReorderOpen))
}

// testDismiss: an operator dismisses a proposal with a reason. It holds until stock is received, but not against a
// cause that is worse.
func testDismiss(t *testing.T, a administered) {
	p := a.Stock(t, 20)
	flap := func(quantity int64) {
		t.Helper()
		in, _ := a.reserve(t, Line(p, quantity))
		_, err := a.API.Release(t.Context(), in.ReservationID, ReleaseOf(in))
		require.NoError(t, err)
	}
	flap(15)
	open := a.proposals(t, p, inventoryapi.ReorderOpen)
	require.Len(t, open, 1)

	id, in := open[0].ProposalID, inventoryapi.DismissRequest{Reason: "the season ends", Actor: Actor}
	_, err := a.admin.DismissReorderProposal(t.Context(), id, inventoryapi.DismissRequest{Actor: Actor})
	fails(t, err, inventoryapi.InvalidInput, "reason")
	_, err = a.admin.DismissReorderProposal(t.Context(), id, inventoryapi.DismissRequest{Reason: "r"})
	fails(t, err, inventoryapi.InvalidInput, "actor")
	_, err = a.admin.DismissReorderProposal(t.Context(), uuid.New(), in)
	fails(t, err, inventoryapi.ProposalNotFound, "proposal_id")
	out, err := a.admin.DismissReorderProposal(t.Context(), id, in)
	require.NoError(t, err)
	require.Equal(t, []any{inventoryapi.ReorderDismissed, Actor, in.Reason}, []any{out.Status, out.ClosedBy, out.Reason})
	_, err = a.admin.DismissReorderProposal(t.Context(), id, in)
	fails(t, err, inventoryapi.ProposalClosed, "")
	require.Len(t, a.proposals(t, p, inventoryapi.ReorderDismissed), 1)

	flap(15)
	require.Empty(t, a.proposals(t, p, inventoryapi.ReorderOpen), "it was dismissed as low")
	flap(20)
	open = a.proposals(t, p, inventoryapi.ReorderOpen)
	require.Len(t, open, 1, "nothing is left of it")
	_, err = a.admin.DismissReorderProposal(t.Context(), open[0].ProposalID, in)
	require.NoError(t, err)
	flap(20)
	require.Empty(t, a.proposals(t, p, inventoryapi.ReorderOpen))
	_, err = a.admin.ReceiveStock(t.Context(), p, inventoryapi.ReceiveRequest{Location: "near", Quantity: 1}, By)
	require.NoError(t, err)
	flap(15)
	require.Len(t, a.proposals(t, p, inventoryapi.ReorderOpen), 1, "a receipt ends the dismissals")
}

// testReorderOfUnsold: a product that the catalogue does not sell is not proposed.
func testReorderOfUnsold(t *testing.T, a administered) {
	p := a.Stock(t, 20)
	_, err := a.admin.SetSellable(t.Context(), p, inventoryapi.SellableRequest{Sellable: ptr(false), CatalogueVersion: 1})
	require.NoError(t, err)
	_, err = a.admin.AdjustStock(t.Context(), p, inventoryapi.AdjustRequest{
		Location: "near", Delta: ptr(int64(-15)), Reason: "broken",
	}, By)
	require.NoError(t, err)
	require.Empty(t, a.proposals(t, p, inventoryapi.ReorderOpen))
}
