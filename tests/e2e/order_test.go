package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/payment"
)

// TestOrders shares one platform between the cases that leave it as it is.
func TestOrders(t *testing.T) {
	s := startStack(t, nil)
	for name, test := range map[string]func(*testing.T, *stack){
		"reserved, paid, confirmed":         happyPath,
		"paid at once":                      paidAtOnce,
		"more than there is is refused":     outOfStock,
		"a declined card takes nothing":     declined,
		"the third decline ends the order":  declinedThrice,
		"an unpaid order expires":           expires,
		"one key is one order":              idempotency,
		"the last unit goes to one":         lastUnit,
		"somebody else's order is not seen": ownership,
		"bad input is named":                badInput,
		"the catalogue pages":               catalogue,
		"a cancelled order holds nothing":   cancels,
		"an extended order lives longer":    extends,
		"orders are listed":                 lists,
		"every timeline entry is complete":  timeline,
		"a reservation from outside":        reservationFromOutside,
		"whose reservation it is":           reservationOwnership,
		"ten holds come back":               tenHolds,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := *s
			own.t = t
			test(t, &own)
		})
	}
}

func happyPath(t *testing.T, s *stack) {
	product := s.product(10)
	placed := s.do("alice", http.MethodPost, "/api/orders", oneLine(product, 3))
	require.Equal(t, http.StatusCreated, placed.Status, placed.Raw)
	require.Equal(t, "reserved", placed.str("status"))
	require.Equal(t, "/api/orders/"+placed.str("order_id"), placed.Header.Get("Location"))
	require.NotEmpty(t, placed.Header.Get("X-Correlation-Id"))
	available, reserved, total := s.available(product)
	require.Equal(t, []int64{7, 3, 10}, []int64{available, reserved, total})

	paid := s.do("alice", http.MethodPost, "/api/orders/"+placed.str("order_id")+"/pay", map[string]string{"payment_method": "pm_ok"})
	require.Equal(t, http.StatusOK, paid.Status, paid.Raw)
	require.Equal(t, "confirmed", paid.str("status"))
	available, reserved, total = s.available(product)
	require.Equal(t, []int64{7, 0, 7}, []int64{available, reserved, total})
	charge, err := s.charge(placed.str("order_id"), 1)
	require.NoError(t, err)
	require.Equal(t, payment.Captured, charge.State)
	require.EqualValues(t, 3*1250, charge.CapturedMinor)
	require.Equal(t, []string{"reserved", "payment_started", "paid", "confirmed"}, s.events("alice", placed.str("order_id")))

	again := s.do("alice", http.MethodPost, "/api/orders/"+placed.str("order_id")+"/pay", map[string]string{"payment_method": "pm_ok"})
	require.Equal(t, http.StatusConflict, again.Status, again.Raw)
	require.Equal(t, "invalid_state", again.str("code"))
}

func paidAtOnce(t *testing.T, s *stack) {
	placed := s.do("alice", http.MethodPost, "/api/orders", oneLine(s.product(5), 1, "payment_method", "pm_ok"))
	require.Equal(t, http.StatusCreated, placed.Status, placed.Raw)
	s.await("alice", placed.str("order_id"), "confirmed", 10*time.Second)
}

func outOfStock(t *testing.T, s *stack) {
	product, plenty := s.product(2), s.product(50)
	body := map[string]any{"lines": []map[string]any{{"product_id": plenty, "quantity": 1}, {"product_id": product, "quantity": 2}, {"product_id": product, "quantity": 1}}}
	key := uuid.NewString()
	for range 2 { // final under its key
		refused := s.do("alice", http.MethodPost, "/api/orders", body, "Idempotency-Key", key)
		require.Equal(t, http.StatusConflict, refused.Status, refused.Raw)
		require.Equal(t, "out_of_stock", refused.str("code"))
		require.Equal(t, "application/problem+json", refused.Header.Get("Content-Type"))
		line := refused.Body["lines"].([]any)[0].(map[string]any)
		require.Equal(t, product.String(), line["product_id"])
		require.EqualValues(t, 3, line["requested"], "the same product on two lines is summed")
		require.EqualValues(t, 2, line["available"])
		require.Equal(t, []string{"rejected"}, s.events("alice", refused.str("order_id")))
	}
	for _, p := range []uuid.UUID{product, plenty} {
		_, reserved, _ := s.available(p)
		require.Zero(t, reserved)
	}
}

