package e2e

import (
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/payment"
	"holdfast/tests/platform"
)

func cancels(t *testing.T, s *platform.Platform) {
	product := s.Product(5)
	id := s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(product, 2)).Str("order_id")
	require.Equal(t, http.StatusNotFound, s.Do("mallory", http.MethodPost, "/api/orders/"+id+"/cancel", nil).Status)

	for range 2 { // the second cancellation changes nothing
		done := s.Act("alice", id, "cancel", map[string]string{"reason": "changed my mind"})
		require.Equal(t, http.StatusOK, done.Status, done.Raw)
		require.Equal(t, "cancelled", done.Str("status"))
		require.Equal(t, "changed my mind", done.Str("reason"))
		available, reserved, _ := s.Available(product)
		require.Equal(t, []int64{5, 0}, []int64{available, reserved}, "the stock is back when the answer comes")
	}
	require.Equal(t, []string{"reserved", "stock_released", "cancelled"}, s.Events("alice", id))
	late := s.Do("alice", http.MethodPost, "/api/orders/"+id+"/pay", map[string]string{"payment_method": "pm_ok"})
	require.Equal(t, http.StatusConflict, late.Status, late.Raw)
	require.Equal(t, "invalid_state", late.Str("code"))

	atOnce := platform.OneLine(product, 1, "payment_method", "pm_ok")
	paid := s.Do("alice", http.MethodPost, "/api/orders", atOnce).Str("order_id")
	s.Await("alice", paid, "confirmed", 10*time.Second)
	refunded := s.Do("alice", http.MethodPost, "/api/orders/"+paid+"/cancel", nil)
	require.Equal(t, http.StatusOK, refunded.Status, refunded.Raw)
	require.Equal(t, "cancelled", refunded.Str("status"))
	require.Eventually(t, func() bool { return slices.Contains(s.Events("alice", paid), "payment_refunded") },
		10*time.Second, 50*time.Millisecond, "a paid order that is cancelled is refunded")

	byOperator := s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(product, 1)).Str("order_id")
	require.Equal(t, http.StatusOK, s.Act(platform.Operator, byOperator, "cancel", nil).Status)
	entries := s.Timeline("alice", byOperator)
	require.Equal(t, platform.Operator, entries[len(entries)-1]["actor"])
}

func extends(t *testing.T, s *platform.Platform) {
	product := s.Product(5)
	placed := s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(product, 2, "ttl_seconds", 2))
	id := placed.Str("order_id")
	extended := s.Do("alice", http.MethodPost, "/api/orders/"+id+"/extend", map[string]int{"ttl_seconds": 4})
	require.Equal(t, http.StatusOK, extended.Status, extended.Raw)
	before, after := parse(t, placed.Str("expires_at")), parse(t, extended.Str("expires_at"))
	require.Greater(t, after.Sub(before), time.Second)

	shorter := s.Do("alice", http.MethodPost, "/api/orders/"+id+"/extend", map[string]int{"ttl_seconds": 1})
	require.Equal(t, http.StatusOK, shorter.Status, shorter.Raw)
	require.Equal(t, extended.Str("expires_at"), shorter.Str("expires_at"), "never shortened")

	day := s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(product, 1)).Str("order_id")
	long := s.Act("alice", day, "extend", map[string]int{"ttl_seconds": 86400})
	require.Equal(t, http.StatusOK, long.Status, long.Raw)
	latest := parse(t, long.Str("created_at")).Add(24 * time.Hour)
	require.WithinDuration(t, latest, parse(t, long.Str("expires_at")), time.Second,
		"cut to 24 hours in all")
	longer := s.Act("alice", day, "extend", map[string]int{"ttl_seconds": 86400})
	require.Equal(t, http.StatusUnprocessableEntity, longer.Status, longer.Raw)
	require.Equal(t, "invalid_duration", longer.Str("code"))
	require.Equal(t, "ttl_seconds", longer.Str("field"))
	require.Equal(t, http.StatusOK, s.Act("alice", day, "cancel", nil).Status)

	expired := s.Await("alice", id, "expired", 10*time.Second)
	require.WithinDuration(t, after, parse(t, expired.Str("updated_at")), time.Second)
	late := s.Do("alice", http.MethodPost, "/api/orders/"+id+"/extend", map[string]int{"ttl_seconds": 60})
	require.Equal(t, http.StatusGone, late.Status, late.Raw)
	require.Equal(t, "order_expired", late.Str("code"))
	available, reserved, _ := s.Available(product)
	require.Equal(t, []int64{5, 0}, []int64{available, reserved})
}

