package orderstore_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/db/ordersdb"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
)

// fillSearched inserts orders with totals from 1 to 20,000. Every second has the SKU COMMON, and every five-thousandth
// RARE.
const fillSearched = `
	WITH made AS (
	    INSERT INTO orders (order_id, seq, state, request_hash, customer_id, issuer, total_minor, currency, workflow_id,
	                        run_id, created_at, updated_at)
	    SELECT gen_random_uuid(), 1, CASE WHEN n % 10 = 0 THEN 'cancelled' ELSE 'confirmed' END, sha256(int8send(n)),
	           'c' || n % 100, 'shop', n, CASE WHEN n % 4 = 0 THEN 'USD' ELSE 'EUR' END, 'order-' || n, 'run',
	           now() - n * interval '1 second', now()
	    FROM generate_series(1, 20000) n
	    RETURNING order_id, total_minor
	)
	INSERT INTO order_lines (order_id, line_no, product_id, sku, name, quantity, unit_price_minor, line_total_minor,
	                         currency)
	SELECT order_id, 1, gen_random_uuid(),
	       CASE WHEN total_minor % 5000 = 1 THEN 'RARE' WHEN total_minor % 2 = 0 THEN 'COMMON'
	            ELSE 'SKU-' || total_minor END,
	       'x', 1, total_minor, total_minor, 'EUR'
	FROM made`

// TestSearch: orders are found by a product and by their amount, together with the other filters, newest first, and a
// rare product or amount is found by its index.
func TestSearch(t *testing.T) {
	t.Parallel()
	pool := open(t)
	s := orderstore.New(pool)
	for _, sql := range []string{fillSearched, "VACUUM ANALYZE orders", "VACUUM ANALYZE order_lines"} {
		_, err := pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	last := orderstore.Position{CreatedAt: time.Now().Add(time.Hour), ID: uuid.Max}
	amounts := func(f orderstore.Filter, after orderstore.Position, size int) (out []int64, next orderstore.Position) {
		found, err := s.List(t.Context(), f, after, size)
		require.NoError(t, err)
		for _, o := range found {
			out = append(out, o.Total.Minor)
			next = orderstore.Position{CreatedAt: o.CreatedAt, ID: o.OrderID}
		}
		return out, next
	}

	for _, c := range []struct {
		name   string
		filter orderstore.Filter
		want   []int64
	}{
		{"a rare product", orderstore.Filter{SKU: "RARE"}, []int64{1, 5001, 10001, 15001}},
		{"a common product", orderstore.Filter{SKU: "COMMON"}, []int64{2, 4, 6, 8, 10}},
		{"a product that nobody ordered", orderstore.Filter{SKU: "NONE"}, nil},
		{
			"of one customer",
			orderstore.Filter{SKU: "COMMON", CustomerID: "c8", Issuer: "shop"},
			[]int64{8, 108, 208, 308, 408},
		},
		{"of another issuer", orderstore.Filter{SKU: "COMMON", CustomerID: "c8", Issuer: "x"}, nil},
		{"in a state", orderstore.Filter{SKU: "COMMON", States: []order.State{order.Cancelled}}, []int64{10, 20, 30, 40, 50}},
		{
			"an amount",
			orderstore.Filter{Amount: &orderstore.AmountRange{Currency: "EUR", Min: 7001, Max: 7001}},
			[]int64{7001},
		},
		{
			"amounts of a currency",
			orderstore.Filter{Amount: &orderstore.AmountRange{Currency: "USD", Min: 9, Max: 21}},
			[]int64{12, 16, 20},
		},
		{
			"both",
			orderstore.Filter{SKU: "RARE", Amount: &orderstore.AmountRange{Currency: "EUR", Min: 5000, Max: 10001}},
			[]int64{5001, 10001},
		},
	} {
		got, _ := amounts(c.filter, last, 5)
		require.Equal(t, c.want, got, c.name)
	}
	first, next := amounts(orderstore.Filter{SKU: "RARE"}, last, 3)
	rest, _ := amounts(orderstore.Filter{SKU: "RARE"}, next, 3)
	require.Equal(t, []int64{1, 5001, 10001, 15001}, append(first, rest...))

	plan := func(query string, args ...any) string {
		rows, err := pool.Query(t.Context(), "EXPLAIN "+query, args...)
		require.NoError(t, err)
		defer rows.Close()
		var lines []string
		for rows.Next() {
			var line string
			require.NoError(t, rows.Scan(&line))
			lines = append(lines, line)
		}
		require.NoError(t, rows.Err())
		return strings.Join(lines, "\n")
	}
	search := func(currency string, amount int64, anyProduct bool, orders ...uuid.UUID) string {
		return plan(ordersdb.SearchOrders,
			last.CreatedAt, last.ID, time.Time{}, "", true, "", []string{}, currency, amount, amount, anyProduct, orders, 20)
	}
	require.Contains(t, search("EUR", 7001, true), "orders_amount_idx")
	require.Contains(t, search("", 0, false, uuid.New(), uuid.New()), "orders_pkey")
	require.Contains(t, plan(ordersdb.OrdersOfProduct, "RARE", 10), "order_lines_sku_idx")
	common := plan(ordersdb.SearchOrdersOfProduct,
		last.CreatedAt, last.ID, time.Time{}, "", true, "", []string{}, "", 0, 0, "COMMON", 20)
	require.Contains(t, common, "orders_listing_idx")
	require.NotContains(t, common, "Seq Scan")
}
