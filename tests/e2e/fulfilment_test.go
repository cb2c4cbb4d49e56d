package e2e

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/promise"
	"holdfast/tests/platform"
)

// paidOrder places and pays an order of one product with stock at two locations, as the tests of the warehouse need it.
func paidOrder(t *testing.T, s *platform.Platform, first, second, quantity int64) (id string, product uuid.UUID) {
	t.Helper()
	product = s.Product(first)
	if second > 0 {
		s.ReceiveAt(product, "second", second)
	}
	placed := s.Place("alice", http.StatusCreated, platform.OneLine(product, int(quantity)))
	id = placed.Str("order_id")
	require.Equal(t, http.StatusOK, s.Pay("alice", id, "pm_ok").Status)
	return id, product
}

// reports sends a report about a shipment as an operator, and returns the order.
func reports(t *testing.T, s *platform.Platform, id string, number int, what string, body any) platform.Answer {
	t.Helper()
	a := s.Act(platform.Operator, id, fmt.Sprintf("shipments/%d/%s", number, what), body)
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	return a
}

// shipments lists "location status" of each shipment of an order.
func shipments(a platform.Answer) []string {
	var out []string
	list, _ := a.Body["shipments"].([]any)
	for _, s := range list {
		fields := s.(map[string]any)
		out = append(out, fmt.Sprint(fields["location"], " ", fields["status"]))
	}
	return out
}

var leaves = map[string]any{"carrier": "dhl", "tracking_number": "T-1"}

// refunds lists the amounts that an order has refunded.
func refunds(s *platform.Platform, id string) []float64 {
	out := []float64{}
	list, _ := s.Do("alice", http.MethodGet, "/api/orders/"+id, nil).Body["payments"].([]any)
	for _, p := range list {
		if fields := p.(map[string]any); fields["step"] == "refund" {
			out = append(out, fields["amount"].(map[string]any)["amount_minor"].(float64))
		}
	}
	return out
}

func awaitRefunds(t *testing.T, s *platform.Platform, id string, want ...float64) {
	t.Helper()
	require.Eventually(t, func() bool { return slices.Equal(refunds(s, id), want) }, 15*time.Second, 50*time.Millisecond,
		"refunds of order %s", id)
}

// promisesDays compares the days for which the shipments of a paid order are promised with the platform's calendar. The
// order is promised for the latest.
func promisesDays(t *testing.T, paid platform.Answer) {
	t.Helper()
	calendar, err := promise.NewCalendar(promise.Config{
		CutOffs:     map[string]string{"*": "12:00", "second": "18:00 America/New_York"},
		CarrierDays: map[string]int{"*": 5},
		Workdays:    []string{"mon", "tue", "wed", "thu", "fri"},
	})
	require.NoError(t, err)
	latest := ""
	for _, x := range paid.Body["shipments"].([]any) {
		shipment := x.(map[string]any)
		day := calendar.Day(shipment["location"].(string), "", parse(t, shipment["planned_at"].(string)))
		require.Equal(t, day, shipment["promised_date"])
		latest = max(latest, day)
	}
	require.Equal(t, latest, paid.Str("promised_date"))
}

