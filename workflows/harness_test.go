package workflows_test

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"holdfast/internal/money"
	"holdfast/internal/order"
	"holdfast/workflows"
	"holdfast/workflows/orderflow"
)

// harness runs one workflow in Temporal's test environment, whose clock skips time in which the workflow only waits.
// Activities answer what the test's script says, by name; an activity without a script succeeds.
type harness struct {
	t   *testing.T
	env *testsuite.TestWorkflowEnvironment

	mu       sync.Mutex
	script   map[string]func(n int) error // by activity; n counts its calls from 1
	calls    []string                     // in the order in which they were answered
	counts   map[string]int
	recorded []orderflow.TimelineEntry
	payments []orderflow.PaymentRecord
	status   string // the reservation's status that a release answers
	held     string // the status that a reserve answers
	expiry   string // the status that an expiry answers, if it is not expired
	partial  bool   // the timeline does not show the order's end, because the end could not be recorded
	deadline time.Time
	// earlier is the order's row if an earlier run of the workflow has written it; the recorder refuses to write
	// over it until the run under test has taken over.
	earlier *orderflow.RecordedOrder
	last    orderflow.View // of the last record

	// Of an order that waits for stock: what inventory answers to ReserveOrWait at a time after the start, and how long
	// the wait is.
	waiting func(passed time.Duration) string

	// Of a paid order. taken says where inventory takes a line of a reservation; by default from one location.
	taken    func(reservation int, line orderflow.ReserveLine) []orderflow.ReservedLine
	reserved map[int][]orderflow.ReserveLine // by the number of the reservation
	refunds  []orderflow.PaymentInput
	returns  []orderflow.ReturnUnitsInput
	found    int64 // the amount of a refund that FindRefund finds

	// Of an order whose lines change.
	replaced   [][2]int             // the numbers of the replaced reservation and of its successor, of each call
	released   []int                // the number of the reservation of each release
	confirmed  int                  // the number of the reservation that was confirmed last
	contents   []orderflow.Contents // as they were recorded
	ttl        int                  // of the last reserve
	authorised []money.Amount

	actionURL string // where the customer must confirm an authorisation; a look-up finds it confirmed

	lastShipment int // the shipment that request packs, and the line that it cancels
	order        func(*orderflow.OrderInput)
}

var errDown = errors.New("connection refused")

