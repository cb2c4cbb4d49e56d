package server

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
	"holdfast/internal/auth/authtest"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/inventory/inventoryapi"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

func (s *scripted) RetryNow(context.Context, string, string) ([]string, error) { return s.retryNow() }

func (s *scripted) TakeUpOrder(_ context.Context, in orderflow.OrderInput) (bool, error) {
	return s.takeUp(in)
}

func (s *scripted) TakeUpReservation(context.Context, uuid.UUID) (bool, error) { return true, nil }

const (
	retryRepair   = `{"action":"retry_now","reason":"ticket 4711"}`
	adoptRepair   = `{"action":"adopt","reason":"ticket 4711"}`
	releaseRepair = `{"action":"force_release","reason":"ticket 4711"}`
	voidRepair    = `{"action":"skip_step","step":"VoidPayment","attempt":1,"reference":"call-42","reason":"ticket 4711"}`
)

// TestRepairOrder checks the answer to each outcome of a repair.
func TestRepairOrder(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	notApplicable := func(words string) answer { return answer{409, "repair_not_applicable", words} }
	again := answer{503, "unavailable", "send it again with Idempotency-Key"}
	for _, c := range []struct {
		name    string
		body    string
		row     order.State
		steps   []string // that retry_now attempts
		running bool
		refuses bool // the start of another run finds one
		err     error
		wants   answer
	}{
		{
			name: "retry", body: retryRepair, row: order.Paying, steps: []string{"VoidPayment"},
			wants: answer{200, "", "VoidPayment"},
		},
		{name: "retry nothing", body: retryRepair, row: order.Paying, wants: notApplicable("no step waits")},
		{
			name: "retry, ended", body: retryRepair, row: order.Paying, err: orderclient.ErrEnded,
			wants: notApplicable("use adopt"),
		},
		{name: "retry, not known", body: retryRepair, row: order.Paying, err: errOpen, wants: again},

		{
			name: "skip", body: voidRepair, row: order.Expired,
			wants: answer{200, "", "VoidPayment is recorded as done by hand"},
		},
		{
			name: "skip, refused", body: voidRepair, row: order.Expired, err: refusedAs(orderflow.ErrStepNotUnderWay),
			wants: notApplicable("the workflow's words"),
		},
		{
			name: "skip, under way", body: voidRepair, row: order.Expired, err: orderclient.ErrUnderWay,
			wants: answer{202, "", "under_way"},
		},
		{
			name: "skip, old version", body: voidRepair, row: order.Expired, err: orderclient.ErrOldVersion,
			wants: notApplicable("holdfast deploy move"),
		},
		{
			name: "skip, ended", body: voidRepair, row: order.Expired, err: orderclient.ErrEnded,
			wants: notApplicable("waits for no step"),
		},
		{
			name: "skip, stopped", body: voidRepair, row: order.Paying, err: orderclient.ErrEnded,
			wants: notApplicable("use adopt first"),
		},
		{name: "skip, not known", body: voidRepair, row: order.Expired, err: errOpen, wants: again},
		{
			name: "skip a capture",
			body: strings.NewReplacer("VoidPayment", "CapturePayment", `"attempt":1,`, "").Replace(voidRepair),
			row:  order.Paying, wants: answer{422, "step_not_skippable", "the goods would leave without the money"},
		},

		{name: "force", body: releaseRepair, row: order.Reserved, wants: answer{200, "", "stock and money go back"}},
		{
			name: "force, stopped", body: releaseRepair, row: order.Reserved, err: orderclient.ErrEnded,
			wants: notApplicable("use adopt"), // the new run has ended, too
		},
		{
			name: "force, refused", body: releaseRepair, row: order.Fulfilling, err: refusedAs(string(order.AlreadyShipped)),
			wants: notApplicable("the workflow's words"),
		},
		{name: "force, ended", body: releaseRepair, row: order.Failed, wants: notApplicable("neither stock nor money")},

		{name: "adopt", body: adoptRepair, row: order.Reserved, wants: answer{200, "", "goes on"}},
		{name: "adopt, runs", body: adoptRepair, row: order.Reserved, running: true, wants: notApplicable("use retry_now")},
		{
			name: "adopt, runs now", body: adoptRepair, row: order.Reserved, refuses: true,
			wants: notApplicable("a moment ago"),
		},
		{name: "adopt, ended", body: adoptRepair, row: order.Failed, wants: notApplicable("neither stock nor money")},

		{name: "unknown action", body: `{"action":"destroy","reason":"x"}`, wants: answer{400, "invalid_input", "action"}},
		{name: "no action", body: `{"reason":"x"}`, wants: answer{400, "invalid_input", "action"}},
		{name: "no reason", body: `{"action":"adopt"}`, wants: answer{400, "invalid_input", "reason"}},
		{name: "blank reason", body: `{"action":"adopt","reason":"  "}`, wants: answer{400, "invalid_input", "reason"}},
		{
			name: "unknown step", body: strings.Replace(refundRepair, "RefundPayment", "Refund", 1),
			wants: answer{400, "invalid_input", "amount_minor"},
		},
		{
			name: "no step", body: `{"action":"skip_step","reference":"x","reason":"x"}`,
			wants: answer{400, "invalid_input", "VoidPayment or RefundPayment"},
		},
		{
			name: "no reference", body: `{"action":"skip_step","step":"VoidPayment","attempt":1,"reason":"x"}`,
			wants: answer{400, "invalid_input", "reference"},
		},
		{
			name: "refund without amount", body: strings.Replace(refundRepair, `"amount_minor":1490,`, "", 1),
			wants: answer{400, "invalid_input", "amount_minor"},
		},
		{
			name: "void without attempt", body: strings.Replace(voidRepair, `"attempt":1,`, "", 1),
			wants: answer{400, "invalid_input", "attempt"},
		},
		{
			name: "step of another action", body: `{"action":"adopt","step":"VoidPayment","reason":"x"}`,
			wants: answer{400, "invalid_input", "only skip_step names a step"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.with(t)
			s.workflows.retryNow = func() ([]string, error) { return c.steps, c.err }
			s.workflows.skip = func(in orderflow.SkipStepInput) error {
				require.Equal(t, "somebody", in.Actor)
				return c.err
			}
			s.workflows.cancel = func(orderflow.CancelInput) (orderflow.CancelResult, error) {
				return orderflow.CancelResult{}, c.err
			}
			s.workflows.isRunning = func() (bool, error) { return c.running, nil }
			s.workflows.takeUp = func(orderflow.OrderInput) (bool, error) { return !c.refuses, nil }
			row := c.row
			if row == "" {
				row = order.Reserved
			}
			path := strings.Replace(s.recorded(row), "/api/", "/admin/", 1) + "/repair"
			s.expect(auth.Operator, http.MethodPost, path, c.body, c.wants, "Idempotency-Key", uuid.NewString())
		})
	}

	path := strings.Replace(s.recorded(order.Reserved), "/api/", "/admin/", 1) + "/repair"
	s.expect(auth.Customer, http.MethodPost, path, adoptRepair, answer{403, "", ""})
	s.expect(auth.Customer, http.MethodGet, "/admin/repairs", "", answer{403, "", ""})
	s.expect(auth.Operator, http.MethodPost, "/admin/orders/"+uuid.NewString()+"/repair", adoptRepair,
		answer{404, "order_not_found", ""})
	s.expect(auth.Operator, http.MethodPost, path, adoptRepair, answer{400, "invalid_input", "Idempotency-Key"},
		"Idempotency-Key", "with blanks")
}