func parse(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	require.NoError(t, err)
	return at
}

// ids lists all orders that the query finds, page by page.
func ids(s *platform.Platform, subject, query string) []string {
	s.T.Helper()
	out, cursor := []string{}, ""
	for {
		page := s.Do(subject, http.MethodGet, "/api/orders?limit=2&"+query+"&cursor="+url.QueryEscape(cursor), nil)
		require.Equal(s.T, http.StatusOK, page.Status, page.Raw)
		for _, o := range page.Body["items"].([]any) {
			out = append(out, o.(map[string]any)["order_id"].(string))
		}
		if cursor = page.Str("next_cursor"); cursor == "" {
			return out
		}
	}
}

func lists(t *testing.T, s *platform.Platform) {
	product, carol := s.Product(100), "carol-"+uuid.NewString()
	place := func(who string) string {
		return s.Do(who, http.MethodPost, "/api/orders", platform.OneLine(product, 1)).Str("order_id")
	}
	first, second, third := place(carol), place(carol), place(carol)
	other := place("dave-" + uuid.NewString())
	require.Equal(t, http.StatusOK, s.Do(carol, http.MethodPost, "/api/orders/"+second+"/cancel", nil).Status)

	require.Equal(t, []string{third, second, first}, ids(s, carol, ""), "her own, newest first")
	require.Equal(t, []string{third, first}, ids(s, carol, "status=reserved"))
	require.Equal(t, []string{second}, ids(s, platform.Operator, "status=cancelled,cancelled&customer_id="+carol))
	twice := ids(s, platform.Operator, "status=cancelled,cancelled")
	require.Equal(t, ids(s, platform.Operator, "status=cancelled"), twice,
		"a state that is named twice does not list an order twice")
	require.Equal(t, []string{third, second, first}, ids(s, carol, "status=cancelled,reserved"))
	require.Equal(t, []string{third, second, first}, ids(s, carol, "customer_id="+carol))
	require.Empty(t, ids(s, carol, "since="+url.QueryEscape(time.Now().Add(time.Hour).Format(time.RFC3339))))
	require.Equal(t, []string{third, second, first}, ids(s, platform.Operator, "customer_id="+carol))
	require.Equal(t, []string{second}, ids(s, platform.Operator, "status=cancelled&customer_id="+carol))

	all := ids(s, platform.Operator, "")
	require.Subset(t, all, []string{first, second, third, other})
	reserved := ids(s, platform.Operator, "status=reserved,paying")
	require.Subset(t, reserved, []string{first, third, other})
	require.NotContains(t, reserved, second)
	one := s.Do(carol, http.MethodGet, "/api/orders?limit=1", nil).Body["items"].([]any)[0].(map[string]any)
	require.Equal(t, s.Do(carol, http.MethodGet, "/api/orders/"+third, nil).Body, one, "a listed order is the whole order")
}

