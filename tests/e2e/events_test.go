package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
	"holdfast/inventory/inventoryapi"
	"holdfast/tests/broker"
	"holdfast/tests/platform"
)

// TestOperatorsReleaseCancelsTheOrder: an operator releases the stock of an order at inventory. The event of the
// release leads to the order's workflow, which cancels the order.
func TestOperatorsReleaseCancelsTheOrder(t *testing.T) {
	t.Parallel()
	server := broker.Start(t)
	p := platform.Start(t)
	p.StartEvents(server.URL())
	id := p.Place("alice", http.StatusCreated, platform.OneLine(p.Product(5), 1)).Str("order_id")

	reservation := inventoryapi.NewReservationID(inventoryapi.OwnerOrder, uuid.MustParse(id), 1)
	_, err := p.Inventory.Release(t.Context(), reservation, inventoryapi.ReleaseRequest{
		OperationID: uuid.New(), Actor: "olga", Reason: "the shelf is broken",
	})
	require.NoError(t, err)

	p.Await("alice", id, "cancelled", 30*time.Second)
	var actor, reason string
	require.NoError(t, p.Orders.QueryRow(t.Context(), `
		SELECT actor, reason FROM order_timeline WHERE order_id = $1 AND event = 'cancelled'`, id).Scan(&actor, &reason))
	require.Equal(t, []string{"system", "its stock was released by an operator"}, []string{actor, reason})
	p.Audit()
}

// TestDeadMessagesAreServed: the real process answers operators about dead messages, and refuses customers.
func TestDeadMessagesAreServed(t *testing.T) {
	t.Parallel()
	server := broker.Start(t)
	p := platform.Start(t)
	address := "http://" + p.StartEvents(server.URL()).Address()
	for role, want := range map[auth.Role]int{auth.Operator: http.StatusOK, auth.Customer: http.StatusForbidden} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/admin/dlq/count", nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+p.Token("olga", role))
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, want, res.StatusCode, "%s", role)
	}
}
