package server

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

// TestCreateOrder checks the answer to each outcome of an order's first step.
func TestCreateOrder(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	product, _ := s.create(`{"sku":"MUG-1","name":"Mug","prices":[{"amount_minor":1490,"currency":"EUR"}]}`)
	body := `{"lines":[{"product_id":"` + product.ProductID.String() + `","quantity":2}]}`

	for _, c := range []struct {
		name  string
		state order.State // as the workflow has recorded it
		err   error
		wants answer
	}{
		{"reserved", order.Reserved, nil, answer{201, "", `"status":"reserved"`}},
		{"pending", order.Pending, nil, answer{202, "", `"status":"pending"`}},
		{"out of stock", order.Rejected, nil, answer{409, "out_of_stock", "nothing is reserved"}},
		{"stopped before it had a row", "", orderclient.ErrEnded, answer{409, "order_stopped", "ask the shop"}},
		{
			"cannot be recorded", "", refusedAs(orderflow.ErrRecordImpossible),
			answer{409, "order_rejected", "under another key"},
		},
		{"not known; from now on orders wait", "", errOpen, answer{202, "", `"position_in_line":`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.with(t)
			s.workflows.place = func(in orderflow.OrderInput) (orderflow.PlaceResult, error) {
				require.EqualValues(t, 2980, in.Total.Minor, "prices come from the catalogue")
				store := orderstore.New(s.pool)
				row, err := store.Get(t.Context(), in.OrderID)
				require.NoError(t, err, "the row comes before the workflow")
				require.True(t, row.Waits())
				if c.err == nil { // as the workflow's record does; the next order would wait behind this one
					require.NoError(t, store.ForgetStart(t.Context(), in.OrderID))
				}

				deadline := time.Now().Add(time.Minute)
				view := orderflow.View{RequestHash: in.RequestHash, Seq: 1, State: c.state, ExpiresAt: &deadline}
				if c.state == order.Rejected {
					view.RefusalCode = orderflow.ErrOutOfStock
				}
				return orderflow.PlaceResult{View: view}, c.err
			}
			s.expect(auth.Customer, http.MethodPost, "/api/orders", body, c.wants,
				"Idempotency-Key", uuid.NewString(), "Prefer", "wait=10") // a slow machine starts slowly
		})
	}
}

// TestOpenOrderLimit: a customer with as many unpaid orders as the shop allows gets no further one, and a repeat of an
// order that was placed is answered with that order.
func TestOpenOrderLimit(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	s.store.LimitOpen(orderstore.OpenLimits{Orders: 1, Units: 100})
	product, _ := s.create(`{"sku":"MUG-1","name":"Mug","prices":[{"amount_minor":1490,"currency":"EUR"}]}`)
	body := `{"lines":[{"product_id":"` + product.ProductID.String() + `","quantity":2}]}`
	accepted, key := answer{202, "", `"status":"pending"`}, uuid.NewString()
	s.workflows.place = func(orderflow.OrderInput) (orderflow.PlaceResult, error) {
		return orderflow.PlaceResult{}, errOpen
	}

	s.expect(auth.Customer, http.MethodPost, "/api/orders", body, accepted, "Idempotency-Key", key)
	s.expect(auth.Customer, http.MethodPost, "/api/orders", body, answer{409, "open_order_limit", "pay or cancel"})
	s.expect(auth.Customer, http.MethodPost, "/api/orders", body, accepted, "Idempotency-Key", key)
}

// TestPreferredWait: a client says how long it waits by the Prefer header, in the forms of RFC 7240.
func TestPreferredWait(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]struct {
		wait    time.Duration
		applied string
	}{
		"":                       {2 * time.Second, ""},
		"respond-async":          {0, "respond-async"},
		"wait=5":                 {5 * time.Second, "wait=5"},
		"Wait=5":                 {5 * time.Second, "wait=5"},
		"wait=0":                 {0, "wait=0"},
		"wait=3600":              {10 * time.Second, "wait=10"},
		"respond-async, wait=1":  {time.Second, "wait=1"},
		"wait=1, respond-async":  {time.Second, "wait=1"},
		"wait=-1":                {2 * time.Second, ""},
		"wait=soon":              {2 * time.Second, ""},
		"return=minimal, wait=1": {time.Second, "wait=1"},
	} {
		recorder := httptest.NewRecorder()
		c, _ := gin.CreateTestContext(recorder)
		require.Equal(t, want.wait, preferredWait(c, header), "%q", header)
		require.Equal(t, want.applied, recorder.Header().Get("Preference-Applied"), "%q", header)
	}
}
