package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/money"
	"holdfast/tests/platform"
)

// minor reads the amount of a member of an answer; 0 if it is absent.
func minor(of map[string]any, member string) int64 {
	amount, _ := of[member].(map[string]any)
	n, _ := amount["amount_minor"].(float64)
	return int64(n)
}

// charges lets a shop order for a customer with tax, discounts and shipping, in currencies with two, no and three
// decimal places. The units go back one by one, some cancelled before the shipment and some returned after it: the
// refunds add up to what was captured, the shipping with the last unit (Platform.Audit compares every order so).
func charges(t *testing.T, s *platform.Platform) {
	for _, currency := range []string{"EUR", "JPY", "KWD"} {
		amount := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: currency} }
		shirt, mug := s.Product(10, amount(999)), s.Product(10, amount(333))
		placed := s.Place(platform.Shop, http.StatusCreated, map[string]any{
			"customer_id": "alice",
			"currency":    currency,
			"discount":    amount(100),
			"shipping":    amount(490),
			"lines": []map[string]any{
				{"product_id": shirt, "quantity": 3, "discount": amount(250), "tax": amount(521)},
				{"product_id": mug, "quantity": 2, "tax": amount(127)},
			},
		})
		require.Equal(t, "alice", placed.Str("customer_id"))
		lines := placed.Body["lines"].([]any)
		shirts, mugs := lines[0].(map[string]any), lines[1].(map[string]any)
		// 100 is spread over 2747 and 666: 80.49 and 19.51.
		require.EqualValues(t, 250+80, minor(shirts, "discount"))
		require.EqualValues(t, 20, minor(mugs, "discount"))
		require.EqualValues(t, 3*999-330+521, minor(shirts, "total"))
		require.EqualValues(t, 2*333-20+127, minor(mugs, "total"))
		total := minor(shirts, "total") + minor(mugs, "total") + 490
		require.Equal(t, total, minor(placed.Body, "total"))
		require.EqualValues(t, 490, minor(placed.Body, "shipping"))
		id := placed.Str("order_id")
		fewer := map[string]any{"lines": []map[string]any{{"product_id": shirt, "quantity": 1}}}
		kept := s.Do(platform.Shop, http.MethodPut, "/api/orders/"+id+"/lines", fewer)
		require.Equal(t, "invalid_state", kept.Str("code"), "its amounts belong to its lines: %s", kept.Raw)
		require.Equal(t, platform.Shop, s.Timeline("alice", id)[0]["actor"])

		require.Equal(t, http.StatusOK, s.Pay("alice", id, "pm_ok").Status)
		one := map[string]any{"lines": []map[string]any{{"line_no": 1, "quantity": 1}}}
		require.Equal(t, http.StatusOK, s.Act(platform.Shop, id, "cancel", one).Status)
		reports(t, s, id, 1, "ship", leaves)
		reports(t, s, id, 1, "deliver", nil)
		for _, back := range []struct{ line, quantity int }{{2, 1}, {1, 2}, {2, 1}} {
			returnUnits(t, s, id, back.line, back.quantity)
		}

		third, half := share(minor(shirts, "total"), 1, 3), share(minor(mugs, "total"), 1, 2)
		awaitRefunds(t, s, id,
			float64(third),
			float64(half),
			float64(minor(shirts, "total")-third),
			float64(minor(mugs, "total")-half+490),
		)
		require.Equal(t, "refunded", s.Do("alice", http.MethodGet, "/api/orders/"+id, nil).Str("status"))
	}
}

// share is the price of n of some units, rounded half up.
func share(total, n, of int64) int64 { return (total*n + of/2) / of }

// returnUnits sees one return of an order through, and waits for its refund.
func returnUnits(t *testing.T, s *platform.Platform, id string, line, quantity int) {
	t.Helper()
	refunded := len(refunds(s, id))
	asked := s.Act(platform.Operator, id, "returns", map[string]any{
		"reason": "no_longer_wanted", "lines": []map[string]any{{"line_no": line, "quantity": quantity}},
	})
	require.Equal(t, http.StatusOK, asked.Status, asked.Raw)
	number := len(asked.Body["returns"].([]any))
	received := s.Act(platform.Operator, id, fmt.Sprintf("returns/%d/receive", number), map[string]any{
		"lines": []map[string]any{{"line_no": line, "restocked": quantity, "damaged": 0}},
	})
	require.Equal(t, http.StatusOK, received.Status, received.Raw)
	require.Eventually(t, func() bool { return len(refunds(s, id)) > refunded }, 15*time.Second, 50*time.Millisecond)
}