func declined(t *testing.T, s *stack) {
	product := s.product(5)
	id := s.do("alice", http.MethodPost, "/api/orders", oneLine(product, 2)).str("order_id")
	refused := s.do("alice", http.MethodPost, "/api/orders/"+id+"/pay", map[string]string{"payment_method": "pm_declined"})
	require.Equal(t, http.StatusPaymentRequired, refused.Status, refused.Raw)
	require.Equal(t, "payment_declined", refused.str("code"))
	require.Equal(t, "reserved", refused.str("current_status"))
	charge, err := s.charge(id, 1)
	require.NoError(t, err)
	require.Zero(t, charge.CapturedMinor)
	// The customer tries another card.
	paid := s.do("alice", http.MethodPost, "/api/orders/"+id+"/pay", map[string]string{"payment_method": "pm_ok"})
	require.Equal(t, http.StatusOK, paid.Status, paid.Raw)
}

func declinedThrice(t *testing.T, s *stack) {
	product := s.product(5)
	id := s.do("alice", http.MethodPost, "/api/orders", oneLine(product, 2)).str("order_id")
	for range 3 {
		refused := s.do("alice", http.MethodPost, "/api/orders/"+id+"/pay", map[string]string{"payment_method": "pm_declined"})
		require.Equal(t, http.StatusPaymentRequired, refused.Status, refused.Raw)
	}
	s.await("alice", id, "failed", 5*time.Second)
	available, reserved, _ := s.available(product)
	require.Equal(t, []int64{5, 0}, []int64{available, reserved})
	late := s.do("alice", http.MethodPost, "/api/orders/"+id+"/pay", map[string]string{"payment_method": "pm_ok"})
	require.Equal(t, http.StatusConflict, late.Status, late.Raw)
}

func expires(t *testing.T, s *stack) {
	product := s.product(10)
	placed := s.do("alice", http.MethodPost, "/api/orders", oneLine(product, 10, "ttl_seconds", 2))
	require.Equal(t, http.StatusCreated, placed.Status, placed.Raw)
	deadline, err := time.Parse(time.RFC3339Nano, placed.str("expires_at"))
	require.NoError(t, err)
	expired := s.await("alice", placed.str("order_id"), "expired", time.Until(deadline)+10*time.Second)
	at, err := time.Parse(time.RFC3339Nano, expired.str("updated_at"))
	require.NoError(t, err)
	require.WithinDuration(t, deadline, at, time.Second)
	require.False(t, at.Before(deadline), "never before its deadline")
	available, reserved, _ := s.available(product)
	require.Equal(t, []int64{10, 0}, []int64{available, reserved})
	late := s.do("alice", http.MethodPost, "/api/orders/"+placed.str("order_id")+"/pay", map[string]string{"payment_method": "pm_ok"})
	require.Equal(t, http.StatusGone, late.Status, late.Raw)
	require.Equal(t, "order_expired", late.str("code"))
	_, err = s.charge(placed.str("order_id"), 1)
	require.ErrorIs(t, err, payment.ErrUnknown, "nothing was asked of the provider")
}

func idempotency(t *testing.T, s *stack) {
	product, key := s.product(500), uuid.NewString()
	answers := make([]answer, 100)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			answers[i] = s.do("alice", http.MethodPost, "/api/orders", oneLine(product, 2), "Idempotency-Key", key)
		})
	}
	wg.Wait()
	id := answers[0].str("order_id")
	for _, a := range answers {
		require.Equal(t, http.StatusCreated, a.Status, a.Raw)
		require.Equal(t, id, a.str("order_id"))
	}
	_, reserved, _ := s.available(product)
	require.EqualValues(t, 2, reserved, "one reservation")

	other := s.do("alice", http.MethodPost, "/api/orders", oneLine(product, 3), "Idempotency-Key", key)
	require.Equal(t, http.StatusUnprocessableEntity, other.Status, other.Raw)
	require.Equal(t, "idempotency_key_reused", other.str("code"))
	bob := s.do("bob", http.MethodPost, "/api/orders", oneLine(product, 2), "Idempotency-Key", key)
	require.Equal(t, http.StatusCreated, bob.Status, bob.Raw)
	require.NotEqual(t, id, bob.str("order_id"))
}

