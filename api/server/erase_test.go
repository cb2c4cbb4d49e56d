package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/auth/authtest"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
)

// personal is in each place of an order that may have personal data.
const personal = "zoe-of-graz"

// personalOrder records an order whose every free text has the mark.
func (s catalogueServer) personalOrder(customer, mark string, state order.State) uuid.UUID {
	s.t.Helper()
	id := uuid.New()
	in := recordOf(id, customer, strings.Repeat("ab", 32), state, nil)
	in.Order.Issuer = authtest.Issuer
	_, err := orderstore.New(s.pool).Record(s.t.Context(), in)
	require.NoError(s.t, err)
	for _, statement := range []string{
		`UPDATE orders SET email = $2 || '@example.org', ship_to = jsonb_build_object('name', $2::text),
			metadata = jsonb_build_object($2::text, $2::text), hold_note = $2, reason = $2,
			action_url = 'https://bank.example/' || $2, review = jsonb_build_object('reasons', jsonb_build_array($2::text))
			WHERE order_id = $1`,
		`INSERT INTO order_timeline (order_id, seq, event, from_state, state, at, actor, reason)
			SELECT $1, n, 'note', state, state, now(), actor, text FROM orders,
			(VALUES (7, 'somebody', $2::text), (8, 'system', 'not paid')) AS v (n, actor, text) WHERE order_id = $1`,
		`INSERT INTO notifications
			(notification_id, event_id, order_id, kind, occurred_at, status, detail, due_at, resolved_at)
			VALUES (gen_random_uuid(), gen_random_uuid(), $1, 'confirmed', now(), 'skipped', $2, now(), now())`,
		`INSERT INTO shipments (order_id, number, location, status, carrier, tracking_number, created_at, updated_at)
			VALUES ($1, 1, 'main', 'delivered', 'dhl', $2, now(), now())`,
	} {
		args := []any{id, mark}
		_, err := s.pool.Exec(s.t.Context(), statement, args...)
		require.NoError(s.t, err, statement)
	}
	return id
}

// rowsWith counts the rows of the whole database that have the text anywhere.
func (s catalogueServer) rowsWith(text string) (n int) {
	s.t.Helper()
	rows, err := s.pool.Query(s.t.Context(), "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
	require.NoError(s.t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(s.t, err)
	for _, table := range tables {
		var found int
		query := "SELECT count(*) FROM " + pgx.Identifier{table}.Sanitize() + " t WHERE t::text LIKE '%' || $1 || '%'"
		require.NoError(s.t, s.pool.QueryRow(s.t.Context(), query, text).Scan(&found))
		n += found
	}
	return n
}

// TestEraseCustomer: an admin erases a customer's personal data once no order is open. No row of the database has it
// then; lines and amounts stay, and so does what other customers have.
func TestEraseCustomer(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	const path = "/admin/customers/zoe/erase"
	const body = `{"reason":"ticket 4711"}`
	closedOne := s.personalOrder("zoe", personal, order.Completed)
	openOne := s.personalOrder("zoe", personal, order.Reserved)
	s.personalOrder("bob", "bob-of-linz", order.Completed)
	before, others := s.rowsWith(personal), s.rowsWith("bob-of-linz")
	require.Equal(t, 8, before, "order, entry, notification and shipment of two orders")

	for _, role := range []auth.Role{auth.Customer, auth.Operator} {
		s.expect(role, http.MethodPost, path, body, answer{http.StatusForbidden, problem.Forbidden, "admins may"})
	}
	s.expect(auth.Admin, http.MethodPost, path, `{}`, answer{http.StatusBadRequest, problem.InvalidInput, "reason"})
	s.expect(auth.Admin, http.MethodPost, "/admin/customers/nobody/erase", body,
		answer{http.StatusNotFound, orderapi.CustomerNotFound, "no customer"})
	s.expect(auth.Admin, http.MethodPost, path, `{"reason":"r","issuer":"another"}`,
		answer{http.StatusNotFound, orderapi.CustomerNotFound, "another"})
	s.expect(auth.Admin, http.MethodPost, path, body,
		answer{http.StatusConflict, orderapi.OrdersOpen, "these orders are open: " + openOne.String()})
	require.Equal(t, before, s.rowsWith(personal), "nothing is erased while an order is open")

	_, err := s.pool.Exec(t.Context(), "UPDATE orders SET state = 'expired' WHERE order_id = $1", openOne)
	require.NoError(t, err)
	s.expect(auth.Admin, http.MethodPost, path, body, answer{http.StatusOK, "", `"orders_erased":2`})
	require.Zero(t, s.rowsWith(personal))
	require.Equal(t, others, s.rowsWith("bob-of-linz"))

	var total, lines int64
	var words string
	require.NoError(t, s.pool.QueryRow(t.Context(), `
		SELECT total_minor, (SELECT count(*) FROM order_lines l WHERE l.order_id = o.order_id),
			(SELECT string_agg(reason, '' ORDER BY seq) FROM order_timeline t WHERE t.order_id = o.order_id)
		FROM orders o WHERE order_id = $1`, closedOne).Scan(&total, &lines, &words))
	require.Equal(t, []any{price.Minor, int64(1), "not paid"}, []any{total, lines, words})

	s.expect(auth.Admin, http.MethodPost, path, body, answer{http.StatusOK, "", `"orders_erased":0`})
	rows, err := s.pool.Query(t.Context(),
		"SELECT actor || ' ' || reason || ' ' || orders FROM customer_erasures ORDER BY erased_at")
	require.NoError(t, err)
	audit, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, []string{"somebody ticket 4711 2", "somebody ticket 4711 0"}, audit)
	_, raw := s.send(auth.Operator, http.MethodGet, "/api/orders/"+closedOne.String(), "")
	require.Contains(t, raw, `"customer_id":"zoe"`)
	require.NotContains(t, raw, personal)
}
