package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

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

// TestDeadMessagesAreServed: the real process answers operators about dead messages, and refuses customers. It refuses
// every client that comes past the gateway, as api and inventory do.
func TestDeadMessagesAreServed(t *testing.T) {
	t.Parallel()
	server := broker.Start(t)
	p := platform.Start(t)
	p.StartEvents(server.URL())
	p.Process("gateway").Stop()
	p.Gateway = "http://" + p.Start("gateway").Address()
	const path = "/admin/dlq/count"
	require.Equal(t, http.StatusOK, p.Do(platform.Operator, http.MethodGet, path, nil).Status)
	require.Equal(t, http.StatusForbidden, p.Do("alice", http.MethodGet, path, nil).Status)

	for process, path := range map[string]string{
		"events":    path,
		"api":       "/api/orders",
		"inventory": "/api/inventory/stats",
	} {
		past := p.For(t)
		past.Gateway = "http://" + p.Process(process).Address()
		a := past.Do(platform.Operator, http.MethodGet, path, nil)
		require.Equal(t, http.StatusUnauthorized, a.Status, "%s: %s", process, a.Raw)
		require.Contains(t, a.Raw, "clients send their requests to the gateway")
	}
}