func refuse(kind string, details ...any) error {
	return temporal.NewNonRetryableApplicationError(kind, kind, nil, details...)
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	h := &harness{
		t:      t,
		env:    suite.NewTestWorkflowEnvironment(),
		script: map[string]func(int) error{},
		counts: map[string]int{},

		lastShipment: 1,
		reserved:     map[int][]orderflow.ReserveLine{},
		taken: func(_ int, l orderflow.ReserveLine) []orderflow.ReservedLine {
			return []orderflow.ReservedLine{{LineNo: l.LineNo, Location: "main", Quantity: l.Quantity}}
		},
		status: orderflow.ReservationReleased,
		held:   orderflow.ReservationPending,
	}
	h.env.SetWorkflowRunTimeout(48 * time.Hour)
	h.env.SetTestTimeout(20 * time.Second)
	h.env.RegisterWorkflowWithOptions(workflows.Order, workflow.RegisterOptions{Name: orderflow.OrderWorkflow})
	h.env.RegisterWorkflowWithOptions(workflows.Reservation,
		workflow.RegisterOptions{Name: orderflow.ReservationWorkflow})

	register := func(name string, fn any) {
		h.env.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: name})
	}
	type stockResult = orderflow.ReservationResult
	register(orderflow.ReserveStock, func(_ context.Context, in orderflow.ReserveInput) (stockResult, error) {
		err := h.answer(orderflow.ReserveStock)
		if err == nil && in.TTLSeconds > 0 {
			h.deadline = h.env.Now().Add(time.Duration(in.TTLSeconds) * time.Second)
		}
		h.mu.Lock()
		h.reserved[in.Reservation.Number] = in.Lines
		h.ttl = in.TTLSeconds
		h.mu.Unlock()
		return stockResult{ReservationID: uuid.Max, Status: h.held, ExpiresAt: h.deadline}, err
	})
	register(orderflow.ReplaceReservation, func(_ context.Context, in orderflow.ReserveInput) (stockResult, error) {
		err := h.answer(orderflow.ReplaceReservation)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.replaced = append(h.replaced, [2]int{in.Replaces, in.Reservation.Number})
		if err == nil {
			h.reserved[in.Reservation.Number] = in.Lines
		}
		id := uuid.Max
		id[0] = byte(in.Reservation.Number)
		return stockResult{ReservationID: id, Status: h.held, ExpiresAt: h.deadline}, err
	})
	start := h.env.Now()
	register(orderflow.ReserveOrWait, func(_ context.Context, in orderflow.ReserveInput) (stockResult, error) {
		err := h.answer(orderflow.ReserveOrWait)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.reserved[in.Reservation.Number] = in.Lines
		out := stockResult{ReservationID: uuid.Max, Status: h.waiting(h.env.Now().Sub(start))}
		switch out.Status {
		case orderflow.ReservationWaiting:
			out.ExpiresAt = start.Add(time.Duration(in.WaitSeconds) * time.Second)
		case orderflow.ReservationPending:
			out.ExpiresAt = h.env.Now().Add(time.Duration(in.TTLSeconds) * time.Second)
		default:
			return stockResult{}, refuse(orderflow.ErrReservationClosed, out.Status)
		}
		return out, err
	})
	register(orderflow.ExtendReservation, func(_ context.Context, in orderflow.ReservationInput) (stockResult, error) {
		err := h.answer(orderflow.ExtendReservation)
		if err == nil && in.ExpiresAt.After(h.deadline) {
			h.deadline = *in.ExpiresAt
		}
		return stockResult{Status: orderflow.ReservationPending, ExpiresAt: h.deadline}, err
	})
	for name, status := range map[string]string{
		orderflow.ConfirmReservation: orderflow.ReservationConfirmed,
		orderflow.ReleaseStock:       "",
		orderflow.ExpireReservation:  orderflow.ReservationExpired,
		orderflow.ReturnStock:        orderflow.ReservationConfirmed,
	} {
		register(name, func(_ context.Context, in orderflow.ReservationInput) (stockResult, error) {
			err := h.answer(name)
			switch {
			case name == orderflow.ConfirmReservation:
				h.mu.Lock()
				h.confirmed = in.Reservation.Number
				h.mu.Unlock()
				return stockResult{Status: status, Lines: h.takenBy(in.Reservation.Number)}, err
			case status == "":
				h.mu.Lock()
				h.released = append(h.released, in.Reservation.Number)
				h.mu.Unlock()
				return stockResult{Status: h.status}, err
			case name == orderflow.ExpireReservation && h.expiry != "":
				return stockResult{Status: h.expiry}, err
			}
			return stockResult{Status: status}, err
		})
	}

	for _, name := range []string{
		orderflow.AuthorisePayment,
		orderflow.CapturePayment,
		orderflow.VoidPayment,
		orderflow.RefundPayment,
	} {
		register(name, func(_ context.Context, in orderflow.PaymentInput) (orderflow.PaymentResult, error) {
			err := h.answer(name)
			h.mu.Lock()
			defer h.mu.Unlock()
			if err == nil && name == orderflow.RefundPayment {
				h.refunds = append(h.refunds, in)
			}
			out := orderflow.PaymentResult{Provider: "test", ProviderRef: in.PaymentKey}
			if name == orderflow.AuthorisePayment {
				h.authorised = append(h.authorised, in.Amount)
				out.ActionURL = h.actionURL
			}
			return out, err
		})
	}
	register(orderflow.FindPayment, func(context.Context, orderflow.PaymentInput) (orderflow.PaymentResult, error) {
		return orderflow.PaymentResult{Provider: "test"}, h.answer(orderflow.FindPayment)
	})
	register(orderflow.FindRefund, func(context.Context, orderflow.PaymentInput) (orderflow.PaymentResult, error) {
		return orderflow.PaymentResult{Provider: "test", RefundedMinor: h.found}, h.answer(orderflow.FindRefund)
	})
	register(orderflow.ReturnUnits, func(_ context.Context, in orderflow.ReturnUnitsInput) (stockResult, error) {
		err := h.answer(orderflow.ReturnUnits)
		h.mu.Lock()
		defer h.mu.Unlock()
		if err == nil {
			h.returns = append(h.returns, in)
		}
		return stockResult{Returned: 1}, err
	})
	register(orderflow.WriteOffStock, func(context.Context, orderflow.WriteOffInput) (orderflow.WriteOffResult, error) {
		return orderflow.WriteOffResult{}, h.answer(orderflow.WriteOffStock)
	})

	register(orderflow.RecordOrder, func(_ context.Context, in orderflow.RecordInput) (orderflow.RecordResult, error) {
		err := h.answer(orderflow.RecordOrder)
		h.mu.Lock()
		defer h.mu.Unlock()
		switch {
		case err != nil:
		case h.earlier != nil && in.After != h.earlier.Seq:
			return orderflow.RecordResult{Earlier: h.earlier}, nil
		default:
			h.earlier = nil
			h.recorded = append(h.recorded, in.Entries...)
			h.payments = append(h.payments, in.Payments...)
			h.last = in.View
			if in.Contents != nil {
				h.contents = append(h.contents, *in.Contents)
			}
		}
		return orderflow.RecordResult{Seq: in.View.Seq}, err
	})
	register(orderflow.FindOrder, func(context.Context, orderflow.FindOrderInput) (orderflow.FindOrderResult, error) {
		err := h.answer(orderflow.FindOrder)
		h.mu.Lock()
		defer h.mu.Unlock()
		return orderflow.FindOrderResult{Order: h.earlier, Own: h.earlier == nil}, err
	})
	return h
}

