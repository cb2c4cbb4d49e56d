package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"holdfast/tests/platform"
	"holdfast/workflows/orderflow"
)

// TestRepairOfHeldMoney: the provider does not answer while orders end, so their payments stay open. An operator
// voids one by hand. The workflow of the other is stopped; an operator adopts the order, and another run voids the
// payment.
func TestRepairOfHeldMoney(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	voids := func(id, provider string) int {
		return p.Count(`SELECT count(*) FROM payments
			WHERE order_id = $1 AND step = 'void' AND state = 'voided' AND provider = $2`, id, provider)
	}
	voided, _ := toConfirm(t, p)
	stopped, _ := toConfirm(t, p)
	p.Process("payment-sandbox").Stop()
	for _, id := range []string{voided, stopped} {
		answer := p.Act("alice", id, "cancel", nil)
		require.Less(t, answer.Status, 300, answer.Raw)
		p.Await("alice", id, "cancelled", 15*time.Second)
		p.WithTemporal(func(c client.Client) {
			awaitAttempt(t, c, orderflow.OrderWorkflowID(uuid.MustParse(id)), 2)
		})
	}
	terminate(t, p, orderflow.OrderWorkflowID(uuid.MustParse(stopped)))

	void := map[string]any{
		"action": "skip_step", "step": orderflow.VoidPayment, "attempt": 1, "reference": "call-42", "reason": "by phone",
	}
	other := map[string]any{
		"action": "skip_step", "step": orderflow.VoidPayment, "attempt": 2, "reference": "call-42", "reason": "by phone",
	}
	wrong := repair(p, platform.Operator, "orders/"+voided, "other", other)
	require.Equal(t, "repair_not_applicable", wrong.Str("code"), wrong.Raw)
	require.Eventually(t, func() bool { // 202 while the attempt that runs has still to end
		answer := repair(p, platform.Operator, "orders/"+voided, "void", void)
		require.Less(t, answer.Status, 300, answer.Raw)
		return answer.Status == http.StatusOK
	}, 20*time.Second, 100*time.Millisecond)
	require.Eventually(t, func() bool { return voids(voided, orderflow.ByHand) == 1 }, 10*time.Second, 20*time.Millisecond)
	awaitEvent(t, p, voided, "repaired")

	early := repair(p, platform.Operator, "orders/"+stopped, "early", void)
	require.Equal(t, "repair_not_applicable", early.Str("code"), early.Raw)
	require.Contains(t, early.Str("detail"), "use adopt")
	p.Start("payment-sandbox")
	adopted := repair(p, platform.Operator, "orders/"+stopped, "adopt", why("adopt"))
	require.Equal(t, http.StatusOK, adopted.Status, adopted.Raw)
	require.Eventually(t, func() bool { return voids(stopped, "sandbox") == 1 }, 15*time.Second, 50*time.Millisecond)
	awaitEvent(t, p, stopped, "payment_voided")
	awaitEvent(t, p, stopped, "repaired")
	charge, err := p.Charge(stopped, 1)
	require.NoError(t, err)
	require.EqualValues(t, "voided", charge.State)
	require.Eventually(t, func() bool {
		answer := repair(p, platform.Operator, "orders/"+stopped, uuid.NewString(), why("force_release"))
		require.Equal(t, "repair_not_applicable", answer.Str("code"), answer.Raw)
		return answer.Str("detail") == "the order is cancelled and holds neither stock nor money"
	}, 10*time.Second, 100*time.Millisecond)
	p.Audit()
}
