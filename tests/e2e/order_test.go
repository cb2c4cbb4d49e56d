package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/payment"
	"holdfast/tests/platform"
)

// TestOrders shares one platform between the cases that do not change it for other cases.
func TestOrders(t *testing.T) {
	s := platform.Start(t)
	for name, test := range map[string]func(*testing.T, *platform.Platform){
		"reserved, paid, confirmed":            happyPath,
		"paid at once":                         paidAtOnce,
		"more than there is is refused":        outOfStock,
		"a declined card takes nothing":        declined,
		"the third decline ends the order":     declinedThrice,
		"an unpaid order expires":              expires,
		"one key is one order":                 idempotency,
		"the last unit goes to one":            lastUnit,
		"another customer's order is not seen": ownership,
		"bad input is named":                   badInput,
		"the catalogue pages":                  catalogue,
		"a cancelled order holds nothing":      cancels,
		"an extended order lives longer":       extends,
		"an order gets other lines":            changesLines,
		"two changes at once":                  changesLinesTwiceAtOnce,
		"twenty changes and a payment":         changesLinesAtOnce,
		"a paid order is delivered":            fulfils,
		"carriers report":                      carriersReport,
		"goods come back":                      returnsGoods,
		"a shop sets what the order costs":     charges,
		"only a shop sets what it costs":       chargesOfOthers,
		"missing units come from elsewhere":    picksShort,
		"a lost parcel":                        losesParcels,
		"a paid order is cancelled":            cancelsPaid,
		"a held order is not shipped":          holdsOrders,
		"a large order is reviewed":            reviews,
		"orders are listed":                    lists,
		"every timeline entry is complete":     timeline,
		"a reservation without an order":       reservationFromOutside,
		"whose reservation it is":              reservationOwnership,
		"ten holds come back":                  tenHolds,
		"a terminated order is taken up":       terminated,
		"a deleted order is stopped":           deleted,
		"a terminated reservation":             terminatedReservation,
		"a deleted reservation":                deletedReservation,
		"the catalogue is administered":        administers,
		"the operators' commands":              operatorCommands,
		"the commands of the README":           readmeCommands,
		"the commands for orders":              orderCommands,
		"the requests of the quick reference":  quickReferenceCommands,
		"the requests of the guides":           stockCommands,
		"a namespace is prepared":              prepares,
		"a namespace of others is refused":     preparesNothingElse,
		"histories are replayed":               replayCommand,
		"histories that are not replayed":      replayCommandFails,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s.For(t))
		})
	}
}

func happyPath(t *testing.T, s *platform.Platform) {
	product := s.Product(10)
	placed := s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(product, 3))
	require.Equal(t, http.StatusCreated, placed.Status, placed.Raw)
	require.Equal(t, "reserved", placed.Str("status"))
	require.Equal(t, "/api/orders/"+placed.Str("order_id"), placed.Header.Get("Location"))
	require.NotEmpty(t, placed.Header.Get("X-Correlation-Id"))
	available, reserved, total := s.Available(product)
	require.Equal(t, []int64{7, 3, 10}, []int64{available, reserved, total})

	method := map[string]string{"payment_method": "pm_ok"}
	paid := s.Do("alice", http.MethodPost, "/api/orders/"+placed.Str("order_id")+"/pay", method)
	require.Equal(t, http.StatusOK, paid.Status, paid.Raw)
	require.Equal(t, "confirmed", paid.Str("status"))
	available, reserved, total = s.Available(product)
	require.Equal(t, []int64{7, 0, 7}, []int64{available, reserved, total})

	charge, err := s.Charge(placed.Str("order_id"), 1)
	require.NoError(t, err)
	require.Equal(t, payment.Captured, charge.State)
	require.EqualValues(t, 3*1250, charge.CapturedMinor)
	require.Equal(t, []string{"reserved", "payment_started", "paid", "confirmed"},
		s.Events("alice", placed.Str("order_id")))

	again := s.Do("alice", http.MethodPost, "/api/orders/"+placed.Str("order_id")+"/pay", method)
	require.Equal(t, http.StatusConflict, again.Status, again.Raw)
	require.Equal(t, "invalid_state", again.Str("code"))
}

func paidAtOnce(t *testing.T, s *platform.Platform) {
	body := platform.OneLine(s.Product(5), 1, "payment_method", "pm_ok")
	placed := s.Do("alice", http.MethodPost, "/api/orders", body)
	require.Equal(t, http.StatusCreated, placed.Status, placed.Raw)
	s.Await("alice", placed.Str("order_id"), "confirmed", 10*time.Second)
}