// takenBy is where inventory takes the stock of a reservation.
func (h *harness) takenBy(reservation int) []orderflow.ReservedLine {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []orderflow.ReservedLine
	for _, l := range h.reserved[reservation] {
		out = append(out, h.taken(reservation, l)...)
	}
	return out
}

// answer is what the script says to the next call of an activity.
func (h *harness) answer(name string) error {
	h.mu.Lock()
	h.counts[name]++
	n, say := h.counts[name], h.script[name]
	h.mu.Unlock()
	var err error
	if say != nil {
		err = say(n)
	}
	if err == nil && name != orderflow.RecordOrder {
		h.mu.Lock()
		h.calls = append(h.calls, name)
		h.mu.Unlock()
	}
	return err
}

// always makes every call of an activity fail.
func always(err error) func(int) error { return func(int) error { return err } }

// until makes calls fail before the given time of the workflow's clock. Temporal's test environment
// ends a retry after ten attempts, so a step without a limit survives about 55 s of failures, and another
// 55 s after it was marked for operators.
func (h *harness) until(after time.Duration, err error) func(int) error {
	start := h.env.Now()
	return func(int) error {
		if h.env.Now().Sub(start) < after {
			return err
		}
		return nil
	}
}

// between makes calls fail between two times of the workflow's clock.
func (h *harness) between(from, to time.Duration, err error) func(int) error {
	start := h.env.Now()
	return func(int) error {
		if passed := h.env.Now().Sub(start); passed >= from && passed < to {
			return err
		}
		return nil
	}
}

// untilAfterTheFirst lets the first call of an activity succeed and makes the others fail before the given time.
func (h *harness) untilAfterTheFirst(after time.Duration) func(int) error {
	rest := h.until(after, errDown)
	return func(n int) error {
		if n == 1 {
			return nil
		}
		return rest(n)
	}
}

// reply is the outcome of an update.
type reply struct {
	done     bool
	rejected bool // by the validator: the history has no event of it
	result   any
	err      error
}

// code is the type of the refusal, or "".
func (r *reply) code() string {
	var app *temporal.ApplicationError
	if errors.As(r.err, &app) {
		return app.Type()
	}
	return ""
}

// send sends an update at the given time after the start.
func (h *harness) send(after time.Duration, name string, arg any) *reply {
	r := &reply{}
	h.env.RegisterDelayedCallback(func() {
		h.env.UpdateWorkflow(name, uuid.NewString(), &testsuite.TestUpdateCallback{
			OnReject:   func(err error) { r.done, r.rejected, r.err = true, true, err },
			OnAccept:   func() {},
			OnComplete: func(result any, err error) { r.done, r.result, r.err = true, result, err },
		}, arg)
	}, after)
	return r
}