// timeline checks that every entry is complete, and the chain of entries against the table of transitions.
func timeline(t *testing.T, s *platform.Platform) {
	id := s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(s.Product(5), 1)).Str("order_id")
	s.Do("alice", http.MethodPost, "/api/orders/"+id+"/extend", map[string]int{"ttl_seconds": 1200})
	s.Do("alice", http.MethodPost, "/api/orders/"+id+"/pay", map[string]string{"payment_method": "pm_declined"})
	s.Do("alice", http.MethodPost, "/api/orders/"+id+"/pay", map[string]string{"payment_method": "pm_ok"})

	entries := s.Timeline("alice", id)
	for _, e := range entries {
		require.NotEmpty(t, e["actor"])
		require.NotEmpty(t, e["at"])
		if e["status"] == "reserved" || e["status"] == "paying" {
			require.NotEmpty(t, e["next_deadline"], "%v", e)
		}
	}
	require.Equal(t, []string{
		"reserved",
		"extended",
		"payment_started",
		"payment_declined",
		"payment_started",
		"paid",
		"confirmed",
	}, s.Events("alice", id))
	require.Equal(t, "card_declined", entries[4]["reason"])
	require.EqualValues(t, 2, entries[5]["attempt"])
}

func reservationFromOutside(t *testing.T, s *platform.Platform) {
	product, theirs := s.Product(10), uuid.NewString()
	body := map[string]any{"order_id": theirs, "product_id": product, "quantity": 3, "ttl_seconds": 600}
	held := s.Do("alice", http.MethodPost, "/api/inventory/reserve", body)
	require.Equal(t, http.StatusCreated, held.Status, held.Raw)
	require.Equal(t, "pending", held.Str("status"))
	require.Equal(t, theirs, held.Str("order_id"))
	line := held.Body["lines"].([]any)[0].(map[string]any)
	require.EqualValues(t, 7, line["remaining_stock"])
	require.EqualValues(t, 3, line["reserved_quantity"])
	id := held.Str("reservation_id")

	again := s.Do("alice", http.MethodPost, "/api/inventory/reserve", map[string]any{
		"order_id":    theirs,
		"ttl_seconds": 600,
		"lines":       []map[string]any{{"product_id": product, "quantity": 3}},
	})
	require.Equal(t, http.StatusCreated, again.Status, again.Raw)
	require.Equal(t, id, again.Str("reservation_id"), "the same request, written the other way, is the same reservation")
	body["quantity"] = 4
	other := s.Do("alice", http.MethodPost, "/api/inventory/reserve", body)
	require.Equal(t, http.StatusUnprocessableEntity, other.Status, other.Raw)
	require.Equal(t, "idempotency_key_reused", other.Str("code"))
	_, reserved, _ := s.Available(product)
	require.EqualValues(t, 3, reserved)

	extended := s.Do("alice", http.MethodPost, "/api/inventory/reserve/"+id+"/extend", map[string]int{"ttl_seconds": 1200})
	require.Equal(t, http.StatusOK, extended.Status, extended.Raw)
	require.Greater(t, parse(t, extended.Str("expires_at")).Sub(parse(t, held.Str("expires_at"))), 9*time.Minute)

	for range 2 {
		released := s.Do("alice", http.MethodDelete, "/api/inventory/reserve/"+id, nil)
		require.Equal(t, http.StatusOK, released.Status, released.Raw)
		require.Equal(t, "released", released.Str("status"))
		require.EqualValues(t, 3, released.Body["quantity_released"])
		require.EqualValues(t, 10, released.Body["available_stock"])
		require.EqualValues(t, 0, released.Body["reserved_stock"])
	}
	over := s.Do("alice", http.MethodPost, "/api/inventory/reserve/"+id+"/extend", map[string]int{"ttl_seconds": 60})
	require.Equal(t, http.StatusConflict, over.Status, over.Raw)
	require.Equal(t, "already_resolved", over.Str("code"))
	body["quantity"] = 3
	back := s.Do("alice", http.MethodPost, "/api/inventory/reserve", body)
	require.Equal(t, http.StatusConflict, back.Status, "a released reservation is not revived: %s", back.Raw)

	// A reserve that was out of stock made no reservation, so the client can try again under the same order id.
	body = map[string]any{"order_id": uuid.NewString(), "product_id": product, "quantity": 11}
	short := s.Do("alice", http.MethodPost, "/api/inventory/reserve", body)
	require.Equal(t, http.StatusConflict, short.Status, short.Raw)
	require.Equal(t, "out_of_stock", short.Str("code"))
	require.EqualValues(t, 10, short.Body["lines"].([]any)[0].(map[string]any)["available"])
	s.Receive(product, 1)
	require.Equal(t, http.StatusCreated, s.Do("alice", http.MethodPost, "/api/inventory/reserve", body).Status)

	// Only operators can take unpaid stock.
	body = map[string]any{"order_id": uuid.NewString(), "product_id": s.Product(5), "quantity": 2}
	id = s.Do("alice", http.MethodPost, "/api/inventory/reserve", body).Str("reservation_id")
	require.Equal(t, http.StatusForbidden, s.Do("alice", http.MethodPost, "/api/inventory/confirm/"+id, nil).Status)
	for range 2 {
		confirmed := s.Do(platform.Operator, http.MethodPost, "/api/inventory/confirm/"+id, nil)
		require.Equal(t, http.StatusOK, confirmed.Status, confirmed.Raw)
		require.EqualValues(t, 2, confirmed.Body["quantity_confirmed"])
		require.EqualValues(t, 3, confirmed.Body["final_stock"])
		require.EqualValues(t, 0, confirmed.Body["reserved_stock"])
	}
	require.Equal(t, http.StatusConflict, s.Do("alice", http.MethodDelete, "/api/inventory/reserve/"+id, nil).Status)
}

