package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
	"holdfast/inventory/inventoryapi"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

// TestCreateReservation checks the answer to each outcome of a reservation's workflow.
func TestCreateReservation(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	short := []orderflow.ShortLine{{ProductID: uuid.New(), Requested: 2, Available: 1}}
	for _, c := range []struct {
		name   string
		view   orderflow.ReservationView // the request's hash and time are filled in
		err    error
		held   inventoryapi.Status // as inventory has it afterwards; "" means not at all
		repeat bool                // an earlier request started the workflow
		lost   bool                // no workflow runs
		again  bool                // another run is started
		wants  answer
	}{
		{
			name:  "reserved",
			view:  orderflow.ReservationView{Status: orderflow.ReservationPending},
			held:  inventoryapi.StatusPending,
			wants: answer{201, "", `"status":"pending"`},
		},
		{
			name:   "reserved by an earlier request",
			view:   orderflow.ReservationView{Status: orderflow.ReservationPending},
			held:   inventoryapi.StatusPending,
			repeat: true,
			wants:  answer{201, "", `"status":"pending"`},
		},
		{
			name:   "reserved by an earlier request, whose workflow is gone",
			view:   orderflow.ReservationView{Status: orderflow.ReservationPending},
			held:   inventoryapi.StatusPending,
			repeat: true,
			lost:   true,
			again:  true,
			wants:  answer{201, "", `"status":"pending"`},
		},
		{
			name:  "the workflow was terminated",
			err:   orderclient.ErrEnded,
			held:  inventoryapi.StatusPending,
			again: true,
			wants: answer{201, "", `"status":"pending"`},
		},
		{
			name:  "expired since the workflow answered",
			view:  orderflow.ReservationView{Status: orderflow.ReservationPending},
			held:  inventoryapi.StatusExpired,
			wants: answer{410, "reservation_expired", "new order_id"},
		},
		{
			name:  "released before",
			view:  orderflow.ReservationView{Status: orderflow.ReservationReleased},
			wants: answer{409, "already_resolved", "released"},
		},
		{
			name: "short",
			view: orderflow.ReservationView{
				Refusal: &orderflow.Refusal{Code: orderflow.ErrOutOfStock}, Short: short,
			},
			wants: answer{409, "out_of_stock", "nothing is reserved"},
		},
		{
			name:  "another request has the order_id",
			view:  orderflow.ReservationView{RequestHash: "another"},
			wants: answer{422, "idempotency_key_reused", "order_id"},
		},
		{
			name:  "not known",
			err:   errOpen,
			wants: answer{503, "inventory_unavailable", "same request again"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.with(t)
			answers := func(in orderflow.ReservationStart) (orderflow.ReservationView, error) {
				view := c.view
				if view.RequestHash == "" {
					view.RequestHash = in.RequestHash
				}
				view.PlacedAt = in.PlacedAt
				if c.repeat {
					view.PlacedAt = in.PlacedAt.Add(-time.Second)
				}
				if c.held != "" {
					s.stock.hold(in.ReservationID, c.held)
				}
				return view, c.err
			}
			again := false
			s.workflows.reserve = answers
			s.workflows.running = !c.lost
			s.workflows.reserveAgain = func(in orderflow.ReservationStart) (orderflow.ReservationView, error) {
				again = true
				return orderflow.ReservationView{
					RequestHash: in.RequestHash, PlacedAt: in.PlacedAt, Status: orderflow.ReservationPending,
				}, nil
			}

			body := `{"order_id":"` + uuid.NewString() + `","product_id":"` + uuid.NewString() + `","quantity":2}`
			s.expect(auth.Customer, http.MethodPost, "/api/inventory/reserve", body, c.wants)
			require.Equal(t, c.again, again)
		})
	}
}

