package e2e

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/payment"
	"holdfast/tests/platform"
)

// edit replaces the lines of an order.
func edit(s *platform.Platform, who, id string, lines map[string]any, headers ...string) platform.Answer {
	return s.Do(who, http.MethodPut, "/api/orders/"+id+"/lines", lines, headers...)
}

// twoLines are the lines of a change: units of two products.
func twoLines(a uuid.UUID, n int, b uuid.UUID, m int) map[string]any {
	return map[string]any{"lines": []map[string]any{
		{"product_id": a, "quantity": n}, {"product_id": b, "quantity": m},
	}}
}

func changesLines(t *testing.T, s *platform.Platform) {
	mug, spoon := s.Product(5), s.Product(5)
	placed := s.Place("alice", http.StatusCreated, platform.OneLine(mug, 4))
	id := placed.Str("order_id")
	stock := func(product uuid.UUID) []int64 {
		available, reserved, total := s.Available(product)
		return []int64{available, reserved, total}
	}

	preview := s.Do("alice", http.MethodPut, "/api/orders/"+id+"/lines?preview=true", twoLines(mug, 1, spoon, 6))
	require.Equal(t, http.StatusOK, preview.Status, preview.Raw)
	would := preview.Body["edit_preview"].(map[string]any)
	require.Equal(t, []any{false, float64(3 * 1250)}, []any{would["in_stock"], would["difference_minor"]})
	require.Equal(t, []int64{1, 4, 5}, stock(mug), "a preview changes nothing")

	short := edit(s, "alice", id, twoLines(mug, 5, spoon, 6))
	require.Equal(t, http.StatusConflict, short.Status, short.Raw)
	require.Equal(t, "out_of_stock", short.Str("code"))
	require.Len(t, short.Body["lines"], 1, "the order's own units are not short")
	require.Equal(t, []int64{1, 4, 5}, stock(mug))

	changed := edit(s, "alice", id, twoLines(mug, 5, spoon, 2), "Idempotency-Key", "one")
	require.Equal(t, http.StatusOK, changed.Status, changed.Raw)
	require.EqualValues(t, 7*1250, changed.Body["total"].(map[string]any)["amount_minor"])
	require.Equal(t, placed.Str("expires_at"), changed.Str("expires_at"), "the deadline stays")
	require.NotEqual(t, placed.Str("reservation_id"), changed.Str("reservation_id"))
	require.Equal(t, []int64{0, 5, 5}, stock(mug))
	require.Equal(t, []int64{3, 2, 5}, stock(spoon))
	again := edit(s, "alice", id, twoLines(mug, 5, spoon, 2), "Idempotency-Key", "one")
	require.Equal(t, changed.Body["lines"], again.Body["lines"])
	other := edit(s, "alice", id, twoLines(mug, 5, spoon, 1), "Idempotency-Key", "one")
	require.Equal(t, "idempotency_key_reused", other.Str("code"), other.Raw)

	require.Equal(t, http.StatusNotFound, edit(s, "mallory", id, platform.OneLine(mug, 1)).Status)
	unknown := edit(s, "alice", id, platform.OneLine(uuid.New(), 1))
	require.Equal(t, "unknown_product", unknown.Str("code"), unknown.Raw)
	large := edit(s, "alice", id, platform.OneLine(mug, 900))
	require.Equal(t, "review_required", large.Str("code"), large.Raw)

	fewer := edit(s, platform.Operator, id, platform.OneLine(spoon, 3))
	require.Equal(t, http.StatusOK, fewer.Status, fewer.Raw)
	require.Len(t, fewer.Body["lines"], 1)
	require.Equal(t, []int64{5, 0, 5}, stock(mug))
	require.Equal(t, []int64{2, 3, 5}, stock(spoon))

	paid := s.Pay("alice", id, "pm_ok")
	require.Equal(t, http.StatusOK, paid.Status, paid.Raw)
	charge, err := s.Charge(id, 1)
	require.NoError(t, err)
	require.EqualValues(t, 3*1250, charge.CapturedMinor)
	require.Equal(t, []int64{2, 0, 2}, stock(spoon))
	require.Equal(t, []string{
		"reserved", "lines_changed", "lines_changed", "payment_started", "paid", "confirmed",
	}, s.Events("alice", id))
	late := edit(s, "alice", id, platform.OneLine(mug, 1))
	require.Equal(t, http.StatusConflict, late.Status, late.Raw)
	require.Contains(t, late.Str("detail"), "place another order")
}