func outOfStock(t *testing.T, s *platform.Platform) {
	product, plenty := s.Product(2), s.Product(50)
	body := map[string]any{"lines": []map[string]any{
		{"product_id": plenty, "quantity": 1},
		{"product_id": product, "quantity": 2},
		{"product_id": product, "quantity": 1},
	}}
	key := uuid.NewString()

	for range 2 { // the second request gets the first one's answer
		refused := s.Do("alice", http.MethodPost, "/api/orders", body, "Idempotency-Key", key)
		require.Equal(t, http.StatusConflict, refused.Status, refused.Raw)
		require.Equal(t, "out_of_stock", refused.Str("code"))
		require.Equal(t, "application/problem+json", refused.Header.Get("Content-Type"))
		line := refused.Body["lines"].([]any)[0].(map[string]any)
		require.Equal(t, product.String(), line["product_id"])
		require.EqualValues(t, 3, line["requested"], "the same product on two lines is summed")
		require.EqualValues(t, 2, line["available"])
		require.Equal(t, []string{"rejected"}, s.Events("alice", refused.Str("order_id")))
	}
	for _, p := range []uuid.UUID{product, plenty} {
		_, reserved, _ := s.Available(p)
		require.Zero(t, reserved)
	}
}

func declined(t *testing.T, s *platform.Platform) {
	product := s.Product(5)
	id := s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(product, 2)).Str("order_id")
	refused := s.Do("alice", http.MethodPost, "/api/orders/"+id+"/pay", map[string]string{"payment_method": "pm_declined"})
	require.Equal(t, http.StatusPaymentRequired, refused.Status, refused.Raw)
	require.Equal(t, "payment_declined", refused.Str("code"))
	require.Equal(t, "reserved", refused.Str("current_status"))
	charge, err := s.Charge(id, 1)
	require.NoError(t, err)
	require.Zero(t, charge.CapturedMinor)

	// The same key with another card is another request; under a new key the customer tries it.
	again := s.Pay("alice", id, "pm_declined", "Idempotency-Key", "first")
	require.Equal(t, http.StatusPaymentRequired, again.Status, again.Raw)
	reused := s.Pay("alice", id, "pm_ok", "Idempotency-Key", "first")
	require.Equal(t, http.StatusUnprocessableEntity, reused.Status, reused.Raw)
	require.Equal(t, "idempotency_key_reused", reused.Str("code"))
	paid := s.Do("alice", http.MethodPost, "/api/orders/"+id+"/pay", map[string]string{"payment_method": "pm_ok"})
	require.Equal(t, http.StatusOK, paid.Status, paid.Raw)
}

func declinedThrice(t *testing.T, s *platform.Platform) {
	product := s.Product(5)
	id := s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(product, 2)).Str("order_id")
	for range 3 {
		refused := s.Pay("alice", id, "pm_declined")
		require.Equal(t, http.StatusPaymentRequired, refused.Status, refused.Raw)
	}
	s.Await("alice", id, "failed", 5*time.Second)
	available, reserved, _ := s.Available(product)
	require.Equal(t, []int64{5, 0}, []int64{available, reserved})
	late := s.Pay("alice", id, "pm_ok")
	require.Equal(t, http.StatusConflict, late.Status, late.Raw)
}

func expires(t *testing.T, s *platform.Platform) {
	product := s.Product(10)
	placed := s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(product, 10, "ttl_seconds", 2))
	require.Equal(t, http.StatusCreated, placed.Status, placed.Raw)
	deadline, err := time.Parse(time.RFC3339Nano, placed.Str("expires_at"))
	require.NoError(t, err)

	expired := s.Await("alice", placed.Str("order_id"), "expired", time.Until(deadline)+10*time.Second)
	at, err := time.Parse(time.RFC3339Nano, expired.Str("updated_at"))
	require.NoError(t, err)
	require.WithinDuration(t, deadline, at, time.Second)
	require.False(t, at.Before(deadline), "never before its deadline")
	available, reserved, _ := s.Available(product)
	require.Equal(t, []int64{10, 0}, []int64{available, reserved})

	late := s.Pay("alice", placed.Str("order_id"), "pm_ok")
	require.Equal(t, http.StatusGone, late.Status, late.Raw)
	require.Equal(t, "order_expired", late.Str("code"))
	_, err = s.Charge(placed.Str("order_id"), 1)
	require.ErrorIs(t, err, payment.ErrUnknown, "the provider got no request")
}

