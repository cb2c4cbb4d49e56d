package server

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/order"
	"holdfast/inventory/inventoryapi"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

func (s *scripted) SkipStep(_ context.Context, _ uuid.UUID, _ string, in orderflow.SkipStepInput) error {
	return s.skip(in)
}

func (s *scripted) TakeUpSettled(_ context.Context, in orderflow.OrderInput) (bool, error) {
	return s.takeUpSettled(in)
}

func (s *scripted) WorkflowIsRunning(context.Context, string) (bool, error) { return s.isRunning() }

func (s *scripted) NoteRepair(context.Context, uuid.UUID, string, orderflow.NoteRepairInput) error {
	return nil
}

// paidOrder records an order that was paid and has one shipment, and returns its record.
func (s catalogueServer) paidOrder(state order.State) orderflow.RecordInput {
	s.t.Helper()
	in := recordOf(uuid.New(), "somebody", strings.Repeat("ab", 32), state, nil)
	in.View.Fulfilment = &orderflow.Fulfilment{Shipments: []orderflow.Shipment{{
		Number: 1, Location: "MAIN", Status: orderflow.ShipmentCancelled,
		Lines: []orderflow.ShipmentLine{{LineNo: 1, Reservation: 1, Cancelled: 1}},
	}}}
	in.Payments = []orderflow.PaymentRecord{{
		Step: orderflow.StepCapture, Attempt: 1, Provider: "test", Amount: price, State: orderflow.PaymentCaptured,
		At: time.Now(),
	}}
	_, err := s.store.Record(s.t.Context(), in)
	require.NoError(s.t, err)
	return in
}

// addPayment records another step of a payment of the order, as a later run of its workflow does.
func (s catalogueServer) addPayment(in orderflow.RecordInput, p orderflow.PaymentRecord, repair ...string) {
	s.t.Helper()
	entry := in.Entries[0]
	entry.Seq, entry.From, entry.At = in.View.Seq+1, in.View.State, time.Now()
	p.At, p.Repair = entry.At, strings.Join(repair, "")
	in.Order, in.View.Seq, in.After, in.RunID = nil, entry.Seq, in.View.Seq, "a later run"
	in.Entries, in.Payments = []orderflow.TimelineEntry{entry}, []orderflow.PaymentRecord{p}
	out, err := s.store.Record(context.WithoutCancel(s.t.Context()), in)
	require.NoError(s.t, err)
	require.Nil(s.t, out.Earlier)
}

var byHand = orderflow.PaymentRecord{
	Step: orderflow.StepRefund, Attempt: 1, Number: 1, Provider: orderflow.ByHand, ProviderRef: "SEPA-17", Amount: price,
	State: orderflow.PaymentRefunded, At: time.Now(),
}

// refundRepair is the request that records byHand.
const refundRepair = `{"action":"skip_step","step":"RefundPayment","amount_minor":1490,"reference":"SEPA-17",` +
	`"reason":"ticket 4711"}`

func repairPath(in orderflow.RecordInput) string {
	return "/admin/orders/" + in.View.OrderID.String() + "/repair"
}

func (s catalogueServer) outcome(path, body, key string, status int) orderapi.Repair {
	s.t.Helper()
	res, raw := s.send(auth.Operator, http.MethodPost, path, body, "Idempotency-Key", key)
	require.Equal(s.t, status, res.StatusCode, raw)
	var out orderapi.Repair
	require.NoError(s.t, json.Unmarshal([]byte(raw), &out))
	return out
}

