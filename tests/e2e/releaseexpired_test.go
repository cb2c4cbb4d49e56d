package e2e

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/api/orderapi"
	"holdfast/tests/platform"
	"holdfast/workflows/orderflow"
)

// TestReleaseExpired: an operator counts what is past its deadline and has no workflow any more, and then releases it
// through the workflows.
func TestReleaseExpired(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	product := p.Product(20)
	var orders []string
	for range 3 {
		id := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1, "ttl_seconds", 3)).Str("order_id")
		terminate(t, p, orderflow.OrderWorkflowID(uuid.MustParse(id)))
		orders = append(orders, id)
	}
	held := p.Do("alice", http.MethodPost, "/api/inventory/reserve", map[string]any{
		"order_id": uuid.NewString(), "product_id": product, "quantity": 1, "ttl_seconds": 3,
	})
	require.Equal(t, http.StatusCreated, held.Status, held.Raw)
	terminate(t, p, orderflow.ReservationWorkflowID(uuid.MustParse(held.Str("reservation_id"))))
	inTime := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")

	release := func(query string) (out orderapi.ReleasedReservations) {
		answer := p.Do(platform.Operator, http.MethodPost, "/admin/reservations/release-expired"+query, nil)
		require.Equal(t, http.StatusOK, answer.Status, answer.Raw)
		require.NoError(t, json.Unmarshal([]byte(answer.Raw), &out))
		return out
	}
	allDue := func() bool { return release("?dry_run=true").Due == 4 }
	require.Eventually(t, allDue, 10*time.Second, 50*time.Millisecond)
	require.True(t, allDue(), "a dry run changes nothing")
	require.True(t, release("?dry_run=true&limit=3").More)

	require.Equal(t, orderapi.ReleasedReservations{Due: 4, Released: 4, TakenUp: 4}, release(""))
	for _, id := range orders {
		p.Await("alice", id, "expired", 10*time.Second)
	}
	require.EqualValues(t, 1, reservedOf(p, product))
	require.Zero(t, release("").Due)

	refused := p.Do("alice", http.MethodPost, "/admin/reservations/release-expired", nil)
	require.Equal(t, http.StatusForbidden, refused.Status)
	refused = p.Do(platform.Operator, http.MethodPost, "/admin/reservations/release-expired?limit=1001", nil)
	require.Equal(t, http.StatusBadRequest, refused.Status)
	require.Equal(t, http.StatusOK, p.Act("alice", inTime, "cancel", nil).Status)
	p.Audit()
}
