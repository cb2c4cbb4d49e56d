package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
	"holdfast/tests/platform"
)

// TestLineLimit: MAX_LINE_QUANTITY limits the units of a line, below and above the default, at the orders interface and
// at inventory with the same status and code, and the published contract says so.
func TestLineLimit(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	product := p.Product(10_000)
	for _, most := range []int64{3, 5000} {
		p.Configure("MAX_LINE_QUANTITY", fmt.Sprint(most))
		for _, process := range []string{"api", "inventory"} {
			p.Process(process).Stop()
			p.Start(process)
		}

		p.Place("alice", http.StatusCreated, platform.OneLine(product, int(most)))
		for _, wrong := range []int64{0, most + 1} {
			single := map[string]any{"order_id": uuid.New(), "product_id": product, "quantity": wrong}
			asked := fmt.Sprintf("/api/inventory/%s?quantity=%d", product, wrong)
			for path, a := range map[string]platform.Answer{
				"lines[0].quantity": p.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(product, int(wrong))),
				"quantity":          p.Do("alice", http.MethodPost, "/api/inventory/reserve", single),
				"quantity of stock": p.Do("alice", http.MethodGet, asked, nil),
			} {
				require.Equal(t, http.StatusUnprocessableEntity, a.Status, "%s %s", path, a.Raw)
				require.Equal(t, "invalid_quantity", a.Str("code"), path)
				require.Contains(t, path, a.Str("field"))
			}
			_, err := p.Inventory.Reserve(t.Context(), inventoryapi.ReserveRequest{
				ReservationID: inventoryapi.NewReservationID(inventoryapi.OwnerOrder, uuid.New(), 1),
				OwnerKind:     inventoryapi.OwnerOrder,
				OwnerID:       uuid.New(),
				Number:        1,
				OperationID:   uuid.New(),
				Actor:         "system",
				Lines:         []inventoryapi.ReserveLine{{ProductID: product, Quantity: wrong}},
			})
			require.ErrorIs(t, err, inventoryapi.InvalidQuantity)
		}
		for _, document := range []string{"openapi.yaml", "inventory.yaml"} {
			published := p.Do("", http.MethodGet, "/docs/"+document, nil)
			require.Contains(t, published.Raw, fmt.Sprintf("maximum: %d, x-max-line-quantity", most))
		}
	}
}