// TestRepairUnderOneKey: a repeat gets the recorded outcome and acts no more. Another repair under the same key is
// refused.
func TestRepairUnderOneKey(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	path := strings.Replace(s.recorded(order.Expired), "/api/", "/admin/", 1) + "/repair"
	skips := 0
	s.workflows.skip = func(orderflow.SkipStepInput) error { skips++; return nil }
	reused := answer{422, "idempotency_key_reused", "send a new key"}
	post := func(body, key string, want answer) {
		t.Helper()
		s.expect(auth.Operator, http.MethodPost, path, body, want, "Idempotency-Key", key)
	}
	for _, body := range []string{refundRepair, voidRepair} {
		key := uuid.NewString()
		first, again := s.outcome(path, body, key, 200), s.outcome(path, body, key, 200)
		require.Equal(t, first, again)
		post(strings.Replace(body, "ticket 4711", "ticket 4712", 1), key, reused)
		post(strings.NewReplacer("SEPA-17", "SEPA-18", "call-42", "call-43").Replace(body), key, reused)
		changed := strings.NewReplacer(`"amount_minor":1490`, `"amount_minor":1`, `"attempt":1`, `"attempt":2`)
		post(changed.Replace(body), key, reused)
		post(adoptRepair, key, reused)
		other := strings.Replace(s.recorded(order.Expired), "/api/", "/admin/", 1) + "/repair"
		s.expect(auth.Operator, http.MethodPost, other, body, reused, "Idempotency-Key", key)
	}
	require.Equal(t, 2, skips)

	// A refused repair stays refused, also if it would be accepted by now.
	s.workflows.skip = func(orderflow.SkipStepInput) error { return refusedAs(orderflow.ErrStepNotUnderWay) }
	post(voidRepair, "refused", answer{409, "repair_not_applicable", "the workflow's words"})
	s.workflows.skip = func(orderflow.SkipStepInput) error { return nil }
	post(voidRepair, "refused", answer{409, "repair_not_applicable", "the workflow's words"})
}

// TestRepairReservation checks the answers to the repairs of a reservation without an order.
func TestRepairReservation(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	for _, c := range []struct {
		name    string
		body    string
		held    inventoryapi.Status // "" means that inventory does not know it
		running bool
		wants   answer
	}{
		{
			"adopt", adoptRepair, inventoryapi.StatusPending, false,
			answer{200, "", "a new run of the workflow owns the reservation"},
		},
		{
			"adopt, runs", adoptRepair, inventoryapi.StatusPending, true,
			answer{409, "repair_not_applicable", "a workflow runs"},
		},
		{"release", releaseRepair, inventoryapi.StatusPending, true, answer{200, "", "released"}},
		{"release, ended", releaseRepair, inventoryapi.StatusExpired, false, answer{409, "repair_not_applicable", "expired"}},
		{"not there", releaseRepair, "", false, answer{409, "repair_not_applicable", "no such reservation"}},
		{
			"skip", voidRepair, inventoryapi.StatusPending, true,
			answer{400, "invalid_input", "has no step that may be skipped"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.with(t)
			id := uuid.New()
			require.NoError(t, s.store.RegisterReservation(t.Context(), orderstore.Reservation{
				ID: id, OwnerID: uuid.New(), Issuer: authtest.Issuer, CustomerID: "somebody", TheirOrderID: uuid.NewString(),
			}))
			if c.held != "" {
				s.stock.hold(id, c.held)
			}
			s.workflows.running = c.running
			s.workflows.resolve = func(uuid.UUID, string) error { return nil }
			s.expect(auth.Operator, http.MethodPost, "/admin/reservations/"+id.String()+"/repair", c.body, c.wants,
				"Idempotency-Key", uuid.NewString())
		})
	}
	s.expect(auth.Operator, http.MethodPost, "/admin/reservations/"+uuid.NewString()+"/repair", adoptRepair,
		answer{404, "reservation_not_found", ""})
}