// TestResolveReservation checks the answer to each outcome of a release, a confirmation and an extension. The status
// in inventory decides it.
func TestResolveReservation(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	for _, c := range []struct {
		name   string
		method string
		path   string              // below /api/inventory, with the reservation's id
		held   inventoryapi.Status // as inventory has it afterwards; "" means not at all
		err    error
		wants  answer
	}{
		{"released", "DELETE", "/reserve/%s", inventoryapi.StatusReleased, nil, answer{200, "", `"quantity_released":2`}},
		{
			"released before, and ended", "DELETE", "/reserve/%s", inventoryapi.StatusReleased, orderclient.ErrEnded,
			answer{200, "", `"quantity_released":2`},
		},
		{
			"too late", "DELETE", "/reserve/%s", inventoryapi.StatusExpired, orderclient.ErrEnded,
			answer{410, "reservation_expired", ""},
		},
		{
			"stopped by an operator", "DELETE", "/reserve/%s", inventoryapi.StatusPending, orderclient.ErrEnded,
			answer{409, "reservation_stopped", "same order_id"},
		},
		{
			"under way", "DELETE", "/reserve/%s", inventoryapi.StatusPending, orderclient.ErrUnderWay,
			answer{503, "inventory_unavailable", "same request again"},
		},
		{"not known", "DELETE", "/reserve/%s", inventoryapi.StatusPending, errOpen, answer{503, "inventory_unavailable", ""}},
		{"inventory has no such reservation", "DELETE", "/reserve/%s", "", nil, answer{404, "reservation_not_found", ""}},
		{"confirmed", "POST", "/confirm/%s", inventoryapi.StatusConfirmed, nil, answer{200, "", `"quantity_confirmed":2`}},
		{
			"confirmed after a release", "POST", "/confirm/%s", inventoryapi.StatusReleased, orderclient.ErrEnded,
			answer{409, "already_resolved", "released"},
		},
		{"extended", "POST", "/reserve/%s/extend", inventoryapi.StatusPending, nil, answer{200, "", `"status":"pending"`}},
		{
			"extended too often", "POST", "/reserve/%s/extend", inventoryapi.StatusPending,
			refusedAs(orderflow.ErrTooManyExtensions),
			answer{409, "too_many_extensions", "the workflow's words"},
		},
		{
			"extended for too long", "POST", "/reserve/%s/extend", inventoryapi.StatusPending,
			refusedAs(orderflow.ErrInvalidDuration),
			answer{422, "invalid_duration", "ttl_seconds"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.with(t)
			id := s.reservation(c.held)
			s.workflows.resolve = func(asked uuid.UUID, _ string) error {
				require.Equal(t, id, asked)
				return c.err
			}
			body := ""
			if strings.HasSuffix(c.path, "/extend") {
				body = `{"ttl_seconds":60}`
			}
			s.expect(auth.Operator, c.method, fmt.Sprintf("/api/inventory"+c.path, id), body, c.wants)
		})
	}

	t.Run("a customer does not confirm", func(t *testing.T) {
		id := s.reservation(inventoryapi.StatusPending)
		s.with(t).expect(auth.Customer, "POST", "/api/inventory/confirm/"+id.String(), "",
			answer{403, "forbidden", "operators"})
	})
}

// reservation makes a reservation by a request, and returns its id. Inventory then holds it in the status.
func (s catalogueServer) reservation(status inventoryapi.Status) uuid.UUID {
	s.t.Helper()
	var id uuid.UUID
	s.workflows.reserve = func(in orderflow.ReservationStart) (orderflow.ReservationView, error) {
		id = in.ReservationID
		s.stock.hold(id, inventoryapi.StatusPending)
		return orderflow.ReservationView{
			RequestHash: in.RequestHash, PlacedAt: in.PlacedAt, Status: orderflow.ReservationPending,
		}, nil
	}
	body := `{"order_id":"` + uuid.NewString() + `","product_id":"` + uuid.NewString() + `","quantity":2}`
	res, raw := s.send(auth.Customer, http.MethodPost, "/api/inventory/reserve", body)
	require.Equal(s.t, http.StatusCreated, res.StatusCode, raw)

	s.stock.mu.Lock()
	delete(s.stock.held, id)
	s.stock.mu.Unlock()
	if status != "" {
		s.stock.hold(id, status)
	}
	return id
}