// changesLinesTwiceAtOnce: of two changes at once, both are carried out, one after the other.
func changesLinesTwiceAtOnce(t *testing.T, s *platform.Platform) {
	product := s.Product(4)
	id := s.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")
	var wg sync.WaitGroup
	for _, quantity := range []int{3, 4} {
		wg.Go(func() {
			changed := edit(s, "alice", id, platform.OneLine(product, quantity))
			if changed.Status != http.StatusOK {
				t.Errorf("%d: %s", quantity, changed.Raw)
			}
		})
	}
	wg.Wait()

	now := s.Do("alice", http.MethodGet, "/api/orders/"+id, nil)
	units := now.Body["lines"].([]any)[0].(map[string]any)["quantity"].(float64)
	require.Contains(t, []float64{3, 4}, units)
	_, reserved, _ := s.Available(product)
	require.Equal(t, int64(units), reserved)
	require.Equal(t, []string{"reserved", "lines_changed", "lines_changed"}, s.Events("alice", id))
	require.Equal(t, http.StatusOK, s.Act("alice", id, "cancel", nil).Status)
	available, reserved, _ := s.Available(product)
	require.Equal(t, []int64{4, 0}, []int64{available, reserved})
}

// changesLinesAtOnce: twenty clients change an order, two of them to the same lines, while another client pays it. The
// order is paid for the lines that it has in the end, and all other stock is free.
func changesLinesAtOnce(t *testing.T, s *platform.Platform) {
	product := s.Product(100)
	id := s.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")
	answers := make([]platform.Answer, 20)
	var paid platform.Answer
	var wg sync.WaitGroup
	var answered atomic.Int64
	some := make(chan struct{})
	for i := range answers {
		wg.Go(func() {
			answers[i] = edit(s, "alice", id, platform.OneLine(product, 1+i/2))
			if answered.Add(1) == 5 {
				close(some)
			}
		})
	}
	wg.Go(func() {
		<-some
		paid = s.Pay("alice", id, "pm_ok")
	})
	wg.Wait()

	require.Contains(t, []int{http.StatusOK, http.StatusAccepted}, paid.Status, paid.Raw)
	changed := 0
	for _, a := range answers {
		switch a.Status {
		case http.StatusOK:
			changed++
		case http.StatusConflict:
			require.Contains(t, []string{"payment_in_progress", "invalid_state"}, a.Str("code"), a.Raw)
		default:
			require.Equal(t, http.StatusAccepted, a.Status, a.Raw)
		}
	}
	s.Await("alice", id, "confirmed", 30*time.Second)
	s.AwaitIdle(uuid.MustParse(id))

	var units, total, number int64
	require.NoError(t, s.Orders.QueryRow(t.Context(), `
		SELECT sum(l.quantity), o.total_minor, o.reservation_number FROM orders o JOIN order_lines l USING (order_id)
		WHERE order_id = $1 GROUP BY o.order_id`, id).Scan(&units, &total, &number))
	require.Equal(t, units*1250, total)
	charge, err := s.Charge(id, 1)
	require.NoError(t, err)
	require.Equal(t, payment.Captured, charge.State)
	require.Equal(t, total, charge.CapturedMinor)
	available, reserved, left := s.Available(product)
	require.Equal(t, []int64{100 - units, 0, 100 - units}, []int64{available, reserved, left})

	statuses := map[string]int64{}
	rows, err := s.Stock.Query(t.Context(), `SELECT status, count(*) FROM reservations WHERE owner_id = $1 GROUP BY 1`, id)
	require.NoError(t, err)
	for rows.Next() {
		var status string
		var n int64
		require.NoError(t, rows.Scan(&status, &n))
		statuses[status] = n
	}
	require.NoError(t, rows.Err())
	require.Equal(t, int64(1), statuses["confirmed"], fmt.Sprint(statuses))
	require.Zero(t, statuses["pending"])
	require.GreaterOrEqual(t, number, statuses["released"])
	t.Logf("%d of 20 changes before the payment; reservations %v", changed, statuses)
}
