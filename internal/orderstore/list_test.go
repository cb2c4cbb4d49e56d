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

// fillOrders inserts orders of one customer, of which every thousandth is in review.
const fillOrders = `
	INSERT INTO orders (order_id, seq, state, request_hash, customer_id, issuer, total_minor, currency, workflow_id,
	                    run_id, created_at, updated_at)
	SELECT gen_random_uuid(), 1, CASE WHEN n % 1000 = 0 THEN 'in_review' ELSE 'confirmed' END, sha256(int8send(n)),
	       'alice', CASE WHEN n % 2000 = 0 THEN 'other' ELSE 'shop' END, 100, 'EUR', 'order-' || n, 'run',
	       now() - n * interval '1 second', now()
	FROM generate_series(1, 10000) n`

// TestListOfCustomerByState: a customer's list by state has exactly the customer's orders in these states, newest
// first, and does not read the other orders of a customer who has many.
func TestListOfCustomerByState(t *testing.T) {
	t.Parallel()
	pool := open(t)
	s := orderstore.New(pool)
	for _, sql := range []string{fillOrders, "VACUUM ANALYZE orders"} {
		_, err := pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	last := orderstore.Position{CreatedAt: time.Now().Add(time.Hour), ID: uuid.Max}

	for _, c := range []struct {
		name   string
		filter orderstore.Filter
		want   int
	}{
		{"one state", orderstore.Filter{States: []order.State{order.InReview}}, 10},
		{"one state, one issuer", orderstore.Filter{States: []order.State{order.InReview}, Issuer: "shop"}, 5},
		{"two states", orderstore.Filter{States: []order.State{order.InReview, order.Confirmed}}, 20},
		{"a state that no order is in", orderstore.Filter{States: []order.State{order.Paying}}, 0},
	} {
		c.filter.CustomerID = "alice"
		found, err := s.List(t.Context(), c.filter, last, 20)
		require.NoError(t, err, c.name)
		require.Len(t, found, c.want, c.name)
		for i, o := range found {
			require.Contains(t, c.filter.States, o.State, c.name)
			require.True(t, i == 0 || o.CreatedAt.Before(found[i-1].CreatedAt), c.name)
		}
	}

	rows, err := pool.Query(t.Context(), "EXPLAIN (ANALYZE) "+ordersdb.ListOrdersOfCustomerInStates,
		[]string{string(order.InReview)}, "alice", true, "", last.CreatedAt, last.ID, time.Time{}, 20)
	require.NoError(t, err)
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		plan = append(plan, line)
	}
	require.NoError(t, rows.Err())
	require.Contains(t, strings.Join(plan, "\n"), "orders_customer_state_idx")
	require.NotContains(t, strings.Join(plan, "\n"), "Rows Removed by Filter", "it reads other orders too")
}