// fulfils sees an order that comes from two locations through to its delivery.
func fulfils(t *testing.T, s *platform.Platform) {
	id, product := paidOrder(t, s, 2, 3, 4) // no location has all four
	paid := s.Do("alice", http.MethodGet, "/api/orders/"+id, nil)
	require.ElementsMatch(t, []string{"main planned", "second planned"}, shipments(paid), paid.Raw)

	promisesDays(t, paid)

	refused := s.Act("alice", id, "shipments/1/pack", nil)
	require.Equal(t, http.StatusForbidden, refused.Status, "a customer is not the warehouse: %s", refused.Raw)
	none := s.Act(platform.Operator, id, "shipments/7/pack", nil)
	require.Equal(t, http.StatusNotFound, none.Status, none.Raw)
	require.Equal(t, "shipment_not_found", none.Str("code"))

	list := s.Do(platform.Operator, http.MethodGet, "/api/shipments?location=second", nil)
	require.Equal(t, http.StatusOK, list.Status, list.Raw)
	require.Contains(t, list.Raw, id)
	table := s.Do(platform.Operator, http.MethodGet, "/api/shipments?location=second&limit=200", nil, "Accept", "text/csv")
	require.Contains(t, table.Header.Get("Content-Type"), "text/csv")
	rows, err := csv.NewReader(strings.NewReader(table.Raw)).ReadAll()
	require.NoError(t, err)
	require.Equal(t, "order_id", rows[0][0])

	reports(t, s, id, 1, "pack", nil)
	shipped := reports(t, s, id, 1, "ship", leaves)
	require.Equal(t, "fulfilling", shipped.Str("status"))
	reports(t, s, id, 1, "ship", leaves) // the answer was lost
	late := s.Act(platform.Operator, id, "cancel", nil)
	require.Equal(t, "already_shipped", late.Str("code"), late.Raw)

	early := s.Act(platform.Operator, id, "shipments/2/deliver", nil)
	require.Equal(t, "invalid_shipment_state", early.Str("code"), early.Raw)
	reports(t, s, id, 2, "ship", leaves)
	reports(t, s, id, 1, "deliver", nil)
	done := reports(t, s, id, 2, "deliver", nil)
	require.Equal(t, "completed", done.Str("status"))
	reports(t, s, id, 2, "deliver", nil) // the answer was lost
	lost := s.Act(platform.Operator, id, "shipments/2/lose", map[string]any{"remedy": "refund"})
	require.Equal(t, "invalid_state", lost.Str("code"), lost.Raw)

	events := s.Events("alice", id)
	require.Equal(t, []string{"packed", "shipped", "shipped", "delivered", "delivered", "completed"},
		events[slices.Index(events, "confirmed")+1:])
	require.Empty(t, refunds(s, id))
	available, reserved, _ := s.Available(product)
	require.Equal(t, []int64{1, 0}, []int64{available, reserved})
}

// picksShort: missing units come from the other location; when there are none, their price goes back.
func picksShort(t *testing.T, s *platform.Platform) {
	id, product := paidOrder(t, s, 3, 1, 2)
	short := map[string]any{"cause": "missing", "lines": []map[string]any{{"line_no": 1, "quantity": 1}}}
	first := s.Act(platform.Operator, id, "shipments/1/short-pick", short, "Idempotency-Key", "short-"+id)
	require.Equal(t, http.StatusOK, first.Status, first.Raw)
	other := map[string]any{"cause": "damaged", "lines": short["lines"]}
	reused := s.Act(platform.Operator, id, "shipments/1/short-pick", other, "Idempotency-Key", "short-"+id)
	require.Equal(t, http.StatusUnprocessableEntity, reused.Status, reused.Raw)
	require.Equal(t, []string{"main planned", "second planned"}, shipments(first), first.Raw)
	available, _, _ := s.Available(product)
	require.Zero(t, available, "what inventory counted at the empty shelf is written off")
	require.Empty(t, refunds(s, id))

	again := s.Act(platform.Operator, id, "shipments/2/short-pick", short, "Idempotency-Key", "once")
	require.Equal(t, http.StatusOK, again.Status, again.Raw)
	require.Equal(t, []string{"main planned", "second cancelled"}, shipments(again), again.Raw)
	repeat := s.Act(platform.Operator, id, "shipments/2/short-pick", short, "Idempotency-Key", "once")
	require.Equal(t, http.StatusOK, repeat.Status, repeat.Raw)
	awaitRefunds(t, s, id, 1250)

	reports(t, s, id, 1, "ship", leaves)
	require.Equal(t, "completed", reports(t, s, id, 1, "deliver", nil).Str("status"))
}

// losesParcels: a lost shipment is sent again, or its price goes back.
func losesParcels(t *testing.T, s *platform.Platform) {
	id, _ := paidOrder(t, s, 2, 0, 1)
	reports(t, s, id, 1, "ship", leaves)
	again := reports(t, s, id, 1, "lose", map[string]any{"remedy": "reship"})
	require.Equal(t, []string{"main lost", "main planned"}, shipments(again), again.Raw)
	reports(t, s, id, 2, "ship", leaves)
	gone := reports(t, s, id, 2, "lose", map[string]any{"remedy": "refund"})
	require.Equal(t, "refunded", gone.Str("status"), gone.Raw)
	awaitRefunds(t, s, id, 1250)
}