// TestRefundByHandOfAStoppedOrder: the workflow of the order has ended, so another run records the refund. The request
// waits for the record and not for the end of the run, and a repeat finds the record.
func TestRefundByHandOfAStoppedOrder(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	ended := func(orderflow.SkipStepInput) error { return orderclient.ErrEnded }
	running := func() (bool, error) { return true, nil }

	t.Run("recorded while the run goes on", func(t *testing.T) {
		s := s.with(t)
		in := s.paidOrder(order.Fulfilling)
		s.workflows.skip, s.workflows.isRunning = ended, running
		s.workflows.takeUpSettled = func(start orderflow.OrderInput) (bool, error) {
			require.True(t, start.Continues)
			require.Equal(t, &orderflow.RefundByHand{
				Number: 1, AmountMinor: 1490, Reference: "SEPA-17", Actor: "somebody", Repair: start.RefundByHand.Repair,
			}, start.RefundByHand)
			require.NoError(t, uuid.Validate(start.RefundByHand.Repair))
			s.addPayment(in, byHand, start.RefundByHand.Repair)
			return true, nil
		}
		require.Equal(t, orderapi.Done, s.outcome(repairPath(in), refundRepair, uuid.NewString(), 200).Outcome)
	})
	t.Run("the clock of the workflow is behind that of the database", func(t *testing.T) {
		s := s.with(t)
		in := s.paidOrder(order.Cancelled)
		s.workflows.skip = ended
		s.workflows.isRunning = func() (bool, error) { return false, nil }
		s.workflows.takeUpSettled = func(start orderflow.OrderInput) (bool, error) {
			s.addPayment(in, byHand, start.RefundByHand.Repair)
			_, err := s.pool.Exec(t.Context(), "UPDATE payments SET created_at = created_at - interval '1 hour' "+
				"WHERE order_id = $1", in.View.OrderID)
			return true, err
		}
		require.Equal(t, orderapi.Done, s.outcome(repairPath(in), refundRepair, uuid.NewString(), 200).Outcome)
	})
	t.Run("another repair has recorded an equal refund meanwhile", func(t *testing.T) {
		s := s.with(t)
		in := s.paidOrder(order.Cancelled)
		s.workflows.skip = func(orderflow.SkipStepInput) error { return errOpen }
		key := uuid.NewString()
		s.expect(auth.Operator, http.MethodPost, repairPath(in), refundRepair, whileStuck, "Idempotency-Key", key)
		s.addPayment(in, byHand, uuid.NewString())
		s.workflows.skip = func(orderflow.SkipStepInput) error { return refusedAs(orderflow.ErrStepNotUnderWay) }
		s.expect(auth.Operator, http.MethodPost, repairPath(in), refundRepair,
			answer{409, "repair_not_applicable", "the workflow's words"}, "Idempotency-Key", key)
	})
	t.Run("the answer is lost", func(t *testing.T) {
		s := s.with(t)
		in := s.paidOrder(order.Cancelled)
		s.workflows.skip = ended
		s.workflows.isRunning = func() (bool, error) { return false, errOpen }
		s.workflows.takeUpSettled = func(orderflow.OrderInput) (bool, error) {
			s.addPayment(in, byHand)
			return true, nil
		}
		key := uuid.NewString()
		s.expect(auth.Operator, http.MethodPost, repairPath(in), refundRepair, whileStuck,
			"Idempotency-Key", key)
		s.workflows.skip = func(orderflow.SkipStepInput) error { return refusedAs(orderflow.ErrStepNotUnderWay) }
		require.Equal(t, orderapi.Done, s.outcome(repairPath(in), refundRepair, key, 200).Outcome)
	})
	t.Run("the run records nothing and ends", func(t *testing.T) {
		s := s.with(t)
		in := s.paidOrder(order.Cancelled)
		s.workflows.skip = ended
		s.workflows.isRunning = func() (bool, error) { return false, nil }
		s.workflows.takeUpSettled = func(orderflow.OrderInput) (bool, error) { return true, nil }
		s.expect(auth.Operator, http.MethodPost, repairPath(in), refundRepair,
			answer{409, "repair_not_applicable", "ended without recording a refund"}, "Idempotency-Key", uuid.NewString())
	})
	t.Run("an earlier repair has recorded an equal refund", func(t *testing.T) {
		s := s.with(t)
		in := s.paidOrder(order.Cancelled)
		s.addPayment(in, byHand)
		s.workflows.skip = func(orderflow.SkipStepInput) error { return errOpen }
		key := uuid.NewString()
		s.expect(auth.Operator, http.MethodPost, repairPath(in), refundRepair, whileStuck, "Idempotency-Key", key)
		s.workflows.skip = func(orderflow.SkipStepInput) error { return refusedAs(orderflow.ErrStepNotUnderWay) }
		s.expect(auth.Operator, http.MethodPost, repairPath(in), refundRepair,
			answer{409, "repair_not_applicable", "the workflow's words"}, "Idempotency-Key", key)
	})
	t.Run("the run has not recorded it yet", func(t *testing.T) {
		s := s.with(t)
		in := s.paidOrder(order.Cancelled)
		s.workflows.skip, s.workflows.isRunning = ended, running
		s.workflows.takeUpSettled = func(orderflow.OrderInput) (bool, error) { return true, nil }
		key := uuid.NewString()
		require.Equal(t, orderapi.UnderWay, s.outcome(repairPath(in), refundRepair, key, 202).Outcome)
		s.addPayment(in, byHand)
		require.Equal(t, orderapi.Done, s.outcome(repairPath(in), refundRepair, key, 200).Outcome)
	})
	t.Run("another run has begun", func(t *testing.T) {
		s := s.with(t)
		in := s.paidOrder(order.Cancelled)
		s.workflows.skip, s.workflows.isRunning = ended, running
		s.workflows.takeUpSettled = func(orderflow.OrderInput) (bool, error) { return false, nil }
		require.Contains(t, s.outcome(repairPath(in), refundRepair, uuid.NewString(), 202).Detail, "send the request again")
	})
}

