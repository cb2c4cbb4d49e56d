package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/tests/platform"
)

// administers changes the catalogue through the gateway: customers order what the operator has put there, and earlier
// orders stay as they were.
func administers(t *testing.T, s *platform.Platform) {
	sku := "ADM-" + strings.ToUpper(uuid.NewString()[:8])
	named := func(name string, minor int) string {
		return fmt.Sprintf(`{"sku":%q,"name":%q,"prices":[{"amount_minor":%d,"currency":"EUR"}]}`, sku, name, minor)
	}
	created := s.Do(platform.Operator, http.MethodPost, "/api/products", named("First name", 1000))
	require.Equal(t, http.StatusCreated, created.Status, created.Raw)
	id := created.Str("product_id")
	unstocked := s.Place("alice", http.StatusConflict, platform.OneLine(uuid.MustParse(id), 2))
	require.Equal(t, "out_of_stock", unstocked.Str("code"), unstocked.Raw)
	require.Equal(t, []any{map[string]any{"product_id": id, "requested": 2.0, "available": 0.0}}, unstocked.Body["lines"])

	reserve := func(status int, code string) {
		body := fmt.Sprintf(`{"order_id":%q,"product_id":%q,"quantity":1}`, uuid.NewString(), id)
		held := s.Do("alice", http.MethodPost, "/api/inventory/reserve", body)
		require.Equal(t, status, held.Status, held.Raw)
		if code != "" {
			require.Equal(t, code, held.Str("code"), held.Raw)
		}
	}
	reserve(http.StatusConflict, "out_of_stock")
	s.Receive(uuid.MustParse(id), 10)
	reserve(http.StatusCreated, "")
	placed := s.Place("alice", http.StatusCreated, platform.OneLine(uuid.MustParse(id), 2))

	path := "/api/products/" + id
	replaced := s.Do(platform.Operator, http.MethodPut, path, named("Second name", 2000),
		"If-Match", created.Header.Get("ETag"))
	require.Equal(t, http.StatusOK, replaced.Status, replaced.Raw)
	dearer := s.Place("alice", http.StatusCreated, platform.OneLine(uuid.MustParse(id), 1))
	require.EqualValues(t, 2000, dearer.Body["total"].(map[string]any)["amount_minor"])

	gone := s.Do(platform.Operator, http.MethodDelete, path, nil)
	require.Equal(t, http.StatusNoContent, gone.Status, gone.Raw)
	refused := s.Place("alice", http.StatusUnprocessableEntity, platform.OneLine(uuid.MustParse(id), 1))
	require.Equal(t, "unknown_product", refused.Str("code"))
	reserve(http.StatusUnprocessableEntity, "unknown_product")
	stock := s.Do("alice", http.MethodGet, "/api/inventory/"+id, nil)
	require.Equal(t, []any{false, false}, []any{stock.Body["is_available"], stock.Body["sellable"]}, stock.Raw)
	before := s.Do("alice", http.MethodGet, "/api/orders/"+placed.Str("order_id"), nil)
	line := before.Body["lines"].([]any)[0].(map[string]any)
	require.Equal(t, "First name", line["name"])
	require.EqualValues(t, 2000, line["total"].(map[string]any)["amount_minor"], "two at the old price")

	// The file is larger than a mebibyte, which is the limit of every other body.
	file := "sku,name,description,price_EUR\n"
	for i := range 300 {
		file += fmt.Sprintf("%s-%d,Imported,%s,9.99\n", sku, i, strings.Repeat("x", 4500))
	}
	imported := s.Do(platform.Operator, http.MethodPost, "/api/products/import?dry_run=true", file,
		"Content-Type", "text/csv")
	require.Equal(t, http.StatusOK, imported.Status, imported.Raw)
	require.EqualValues(t, 300, imported.Body["created"])
	for method, path := range map[string]string{http.MethodPost: "/api/products", http.MethodDelete: path} {
		a := s.Do("alice", method, path, `{"sku":"X","name":"X","prices":[]}`)
		require.Equal(t, http.StatusForbidden, a.Status, a.Raw)
	}
}