func (h *harness) pay(after time.Duration) *reply {
	return h.send(after, orderflow.UpdatePay, orderflow.PayInput{Method: "pm_ok", Actor: "alice"})
}

func (h *harness) cancel(after time.Duration) *reply {
	return h.send(after, orderflow.UpdateCancel, orderflow.CancelInput{Actor: "alice", Reason: "changed my mind"})
}

func (h *harness) extend(after time.Duration, ttl int) *reply {
	return h.send(after, orderflow.UpdateExtend, orderflow.ExtendInput{TTLSeconds: ttl, Actor: "alice"})
}

// run runs an order with the given time to live and returns its result.
func (h *harness) run(ttl int, change ...func(*orderflow.OrderInput)) orderflow.OrderResult {
	h.t.Helper()
	price := money.Amount{Minor: 1250, Currency: "EUR"}
	in := orderflow.OrderInput{
		OrderID:     uuid.New(),
		RequestHash: "hash",
		CustomerID:  "alice",
		Total:       price,
		TTLSeconds:  ttl,
		PlacedAt:    h.env.Now(),
		Revision:    orderflow.CurrentRevision,
		Lines: []orderflow.Line{{
			LineNo:    1,
			ProductID: uuid.New(),
			SKU:       "A",
			Quantity:  1,
			UnitPrice: price,
			Total:     price,
		}},
	}
	if h.order != nil {
		h.order(&in)
	}
	for _, c := range change {
		c(&in)
	}
	from := orderflow.RecordedOrder{State: order.Pending} // as the api inserts it
	if h.earlier != nil {
		from = *h.earlier
	}

	h.start(orderflow.OrderWorkflowID(in.OrderID), orderflow.OrderWorkflow, in)
	require.True(h.t, h.env.IsWorkflowCompleted())
	out := orderflow.OrderResult{State: cmp.Or(h.last.State, from.State)}
	if err := h.env.GetWorkflowError(); !workflow.IsContinueAsNewError(err) { // a paid order waits for the warehouse
		require.NoError(h.t, err)
		require.NoError(h.t, h.env.GetWorkflowResult(&out))
	}
	h.checkTimeline(from, out.State)
	return out
}

// start runs a workflow under the given id, to its end.
func (h *harness) start(id, name string, in any) {
	h.env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: id, TaskQueue: orderflow.OrdersQueue})
	h.env.ExecuteWorkflow(name, in)
}

// checkTimeline checks the recorded entries against the table: their numbers follow the earlier run's entries without
// a gap, each entry begins in the state in which the entry before it ended, and the table has every change of state.
func (h *harness) checkTimeline(from orderflow.RecordedOrder, last order.State) {
	h.t.Helper()
	state := from.State
	for i, e := range h.recorded {
		require.Equal(h.t, from.Seq+int64(i)+1, e.Seq)
		require.Equal(h.t, state, e.From, "entry %d", e.Seq)
		if e.From != e.State {
			require.Contains(h.t, order.Transitions(), order.Transition{From: e.From, To: e.State})
		}
		if i > 0 {
			require.False(h.t, e.At.Before(h.recorded[i-1].At), "the time of entry %d goes back", e.Seq)
		}
		state = e.State
	}
	if !h.partial {
		require.Equal(h.t, last, state)
	}
}

// marked collects how the order is marked for operators. It must be called before the order runs.
func (h *harness) marked() *[]bool {
	marked := &[]bool{}
	h.env.OnUpsertTypedSearchAttributes(needsOperator(func(v bool) { *marked = append(*marked, v) })).Return(nil).Maybe()
	return marked
}

func (h *harness) events() []order.Event {
	out := make([]order.Event, len(h.recorded))
	for i, e := range h.recorded {
		out[i] = e.Event
	}
	return out
}

// called returns the calls that succeeded, in order, without those of the given names.
func (h *harness) called(without ...string) []string {
	out := []string{}
next:
	for _, c := range h.calls {
		for _, w := range without {
			if c == w {
				continue next
			}
		}
		out = append(out, c)
	}
	return out
}