// TestEndedOrderThatHoldsStock: adopt and force_release start the workflow of an order whose confirmed stock did not
// come back before the workflow was stopped. Stock that has come back, and stock of an order that was carried out, is
// no reason.
func TestEndedOrderThatHoldsStock(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	nothing := answer{409, "repair_not_applicable", "neither stock nor money"}
	released := answer{200, "", "gives the stock back"}
	const waits = "waits" // no status: inventory has a backorder, and no reservation
	for _, c := range []struct {
		name, body string
		state      order.State
		held       inventoryapi.Status
		returned   int64
		wants      answer
	}{
		{"adopt", adoptRepair, order.Cancelled, inventoryapi.StatusConfirmed, 0, answer{200, "", "goes on"}},
		{"adopt the rest", adoptRepair, order.Cancelled, inventoryapi.StatusConfirmed, 1, answer{200, "", "goes on"}},
		{"release", releaseRepair, order.Failed, inventoryapi.StatusConfirmed, 0, released},
		{"release reserved", releaseRepair, order.Failed, inventoryapi.StatusPending, 0, released},
		{"all is back", adoptRepair, order.Cancelled, inventoryapi.StatusConfirmed, 2, nothing},
		{"released", releaseRepair, order.Cancelled, inventoryapi.StatusReleased, 0, nothing},
		{"sold", adoptRepair, order.Completed, inventoryapi.StatusConfirmed, 1, nothing},
		{"release what waits", releaseRepair, order.Cancelled, waits, 0, released},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.with(t)
			in := recordOf(uuid.New(), "somebody", strings.Repeat("ab", 32), c.state, nil)
			_, err := s.store.Record(t.Context(), in)
			require.NoError(t, err)
			id := inventoryapi.NewReservationID(inventoryapi.OwnerOrder, in.View.OrderID, 1)
			if c.held == waits {
				s.stock.wait[id] = inventoryapi.Backorder{Status: inventoryapi.BackorderWaiting}
			} else {
				s.stock.hold(id, c.held)
				s.stock.held[id].Lines[0].Returned = c.returned
			}
			s.workflows.isRunning = func() (bool, error) { return false, nil }
			s.workflows.takeUpSettled = func(orderflow.OrderInput) (bool, error) { return true, nil }
			s.expect(auth.Operator, http.MethodPost, repairPath(in), c.body, c.wants, "Idempotency-Key", uuid.NewString())
		})
	}
}

// TestRepeatOfARepairThatTookEffect: the answer of the first request was lost. What it did is done when it is repeated.
func TestRepeatOfARepairThatTookEffect(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	authorised := orderflow.PaymentRecord{
		Step: orderflow.StepAuthorise, Attempt: 1, Provider: "test", Amount: price, State: orderflow.PaymentAuthorised,
	}
	voided := authorised
	voided.Step, voided.State = orderflow.StepVoid, orderflow.PaymentVoided
	for name, c := range map[string]struct {
		body   string
		ended  bool // the run that the first request started has ended by the time of the repeat
		refuse bool // the start finds that a run began at the same moment
	}{
		"adopt, runs":        {body: adoptRepair},
		"adopt, began":       {body: adoptRepair, refuse: true},
		"adopt, has ended":   {body: adoptRepair, ended: true},
		"release, runs":      {body: releaseRepair, refuse: true},
		"release, has ended": {body: releaseRepair, ended: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.with(t)
			in := recordOf(uuid.New(), "somebody", strings.Repeat("ab", 32), order.Cancelled, nil)
			in.Payments = []orderflow.PaymentRecord{authorised}
			in.Payments[0].At = time.Now()
			_, err := s.store.Record(t.Context(), in)
			require.NoError(t, err)
			s.workflows.isRunning = func() (bool, error) { return false, nil }
			s.workflows.takeUpSettled = func(orderflow.OrderInput) (bool, error) { return false, errOpen }
			key := uuid.NewString()
			s.expect(auth.Operator, http.MethodPost, repairPath(in), c.body, whileStuck, "Idempotency-Key", key)
			if c.ended {
				s.addPayment(in, voided)
			}
			s.workflows.isRunning = func() (bool, error) { return !c.ended && !c.refuse, nil }
			s.workflows.takeUpSettled = func(orderflow.OrderInput) (bool, error) { return false, nil }
			require.Equal(t, orderapi.Done, s.outcome(repairPath(in), c.body, key, 200).Outcome)
		})
	}
}

// TestRepeatOfARetryThatTookEffect: the steps were attempted, and the answer was lost. The repeat finds no step that
// waits, or an order that has ended.
func TestRepeatOfARetryThatTookEffect(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	for name, err := range map[string]error{"no step waits": nil, "it has ended": orderclient.ErrEnded} {
		t.Run(name, func(t *testing.T) {
			s := s.with(t)
			path := strings.Replace(s.recorded(order.Paying), "/api/", "/admin/", 1) + "/repair"
			key := uuid.NewString()
			s.workflows.retryNow = func() ([]string, error) { return nil, errOpen }
			s.expect(auth.Operator, http.MethodPost, path, retryRepair, whileStuck, "Idempotency-Key", key)
			s.workflows.retryNow = func() ([]string, error) { return nil, err }
			require.Equal(t, orderapi.Done, s.outcome(path, retryRepair, key, 200).Outcome)
		})
	}
}

