package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/money"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/tests/platform"
	"holdfast/workflows/orderflow"
)

// waiting inserts an order that waits for its workflow for 15 seconds, as an order in a long line does.
func waiting(t *testing.T, p *platform.Platform, method string) string {
	t.Helper()
	product := p.Product(5)
	var sku string
	err := p.Orders.QueryRow(t.Context(), "SELECT sku FROM products WHERE product_id = $1", product).Scan(&sku)
	require.NoError(t, err)
	startBy := time.Now().Add(time.Minute)
	in := orderflow.OrderInput{
		OrderID:       uuid.New(),
		RequestHash:   strings.Repeat("ab", 32),
		CustomerID:    "alice",
		Issuer:        "holdfast",
		Total:         money.Amount{Minor: platform.Price.Minor, Currency: "EUR"},
		PaymentMethod: method,
		PlacedAt:      time.Now().UTC().Truncate(time.Microsecond),
		StartBy:       &startBy,
		Lines: []orderflow.Line{{
			LineNo:    1,
			ProductID: product,
			SKU:       sku,
			Name:      "Test product",
			Quantity:  1,
			UnitPrice: platform.Price,
			Total:     platform.Price,
		}},
	}
	number, err := orderstore.New(p.Orders).Place(t.Context(), in, true)
	require.NoError(t, err)
	require.NotEmpty(t, number)
	return in.OrderID.String()
}

// TestRequestsToAnOrderThatWaits: an order that waits for its workflow can be read and cancelled, and neither paid nor
// extended. A cancellation takes no money, also if the order has its payment with it.
func TestRequestsToAnOrderThatWaits(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	for _, method := range []string{"", "pm_ok"} {
		id := waiting(t, p, method)
		row := p.Do("alice", http.MethodGet, "/api/orders/"+id, nil)
		require.Equal(t, "pending", row.Str("status"), row.Raw)
		require.EqualValues(t, 1, row.Body["position_in_line"], row.Raw)
		require.Empty(t, p.Events("alice", id))
		for _, request := range []struct {
			path string
			body any
		}{
			{"/pay", map[string]any{"payment_method": "pm_ok"}},
			{"/extend", map[string]any{"ttl_seconds": 3600}},
		} {
			refused := p.Do("alice", http.MethodPost, "/api/orders/"+id+request.path, request.body)
			require.Equal(t, http.StatusConflict, refused.Status, refused.Raw)
			require.Equal(t, "order_not_ready", refused.Str("code"), refused.Raw)
		}

		cancelled := p.Act("alice", id, "cancel", nil)
		require.Equal(t, http.StatusOK, cancelled.Status, cancelled.Raw)
		require.Equal(t, "cancelled", cancelled.Str("status"), cancelled.Raw)
		_, err := p.Charge(id, 1)
		require.Error(t, err, "the provider was never asked")
	}
	require.Equal(t, map[order.State]int{order.Cancelled: 2}, p.Audit())
}

// TestOrderOfADeadProcess: the process that inserted an order died before it started the workflow. The lease ends, and
// the order starts.
func TestOrderOfADeadProcess(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	id := waiting(t, p, "pm_ok")
	p.Await("alice", id, "confirmed", time.Minute)
	require.Equal(t, map[order.State]int{order.Confirmed: 1}, p.Audit())
}