func lastUnit(t *testing.T, s *stack) {
	product := s.product(1)
	statuses := make([]int, 20)
	var wg sync.WaitGroup
	for i := range statuses {
		wg.Go(func() {
			statuses[i] = s.do("alice", http.MethodPost, "/api/orders", oneLine(product, 1)).Status
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

func ownership(t *testing.T, s *stack) {
	id := s.do("alice", http.MethodPost, "/api/orders", oneLine(s.product(1), 1)).str("order_id")
	for _, path := range []string{"/api/orders/" + id, "/api/orders/" + id + "/timeline"} {
		require.Equal(t, http.StatusNotFound, s.do("mallory", http.MethodGet, path, nil).Status)
		require.Equal(t, http.StatusUnauthorized, s.do("", http.MethodGet, path, nil).Status)
		require.Equal(t, http.StatusOK, s.do("alice", http.MethodGet, path, nil).Status)
	}
	pay := s.do("mallory", http.MethodPost, "/api/orders/"+id+"/pay", map[string]string{"payment_method": "pm_ok"})
	require.Equal(t, http.StatusNotFound, pay.Status)
	forged := s.do("", http.MethodGet, "/api/orders/"+id, nil, "Authorization", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.")
	require.Equal(t, http.StatusUnauthorized, forged.Status)
}

func catalogue(t *testing.T, s *stack) {
	for range 3 {
		s.product(1)
	}
	seen, cursor := map[string]bool{}, ""
	for {
		page := s.do("alice", http.MethodGet, "/api/products?limit=2&cursor="+url.QueryEscape(cursor), nil)
		require.Equal(t, http.StatusOK, page.Status, page.Raw)
		for _, p := range page.Body["items"].([]any) {
			id := p.(map[string]any)["product_id"].(string)
			require.False(t, seen[id], "a product is listed twice")
			seen[id] = true
		}
		if cursor = page.str("next_cursor"); cursor == "" {
			break
		}
	}
	require.GreaterOrEqual(t, len(seen), 3)
	docs := s.do("", http.MethodGet, "/docs/openapi.yaml", nil)
	require.Equal(t, http.StatusOK, docs.Status)
	require.True(t, strings.HasPrefix(docs.Raw, "openapi: 3"))
	require.Contains(t, s.do("", http.MethodGet, "/docs/", nil).Raw, "swagger-ui")
}

// TestWorkerKilledBetweenReserveAndConfirm stops the worker in the very moment in which it asks for the
// confirmation, as kill -9 does, and starts another.
func TestWorkerKilledBetweenReserveAndConfirm(t *testing.T) {
	held, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s := startStack(t, func(target string) string {
		u, err := url.Parse(target)
		require.NoError(t, err)
		proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }, ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }}
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/confirm/") {
				once.Do(func() { close(held); <-release })
			}
			proxy.ServeHTTP(w, r)
		}))
		t.Cleanup(srv.Close)
		return srv.URL
	})
	product := s.product(5)
	placed := s.do("alice", http.MethodPost, "/api/orders", oneLine(product, 2, "payment_method", "pm_ok"))
	require.Equal(t, http.StatusCreated, placed.Status, placed.Raw)
	select {
	case <-held:
	case <-time.After(30 * time.Second):
		t.Fatal("the worker never asked for the confirmation")
	}
	s.worker.kill(t)
	close(release)
	s.worker = s.start("worker")
	s.await("alice", placed.str("order_id"), "confirmed", time.Minute)
	available, reserved, total := s.available(product)
	require.Equal(t, []int64{3, 0, 3}, []int64{available, reserved, total}, "stock taken once")
	charge, err := s.charge(placed.str("order_id"), 1)
	require.NoError(t, err)
	require.EqualValues(t, 2*1250, charge.CapturedMinor, "money taken once")
	_, err = s.charge(placed.str("order_id"), 2)
	require.ErrorIs(t, err, payment.ErrUnknown)
	require.Equal(t, []string{"reserved", "payment_started", "paid", "confirmed"}, s.events("alice", placed.str("order_id")))
}