// TestRepeatOfAReleaseThatCameTooLate: the cancellation had no answer in time, and the order was delivered. The repeat
// does not say that stock and money are back.
func TestRepeatOfAReleaseThatCameTooLate(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	in := s.paidOrder(order.Fulfilling)
	s.workflows.cancel = func(orderflow.CancelInput) (orderflow.CancelResult, error) {
		return orderflow.CancelResult{}, orderclient.ErrUnderWay
	}
	key := uuid.NewString()
	require.Equal(t, orderapi.UnderWay, s.outcome(repairPath(in), releaseRepair, key, 202).Outcome)
	_, err := s.pool.Exec(t.Context(), "UPDATE orders SET state = 'completed' WHERE order_id = $1", in.View.OrderID)
	require.NoError(t, err)
	_, err = s.pool.Exec(t.Context(), "UPDATE shipment_lines SET quantity = 1, cancelled = 0 WHERE order_id = $1",
		in.View.OrderID)
	require.NoError(t, err)
	s.expect(auth.Operator, http.MethodPost, repairPath(in), releaseRepair,
		answer{409, "repair_not_applicable", "the order is completed"}, "Idempotency-Key", key)
}

// TestEndedOrderThatHoldsMoney: adopt and force_release start the workflow of an order that has ended while a payment
// was open, and refuse one that holds nothing. A refund by hand must have the amount that is due.
func TestEndedOrderThatHoldsMoney(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	authorised := orderflow.PaymentRecord{
		Step: orderflow.StepAuthorise, Attempt: 1, Provider: "test", Amount: price, State: orderflow.PaymentAuthorised,
		At: time.Now(),
	}
	second := authorised
	second.Attempt = 2
	ended := func(s catalogueServer, payments ...orderflow.PaymentRecord) orderflow.RecordInput {
		in := recordOf(uuid.New(), "somebody", strings.Repeat("ab", 32), order.Expired, nil)
		in.Payments = payments
		_, err := s.store.Record(s.t.Context(), in)
		require.NoError(s.t, err)
		return in
	}
	for _, c := range []struct {
		name, body string
		payments   []orderflow.PaymentRecord
		runs       int
		wants      answer
	}{
		{"adopt", `{"action":"adopt","reason":"x"}`, []orderflow.PaymentRecord{authorised}, 1, answer{200, "", "goes on"}},
		{
			"force_release", `{"action":"force_release","reason":"x"}`,
			[]orderflow.PaymentRecord{authorised},
			1,
			answer{200, "", "gives the money back"},
		},
		{
			"adopt nothing", `{"action":"adopt","reason":"x"}`, nil, 0,
			answer{409, "repair_not_applicable", "neither stock nor money"},
		},
		{
			"release nothing", `{"action":"force_release","reason":"x"}`, nil, 0,
			answer{409, "repair_not_applicable", "neither stock nor money"},
		},
		{
			"refund another amount", strings.Replace(refundRepair, "1490", "1000", 1),
			[]orderflow.PaymentRecord{authorised},
			0,
			answer{409, "repair_not_applicable", "owes its customer 14.90 EUR"},
		},
		{
			"refund one of two", refundRepair,
			[]orderflow.PaymentRecord{authorised, second},
			0,
			answer{409, "repair_not_applicable", "2 payments without a recorded end"},
		},
		{"refund", refundRepair, []orderflow.PaymentRecord{authorised}, 1, answer{200, "", "recorded as done by hand"}},
		{
			"void", `{"action":"skip_step","step":"VoidPayment","attempt":1,"reference":"x","reason":"x"}`,
			[]orderflow.PaymentRecord{authorised},
			0,
			answer{409, "repair_not_applicable", "use adopt"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.with(t)
			in := ended(s, c.payments...)
			runs := 0
			s.workflows.isRunning = func() (bool, error) { return false, nil }
			s.workflows.skip = func(orderflow.SkipStepInput) error { return orderclient.ErrEnded }
			s.workflows.takeUpSettled = func(start orderflow.OrderInput) (bool, error) {
				require.False(t, start.Continues, "the run asks inventory and the provider")
				runs++
				if start.RefundByHand != nil {
					s.addPayment(in, byHand)
				}
				return true, nil
			}
			s.expect(auth.Operator, http.MethodPost, repairPath(in), c.body, c.wants, "Idempotency-Key", uuid.NewString())
			require.Equal(t, c.runs, runs)
		})
	}
}