// cancelsPaid: a paid order is cancelled whole or in part until it leaves; a preview says what that would do.
func cancelsPaid(t *testing.T, s *platform.Platform) {
	id, product := paidOrder(t, s, 5, 0, 3)
	part := map[string]any{"lines": []map[string]any{{"line_no": 1, "quantity": 1}}}
	preview := s.Act("alice", id, "cancel?preview=true", part)
	require.Equal(t, http.StatusOK, preview.Status, preview.Raw)
	would := preview.Body["preview"].(map[string]any)
	require.Equal(t, "confirmed", would["status"])
	require.EqualValues(t, 1250, would["refund"].(map[string]any)["amount_minor"])
	available, _, _ := s.Available(product)
	require.EqualValues(t, 2, available, "a preview changes nothing")

	for range 2 { // the second is a repeat under the same key
		a := s.Act("alice", id, "cancel", part, "Idempotency-Key", "first")
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
	}
	awaitRefunds(t, s, id, 1250)
	tooMany := map[string]any{"lines": []map[string]any{{"line_no": 1, "quantity": 3}}}
	refused := s.Act("alice", id, "cancel", tooMany)
	require.Equal(t, http.StatusConflict, refused.Status, refused.Raw)
	require.Equal(t, "already_shipped", refused.Str("code"))

	rest := s.Act("alice", id, "cancel", map[string]any{"reason": "changed my mind"})
	require.Equal(t, http.StatusOK, rest.Status, rest.Raw)
	require.Equal(t, "cancelled", rest.Str("status"))
	awaitRefunds(t, s, id, 1250, 2500)
	require.Eventually(t, func() bool { available, _, _ := s.Available(product); return available == 5 },
		15*time.Second, 50*time.Millisecond, "the stock is back")
}

// holdsOrders: an operator stops the fulfilment and lets it go on.
func holdsOrders(t *testing.T, s *platform.Platform) {
	id, _ := paidOrder(t, s, 2, 0, 1)
	held := s.Act(platform.Operator, id, "hold", map[string]any{"reason": "address", "note": "no such street"})
	require.Equal(t, http.StatusOK, held.Status, held.Raw)
	require.Equal(t, map[string]any{"reason": "address"}, held.Body["hold"])
	refused := s.Act(platform.Operator, id, "shipments/1/ship", leaves)
	require.Equal(t, http.StatusConflict, refused.Status, refused.Raw)
	require.Equal(t, "order_on_hold", refused.Str("code"))
	wrong := s.Act(platform.Operator, id, "hold", map[string]any{"reason": "mood"})
	require.Equal(t, http.StatusBadRequest, wrong.Status, wrong.Raw)
	require.Equal(t, http.StatusOK, s.Act(platform.Operator, id, "unhold", nil).Status)
	reports(t, s, id, 1, "ship", leaves)
	require.Equal(t, "completed", reports(t, s, id, 1, "deliver", nil).Str("status"))
}

// reviews: an order above the limit is not paid before an operator has approved it.
func reviews(t *testing.T, s *platform.Platform) {
	product := s.Product(3000)
	placed := s.Place("alice", http.StatusCreated, platform.OneLine(product, 800, "payment_method", "pm_ok"))
	id := placed.Str("order_id")
	waits := s.Await("alice", id, "in_review", 10*time.Second)
	require.Equal(t, []any{"amount"}, waits.Body["review"])
	require.NotEmpty(t, waits.Str("expires_at"), "the stock is held meanwhile")
	early := s.Pay("alice", id, "pm_ok")
	require.Equal(t, http.StatusConflict, early.Status, early.Raw)
	require.Equal(t, "order_in_review", early.Str("code"))
	byCustomer := s.Act("alice", id, "approve", nil)
	require.Equal(t, http.StatusForbidden, byCustomer.Status, byCustomer.Raw)

	approved := s.Act(platform.Operator, id, "approve", map[string]string{"reason": "known customer"})
	require.Equal(t, http.StatusOK, approved.Status, approved.Raw)
	s.Await("alice", id, "confirmed", 15*time.Second)
	again := s.Act(platform.Operator, id, "approve", nil)
	require.Equal(t, "invalid_state", again.Str("code"), again.Raw)

	other := s.Place("alice", http.StatusCreated, platform.OneLine(product, 900)).Str("order_id")
	s.Await("alice", other, "in_review", 10*time.Second)
	unreasoned := s.Act(platform.Operator, other, "reject", map[string]string{})
	require.Equal(t, http.StatusBadRequest, unreasoned.Status, unreasoned.Raw)
	rejected := s.Act(platform.Operator, other, "reject", map[string]string{"reason": "no such address"})
	require.Equal(t, http.StatusOK, rejected.Status, rejected.Raw)
	require.Equal(t, "cancelled", rejected.Str("status"))
	late := s.Act(platform.Operator, id, "reject", map[string]string{"reason": "too late"})
	require.Equal(t, "invalid_state", late.Str("code"), late.Raw)
}