func reservationOwnership(t *testing.T, s *platform.Platform) {
	product, theirs := s.Product(10), uuid.NewString()
	body := map[string]any{"order_id": theirs, "product_id": product, "quantity": 1}
	id := s.Do("alice", http.MethodPost, "/api/inventory/reserve", body).Str("reservation_id")
	bobs := s.Do("bob", http.MethodPost, "/api/inventory/reserve", body)
	require.Equal(t, http.StatusCreated, bobs.Status,
		"the same order id of another customer is another reservation: %s", bobs.Raw)
	require.NotEqual(t, id, bobs.Str("reservation_id"))
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		require.Equal(t, http.StatusNotFound, s.Do("bob", method, "/api/inventory/reserve/"+id, nil).Status)
	}
	extend := "/api/inventory/reserve/" + id + "/extend"
	require.Equal(t, http.StatusNotFound,
		s.Do("bob", http.MethodPost, extend, map[string]int{"ttl_seconds": 60}).Status)
	require.Equal(t, http.StatusOK, s.Do("alice", http.MethodGet, "/api/inventory/reserve/"+id, nil).Status)

	placed := s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(product, 1))
	of := placed.Str("reservation_id")
	for _, who := range []string{"alice", platform.Operator} {
		refused := s.Do(who, http.MethodDelete, "/api/inventory/reserve/"+of, nil)
		require.Equal(t, http.StatusConflict, refused.Status, refused.Raw)
		require.Equal(t, "owned_by_order", refused.Str("code"))
		require.Equal(t, placed.Str("order_id"), refused.Str("order_id"))
	}
	require.Equal(t, http.StatusConflict,
		s.Do(platform.Operator, http.MethodPost, "/api/inventory/confirm/"+of, nil).Status)
	require.Equal(t, http.StatusNotFound, s.Do("bob", http.MethodDelete, "/api/inventory/reserve/"+of, nil).Status)
	_, err := s.Charge(placed.Str("order_id"), 1)
	require.ErrorIs(t, err, payment.ErrUnknown)
}

// tenHolds lets ten reservations of one second each expire: ten units come back within two seconds.
func tenHolds(t *testing.T, s *platform.Platform) {
	product := s.Product(10)
	for range 10 {
		held := s.Do("alice", http.MethodPost, "/api/inventory/reserve", map[string]any{
			"order_id":    uuid.NewString(),
			"product_id":  product,
			"quantity":    1,
			"ttl_seconds": 1,
		})
		require.Equal(t, http.StatusCreated, held.Status, held.Raw)
	}
	require.Eventually(t, func() bool {
		available, reserved, _ := s.Available(product)
		return available == 10 && reserved == 0
	}, 2*time.Second, 20*time.Millisecond)
}