func idempotency(t *testing.T, s *platform.Platform) {
	product, key := s.Product(500), uuid.NewString()
	answers := make([]platform.Answer, 100)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			body := platform.OneLine(product, 2)
			answers[i] = s.Do("alice", http.MethodPost, "/api/orders", body, "Idempotency-Key", key)
		})
	}
	wg.Wait()

	id := answers[0].Str("order_id")
	for _, a := range answers {
		require.Equal(t, http.StatusCreated, a.Status, a.Raw)
		require.Equal(t, id, a.Str("order_id"))
	}
	_, reserved, _ := s.Available(product)
	require.EqualValues(t, 2, reserved, "one reservation")

	other := s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(product, 3), "Idempotency-Key", key)
	require.Equal(t, http.StatusUnprocessableEntity, other.Status, other.Raw)
	require.Equal(t, "idempotency_key_reused", other.Str("code"))
	bob := s.Do("bob", http.MethodPost, "/api/orders", platform.OneLine(product, 2), "Idempotency-Key", key)
	require.Equal(t, http.StatusCreated, bob.Status, bob.Raw)
	require.NotEqual(t, id, bob.Str("order_id"))
}

func lastUnit(t *testing.T, s *platform.Platform) {
	product := s.Product(1)
	statuses := make([]int, 20)
	var wg sync.WaitGroup
	for i := range statuses {
		wg.Go(func() {
			statuses[i] = s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(product, 1)).Status
		})
	}
	wg.Wait()

	won := 0
	for _, status := range statuses {
		if status == http.StatusCreated {
			won++
			continue
		}
		require.Equal(t, http.StatusConflict, status)
	}
	require.Equal(t, 1, won)
}

func ownership(t *testing.T, s *platform.Platform) {
	id := s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(s.Product(1), 1)).Str("order_id")
	for _, path := range []string{"/api/orders/" + id, "/api/orders/" + id + "/timeline"} {
		require.Equal(t, http.StatusNotFound, s.Do("mallory", http.MethodGet, path, nil).Status)
		require.Equal(t, http.StatusUnauthorized, s.Do("", http.MethodGet, path, nil).Status)
		require.Equal(t, http.StatusOK, s.Do("alice", http.MethodGet, path, nil).Status)
	}
	pay := s.Do("mallory", http.MethodPost, "/api/orders/"+id+"/pay", map[string]string{"payment_method": "pm_ok"})
	require.Equal(t, http.StatusNotFound, pay.Status)
	unsigned := "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9."
	forged := s.Do("", http.MethodGet, "/api/orders/"+id, nil, "Authorization", unsigned)
	require.Equal(t, http.StatusUnauthorized, forged.Status)
}

func catalogue(t *testing.T, s *platform.Platform) {
	for range 3 {
		s.Product(1)
	}
	seen, cursor := map[string]bool{}, ""
	for {
		page := s.Do("alice", http.MethodGet, "/api/products?limit=2&cursor="+url.QueryEscape(cursor), nil)
		require.Equal(t, http.StatusOK, page.Status, page.Raw)
		for _, p := range page.Body["items"].([]any) {
			id := p.(map[string]any)["product_id"].(string)
			require.False(t, seen[id], "a product is listed twice")
			seen[id] = true
		}
		if cursor = page.Str("next_cursor"); cursor == "" {
			break
		}
	}
	require.GreaterOrEqual(t, len(seen), 3)

	docs := s.Do("", http.MethodGet, "/docs/openapi.yaml", nil)
	require.Equal(t, http.StatusOK, docs.Status)
	require.True(t, strings.HasPrefix(docs.Raw, "openapi: 3"))
	require.Contains(t, s.Do("", http.MethodGet, "/docs/", nil).Raw, "swagger-ui")
}

// TestWorkerKilledBetweenReserveAndConfirm stops the worker in the very moment in which it asks for the
// confirmation, as kill -9 does, and starts another.
func TestWorkerKilledBetweenReserveAndConfirm(t *testing.T) {
	s := platform.StartWithFaults(t)
	confirming := s.Faults.Inventory.Hold(func(r *http.Request) bool {
		return strings.Contains(r.URL.Path, "/confirm/")
	}, 1)
	product := s.Product(5)
	placed := s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(product, 2, "payment_method", "pm_ok"))
	require.Equal(t, http.StatusCreated, placed.Status, placed.Raw)
	select {
	case <-confirming.Reached():
	case <-time.After(30 * time.Second):
		t.Fatal("the worker never asked for the confirmation")
	}

	s.Process("worker").Kill()
	confirming.Release()
	s.Start("worker")

	s.Await("alice", placed.Str("order_id"), "confirmed", time.Minute)
	available, reserved, total := s.Available(product)
	require.Equal(t, []int64{3, 0, 3}, []int64{available, reserved, total}, "stock taken once")
	charge, err := s.Charge(placed.Str("order_id"), 1)
	require.NoError(t, err)
	require.EqualValues(t, 2*1250, charge.CapturedMinor, "money taken once")
	_, err = s.Charge(placed.Str("order_id"), 2)
	require.ErrorIs(t, err, payment.ErrUnknown)
	require.Equal(t, []string{"reserved", "payment_started", "paid", "confirmed"},
		s.Events("alice", placed.Str("order_id")))
}
