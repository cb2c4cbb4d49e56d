package server

import (
	"encoding/csv"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
)

// TestExportOrders: an export has every order that matches once, over more than one page.
func TestExportOrders(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	const orders = exportPage + 3
	_, err := s.pool.Exec(t.Context(), `
		INSERT INTO orders (order_id, seq, state, request_hash, customer_id, issuer, total_minor, currency, workflow_id,
			run_id, created_at, updated_at)
		SELECT gen_random_uuid(), 1, CASE WHEN n = 1 THEN 'failed' ELSE 'confirmed' END, sha256('x'),
			CASE WHEN n = 2 THEN '=SUM(A1)' ELSE 'somebody' END, 'i', 100, 'EUR', 'w', 'r', now() - n * interval '1 hour', now()
		FROM generate_series(1, $1) n`, orders)
	require.NoError(t, err)

	export := func(query string) [][]string {
		res, raw := s.send(auth.Operator, http.MethodGet, "/admin/orders/export"+query, "")
		require.Equal(t, http.StatusOK, res.StatusCode, raw)
		require.Equal(t, "text/csv; charset=utf-8", res.Header.Get("Content-Type"))
		table, err := csv.NewReader(strings.NewReader(raw)).ReadAll()
		require.NoError(t, err)
		require.Equal(t, "number", table[0][0])
		return table[1:]
	}
	all := export("")
	require.Len(t, all, orders)
	seen := map[string]bool{}
	for i, row := range all {
		require.False(t, seen[row[0]], "order %s twice", row[0])
		seen[row[0]] = true
		require.True(t, i == 0 || row[9] < all[i-1][9], "newest first")
	}
	require.Equal(t, "'=SUM(A1)", all[1][3], "no spreadsheet takes it for a formula")

	require.Len(t, export("?status=failed"), 1)
	require.Len(t, export("?customer_id=somebody&status=confirmed"), orders-2)
	now := time.Now().UTC()
	since, until := now.Add(-210*time.Minute).Format(time.RFC3339), now.Add(-90*time.Minute).Format(time.RFC3339)
	require.Len(t, export("?since="+since+"&until="+until), 2, "the second and the third")
	_, raw := s.send(auth.Operator, http.MethodGet, "/api/orders?since="+since+"&until="+until, "")
	require.Len(t, decode[orderapi.OrderList](t, raw).Items, 2, "a list has the same filters")

	res, _ := s.send(auth.Customer, http.MethodGet, "/admin/orders/export", "")
	require.Equal(t, http.StatusForbidden, res.StatusCode)
	s.recorded(order.Reserved)
	latest := orderstore.Position{CreatedAt: time.Now()}
	list, err := orderstore.New(s.pool).List(t.Context(), orderstore.Filter{}, latest, 1)
	require.NoError(t, err)
	require.Equal(t, list[0].Lines[0].SKU, export("?status=reserved")[0][7])
}
