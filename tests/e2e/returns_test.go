package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/tests/platform"
)

// deliveredOrder places, pays, ships and delivers an order of some units of one product, of which none is left.
func deliveredOrder(t *testing.T, s *platform.Platform, quantity int64) (id string, available func() int64) {
	t.Helper()
	id, product := paidOrder(t, s, quantity, 0, quantity)
	reports(t, s, id, 1, "ship", leaves)
	done := reports(t, s, id, 1, "deliver", nil)
	require.Equal(t, "completed", done.Str("status"))
	return id, func() int64 {
		n, _, _ := s.Available(product)
		return n
	}
}

func wants(quantity int) map[string]any {
	return map[string]any{
		"reason": "no_longer_wanted", "lines": []map[string]any{{"line_no": 1, "quantity": quantity}},
	}
}

func arrives(restocked, damaged int) map[string]any {
	return map[string]any{"lines": []map[string]any{{"line_no": 1, "restocked": restocked, "damaged": damaged}}}
}

// returnsGoods sees a return of a completed order through: the customer asks, an operator approves, the warehouse
// receives, the money goes back and so does what can be sold again.
func returnsGoods(t *testing.T, s *platform.Platform) {
	id, available := deliveredOrder(t, s, 3)
	price := s.Do("alice", http.MethodGet, "/api/orders/"+id, nil).Body["total"].(map[string]any)["amount_minor"].(float64)

	preview := s.Act("alice", id, "returns?preview=true", wants(2))
	require.Equal(t, http.StatusOK, preview.Status, preview.Raw)
	would := preview.Body["return_preview"].(map[string]any)
	require.InDelta(t, price*2/3, would["refund"].(map[string]any)["amount_minor"], 0.5)
	require.NotContains(t, preview.Raw, `"returns"`, "a preview changes nothing")

	foreign := s.Act("bob", id, "returns", wants(1))
	require.Equal(t, http.StatusNotFound, foreign.Status, foreign.Raw)
	tooMany := s.Act("alice", id, "returns", wants(4))
	require.Equal(t, "not_returnable", tooMany.Str("code"), tooMany.Raw)

	asked := s.Act("alice", id, "returns", wants(2), "Idempotency-Key", "return-"+id)
	require.Equal(t, http.StatusOK, asked.Status, asked.Raw)
	again := s.Act("alice", id, "returns", wants(2), "Idempotency-Key", "return-"+id)
	require.Equal(t, http.StatusOK, again.Status, again.Raw)
	require.Len(t, again.Body["returns"], 1, "the same key is the same return")
	other := s.Act("alice", id, "returns", wants(1), "Idempotency-Key", "return-"+id)
	require.Equal(t, "idempotency_key_reused", other.Str("code"), other.Raw)
	self := s.Act("alice", id, "returns/1/approve", nil)
	require.Equal(t, http.StatusForbidden, self.Status, self.Raw)
	early := s.Act(platform.Operator, id, "returns/1/receive", arrives(2, 0))
	require.Equal(t, "invalid_return_state", early.Str("code"), early.Raw)
	open := s.Do(platform.Operator, http.MethodGet, "/api/returns?limit=200", nil)
	require.Contains(t, open.Raw, id)

	require.Equal(t, http.StatusOK, s.Act(platform.Operator, id, "returns/1/approve", nil).Status)
	received := s.Act(platform.Operator, id, "returns/1/receive", arrives(1, 1))
	require.Equal(t, http.StatusOK, received.Status, received.Raw)
	require.Equal(t, http.StatusOK, s.Act(platform.Operator, id, "returns/1/receive", arrives(1, 1)).Status, "a repeat")
	two := would["refund"].(map[string]any)["amount_minor"].(float64)
	awaitRefunds(t, s, id, two)
	require.Eventually(t, func() bool { return available() == 1 }, 15*time.Second, 50*time.Millisecond,
		"only one of the two can be sold again")

	gesture := func(minor float64) map[string]any {
		return map[string]any{"note": "a scratch", "lines": []map[string]any{{"line_no": 1, "refund_minor": minor}}}
	}
	left := price - two
	would = s.Act(platform.Operator, id, "refunds?preview=true", gesture(100)).Body["return_preview"].(map[string]any)
	require.InDelta(t, 100, would["refund"].(map[string]any)["amount_minor"], 0)
	require.Equal(t, http.StatusForbidden, s.Act("alice", id, "refunds", gesture(100)).Status)
	beyond := s.Act(platform.Operator, id, "refunds", gesture(left+1))
	require.Equal(t, "invalid_input", beyond.Str("code"), beyond.Raw)
	for range 2 { // a repeat under the same key gives nothing more
		given := s.Act(platform.Operator, id, "refunds", gesture(100), "Idempotency-Key", "gesture-"+id)
		require.Equal(t, http.StatusOK, given.Status, given.Raw)
	}
	otherwise := s.Act(platform.Operator, id, "refunds", gesture(200), "Idempotency-Key", "gesture-"+id)
	require.Equal(t, "idempotency_key_reused", otherwise.Str("code"), otherwise.Raw)
	awaitRefunds(t, s, id, two, 100)

	rest := s.Act(platform.Operator, id, "returns", wants(1)) // an operator's is approved at once
	require.Equal(t, http.StatusOK, rest.Status, rest.Raw)
	require.Equal(t, http.StatusOK, s.Act(platform.Operator, id, "returns/3/receive", arrives(1, 0)).Status)
	awaitRefunds(t, s, id, two, 100, left-100)
	require.Eventually(t, func() bool {
		return s.Do("alice", http.MethodGet, "/api/orders/"+id, nil).Str("status") == "refunded"
	}, 15*time.Second, 50*time.Millisecond)
	over := s.Act("alice", id, "returns", wants(1))
	require.Equal(t, "invalid_state", over.Str("code"), over.Raw)
}
