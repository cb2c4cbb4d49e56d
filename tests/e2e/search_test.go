package e2e

import (
	"encoding/csv"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/money"
	"holdfast/tests/platform"
)

// TestListsOfOperators: the lists by which an operator finds stock and orders, through the gateway, with their rights.
func TestListsOfOperators(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	for name, test := range map[string]func(*testing.T, *platform.Platform){
		"reservations":  listsOfReservations,
		"order search":  searchOfOrders,
		"only for them": listsAreForOperators,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, p.For(t))
		})
	}
}

// column returns one field of each item that an operator's list has.
func column(p *platform.Platform, path, field string) []string {
	p.T.Helper()
	answer := p.Do(platform.Operator, http.MethodGet, path, nil)
	require.Equal(p.T, http.StatusOK, answer.Status, answer.Raw)
	out := []string{}
	for _, item := range answer.Body["items"].([]any) {
		out = append(out, item.(map[string]any)[field].(string))
	}
	return out
}

// listsOfReservations: a reservation is in the list of its order and of its status, and moves with it.
func listsOfReservations(t *testing.T, p *platform.Platform) {
	product := p.Product(3)
	held := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")
	gone := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")
	require.Equal(t, http.StatusOK, p.Act("alice", gone, "cancel", nil).Status)

	const list = "/api/inventory/reservations"
	require.Equal(t, []string{"pending"}, column(p, list+"?order_id="+held, "status"))
	require.Eventually(t, func() bool {
		return slices.Equal([]string{"released"}, column(p, list+"?order_id="+gone, "status"))
	}, 10*time.Second, 50*time.Millisecond)
	pending := column(p, list+"?status=pending&limit=200", "owner_id")
	released := column(p, list+"?status=released", "owner_id")
	require.Contains(t, pending, held)
	require.NotContains(t, pending, gone)
	require.Contains(t, released, gone)
	require.NotContains(t, released, held)
	require.Empty(t, column(p, list+"?order_id="+held+"&expires_before=2020-01-01T00:00:00Z", "status"))
	require.NotContains(t, column(p, "/api/inventory/overdue", "owner_id"), held)

	wrong := p.Do(platform.Operator, http.MethodGet, list+"?status=lost", nil)
	require.Equal(t, http.StatusBadRequest, wrong.Status, wrong.Raw)
}

// searchOfOrders: an operator finds orders by product and amount, in the list and in the export.
func searchOfOrders(t *testing.T, p *platform.Platform) {
	cheap := p.Product(9, money.Amount{Minor: 700, Currency: "USD"})
	dear := p.Product(9, money.Amount{Minor: 90_000, Currency: "USD"})
	sku := func(product uuid.UUID) string { return "T-" + strings.ToUpper(product.String()[:13]) }
	place := func(product uuid.UUID, quantity int) string {
		return p.Place("bob", http.StatusCreated, platform.OneLine(product, quantity, "currency", "USD")).Str("order_id")
	}
	one, three, big := place(cheap, 1), place(cheap, 3), place(dear, 1)

	export := func(query string) []string {
		answer := p.Do(platform.Operator, http.MethodGet, "/admin/orders/export"+query, nil)
		require.Equal(t, http.StatusOK, answer.Status, answer.Raw)
		table, err := csv.NewReader(strings.NewReader(answer.Raw)).ReadAll()
		require.NoError(t, err)
		at := slices.Index(table[0], "order_id")
		require.GreaterOrEqual(t, at, 0, table[0])
		out := []string{}
		for _, row := range table[1:] {
			out = append(out, row[at])
		}
		return out
	}
	for query, want := range map[string][]string{
		"?sku=" + sku(cheap): {three, one},
		"?sku=" + sku(dear):  {big},
		"?sku=" + sku(cheap) + "&currency=USD&amount_min=2000": {three},
		"?sku=T-NOTHING": {},
		"?currency=USD&amount_min=700&amount_max=700": {one},
		"?currency=USD&amount_min=701":                {big, three},
	} {
		require.Equal(t, want, column(p, "/api/orders"+query, "order_id"), query)
		require.Equal(t, want, export(query), query)
	}
}

// listsAreForOperators: a customer gets none of these lists.
func listsAreForOperators(t *testing.T, p *platform.Platform) {
	for _, path := range []string{"/api/inventory/reservations", "/api/inventory/overdue", "/admin/orders/export"} {
		answer := p.Do("alice", http.MethodGet, path, nil)
		require.Equal(t, http.StatusForbidden, answer.Status, "%s: %s", path, answer.Raw)
	}
}