// chargesOfOthers checks that the api refuses amounts and other customers from customers and operators, and that it
// names the field at fault to a shop.
func chargesOfOthers(t *testing.T, s *platform.Platform) {
	product := s.Product(5)
	euros := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "EUR"} }
	line := func(more ...any) map[string]any {
		out := map[string]any{"product_id": product, "quantity": 1}
		for i := 0; i+1 < len(more); i += 2 {
			out[more[i].(string)] = more[i+1]
		}
		return out
	}
	order := func(of map[string]any, more ...any) map[string]any {
		out := map[string]any{"lines": []map[string]any{of}}
		for i := 0; i+1 < len(more); i += 2 {
			out[more[i].(string)] = more[i+1]
		}
		return out
	}

	for field, body := range map[string]map[string]any{
		"customer_id":       order(line(), "customer_id", "bob"),
		"discount":          order(line(), "discount", euros(1)),
		"shipping":          order(line(), "shipping", euros(1)),
		"lines[0].discount": order(line("discount", euros(1))),
		"lines[0].tax":      order(line("tax", euros(1))),
	} {
		for _, subject := range []string{"alice", platform.Operator} {
			a := s.Do(subject, http.MethodPost, "/api/orders", body)
			require.Equal(t, http.StatusForbidden, a.Status, "%s: %s", field, a.Raw)
			require.Equal(t, field, a.Str("field"), a.Raw)
		}
	}

	price := platform.Price.Minor
	for _, bad := range []struct {
		field string
		body  map[string]any
	}{
		{"customer_id", order(line())},
		{"customer_id", order(line(), "customer_id", "system")},
		{"discount.currency", order(line(), "customer_id", "alice", "discount", money.Amount{Minor: 1, Currency: "JPY"})},
		{"lines[0].tax.currency", order(line("tax", money.Amount{Minor: 1, Currency: "JPY"}), "customer_id", "alice")},
		{"discount", order(line(), "customer_id", "alice", "discount", euros(price+1))},
		{"discount", order(line("discount", euros(price)), "customer_id", "alice", "discount", euros(1))},
		{"lines[0].discount", order(line("discount", euros(price+1)), "customer_id", "alice")},
		{"shipping", order(line(), "customer_id", "alice", "shipping", euros(1<<63-1))},
		{"shipping.amount_minor", order(line(), "customer_id", "alice", "shipping", euros(-1))},
	} {
		a := s.Do(platform.Shop, http.MethodPost, "/api/orders", bad.body)
		require.Contains(t, []string{"invalid_input", "amount_too_large"}, a.Str("code"), "%s: %s", bad.field, a.Raw)
		require.Equal(t, bad.field, a.Str("field"), a.Raw)
	}

	all := s.Do(platform.Shop, http.MethodGet, "/api/orders", nil)
	require.Equal(t, "customer_id", all.Str("field"), "a shop names the customer: %s", all.Raw)
	free := s.Place(platform.Shop, http.StatusCreated, order(line("discount", euros(price)), "customer_id", "alice"))
	require.Zero(t, minor(free.Body, "total"))
	require.Equal(t, http.StatusOK, s.Pay("alice", free.Str("order_id"), "pm_ok").Status)
	foreign := s.Do(platform.Shop, http.MethodPost, "/api/products", map[string]any{})
	require.Equal(t, http.StatusForbidden, foreign.Status, foreign.Raw)
	key := uuid.NewString()
	again := order(line(), "customer_id", "alice")
	first := s.Place(platform.Shop, http.StatusCreated, again, "Idempotency-Key", key)
	other := order(line(), "customer_id", "bob")
	second := s.Do(platform.Shop, http.MethodPost, "/api/orders", other, "Idempotency-Key", key)
	require.Equal(t, "idempotency_key_reused", second.Str("code"), second.Raw)
	require.Equal(t, http.StatusOK, s.Act("alice", first.Str("order_id"), "cancel", nil).Status)
	require.Equal(t, http.StatusOK, s.Act("alice", free.Str("order_id"), "cancel", nil).Status)
}
