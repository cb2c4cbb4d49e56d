package workflows_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"
	"pgregory.net/rapid"

	"holdfast/internal/order"
	"holdfast/workflows"
	"holdfast/workflows/orderflow"
)

// world keeps the books of inventory and of the payment provider while a workflow runs in Temporal's test environment.
// Each call of an activity has a fate: it succeeds, or it fails before its effect, or its answer is lost after its
// effect. Broken rules are collected, because an activity cannot end the test.
type world struct {
	env *testsuite.TestWorkflowEnvironment

	mu        sync.Mutex
	fates     map[string][]fate // by activity; a call without one succeeds
	available int64             // units of each product
	held      map[int]*booking  // reservations, by number
	charges   map[string]*chargeBook
	total     int64
	last      orderflow.View // as last recorded
	broken    []string
}

type fate int

const (
	succeeds fate = iota
	failsBefore
	answerLost
)

// booking is a reservation.
type booking struct {
	status   string
	deadline time.Time
	lines    map[int]int64 // units by line
	returned map[int]int64
}

// chargeBook is a payment.
type chargeBook struct {
	state   string // authorised, declined, captured or voided
	amount  int64
	refunds map[string]int64
}

func (c *chargeBook) kept() int64 {
	kept := c.amount
	for _, r := range c.refunds {
		kept -= r
	}
	return kept
}

func newWorld(fates map[string][]fate, available, total int64) *world {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	w := &world{
		env:       suite.NewTestWorkflowEnvironment(),
		fates:     fates,
		available: available,
		held:      map[int]*booking{},
		charges:   map[string]*chargeBook{},
		total:     total,
	}
	w.env.SetWorkflowRunTimeout(48 * time.Hour)
	w.env.SetTestTimeout(30 * time.Second)
	w.env.RegisterWorkflowWithOptions(workflows.Order, workflow.RegisterOptions{Name: orderflow.OrderWorkflow})
	w.registerStock()
	w.registerMoney()
	happens(w, orderflow.RecordOrder, func(in orderflow.RecordInput) (orderflow.RecordResult, error) {
		w.last = in.View
		return orderflow.RecordResult{Seq: in.View.Seq}, nil
	})
	happens(w, orderflow.FindOrder, func(orderflow.FindOrderInput) (orderflow.FindOrderResult, error) {
		return orderflow.FindOrderResult{Own: true}, nil
	})
	return w
}

// happens registers an activity with an effect on the world. The effect happens as the call's fate says.
func happens[In, Out any](w *world, name string, effect func(In) (Out, error)) {
	w.env.RegisterActivityWithOptions(func(_ context.Context, in In) (Out, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		is := succeeds
		if left := w.fates[name]; len(left) > 0 {
			is, w.fates[name] = left[0], left[1:]
		}
		var none Out
		if is == failsBefore {
			return none, errDown
		}
		out, err := effect(in)
		if is == answerLost {
			return none, errDown
		}
		return out, err
	}, activity.RegisterOptions{Name: name})
}

// broke notes that a rule is broken.
func (w *world) broke(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf(format, args...))
}

func (w *world) registerStock() {
	type result = orderflow.ReservationResult
	happens(w, orderflow.ReserveStock, w.reserve)
	happens(w, orderflow.ExtendReservation, func(in orderflow.ReservationInput) (result, error) {
		b, err := w.pending(in)
		if err != nil {
			return result{}, err
		}
		if in.ExpiresAt.After(b.deadline) {
			b.deadline = *in.ExpiresAt
		}
		return b.result(), nil
	})
	happens(w, orderflow.ConfirmReservation, func(in orderflow.ReservationInput) (result, error) {
		if b := w.held[in.Reservation.Number]; b != nil && b.status == orderflow.ReservationConfirmed {
			return b.result(), nil
		}
		b, err := w.pending(in)
		if err != nil {
			return result{}, err
		}
		b.status = orderflow.ReservationConfirmed
		return b.result(), nil
	})
	happens(w, orderflow.ReleaseStock, func(in orderflow.ReservationInput) (result, error) {
		return w.close(in, orderflow.ReservationReleased).result(), nil
	})
	happens(w, orderflow.ExpireReservation, func(in orderflow.ReservationInput) (result, error) {
		b := w.held[in.Reservation.Number]
		if b != nil && b.status == orderflow.ReservationPending && w.env.Now().Before(b.deadline) {
			return result{}, refuse(orderflow.ErrNotDue, b.deadline)
		}
		return w.close(in, orderflow.ReservationExpired).result(), nil
	})
	happens(w, orderflow.ReturnStock, func(in orderflow.ReservationInput) (result, error) {
		b := w.held[in.Reservation.Number]
		for line, n := range b.lines {
			b.returned[line] = n
		}
		return b.result(), nil
	})
	happens(w, orderflow.ReturnUnits, func(in orderflow.ReturnUnitsInput) (result, error) {
		b := w.held[in.Reservation.Number]
		out := b.result()
		for _, l := range in.Lines {
			if l.UpTo > b.lines[l.LineNo] {
				w.broke("%d units of line %d come back, of %d", l.UpTo, l.LineNo, b.lines[l.LineNo])
			}
			out.Returned += max(0, l.UpTo-b.returned[l.LineNo])
			b.returned[l.LineNo] = max(b.returned[l.LineNo], l.UpTo)
		}
		return out, nil
	})
	happens(w, orderflow.WriteOffStock, func(orderflow.WriteOffInput) (orderflow.WriteOffResult, error) {
		return orderflow.WriteOffResult{}, nil
	})
}

func (w *world) reserve(in orderflow.ReserveInput) (orderflow.ReservationResult, error) {
	number := in.Reservation.Number
	if b := w.held[number]; b != nil {
		if b.lines == nil { // it was released before it was seen
			return orderflow.ReservationResult{}, refuse(orderflow.ErrReservationClosed, b.status)
		}
		return b.result(), nil
	}
	b := &booking{
		status:   orderflow.ReservationPending,
		deadline: w.env.Now().Add(time.Duration(in.TTLSeconds) * time.Second),
		lines:    map[int]int64{},
		returned: map[int]int64{},
	}
	var units int64
	for _, l := range in.Lines {
		b.lines[l.LineNo] += l.Quantity
		units += l.Quantity
	}
	if units > w.available {
		return orderflow.ReservationResult{}, refuse(orderflow.ErrOutOfStock, []orderflow.ShortLine{{Requested: units}})
	}
	w.available -= units
	w.held[number] = b
	return b.result(), nil
}

// result is how inventory answers. Each line is at a location of its own.
func (b *booking) result() orderflow.ReservationResult {
	out := orderflow.ReservationResult{ReservationID: uuid.Max, Status: b.status, ExpiresAt: b.deadline}
	for line := 1; line <= 2; line++ {
		if n := b.lines[line]; n > 0 {
			out.Lines = append(out.Lines, orderflow.ReservedLine{
				LineNo: line, Location: fmt.Sprintf("location-%d", line), Quantity: n,
			})
		}
	}
	return out
}

// pending returns a reservation that can still be extended or confirmed.
func (w *world) pending(in orderflow.ReservationInput) (*booking, error) {
	b := w.held[in.Reservation.Number]
	switch {
	case b == nil:
		return nil, refuse(orderflow.ErrReservationClosed, orderflow.ReservationReleased)
	case b.status != orderflow.ReservationPending:
		return nil, refuse(orderflow.ErrReservationClosed, b.status)
	case !w.env.Now().Before(b.deadline):
		return nil, refuse(orderflow.ErrReservationExpired)
	}
	return b, nil
}

// close releases or expires a reservation, also one that was not seen yet.
func (w *world) close(in orderflow.ReservationInput, as string) *booking {
	b := w.held[in.Reservation.Number]
	if b == nil {
		b = &booking{status: as}
		w.held[in.Reservation.Number] = b
	}
	if b.status == orderflow.ReservationPending {
		b.status = as
		for _, n := range b.lines {
			w.available += n
		}
	}
	return b
}

func (w *world) registerMoney() {
	happens(w, orderflow.AuthorisePayment, w.authorise)
	happens(w, orderflow.CapturePayment, w.capture)
	happens(w, orderflow.VoidPayment, func(in orderflow.PaymentInput) (orderflow.PaymentResult, error) {
		c := w.charges[in.PaymentKey]
		switch {
		case c == nil:
			w.charges[in.PaymentKey] = &chargeBook{state: "voided"}
		case c.state == "captured":
			return paid, refuse(orderflow.ErrPaymentCaptured)
		case c.state == "authorised":
			c.state = "voided"
		}
		return paid, nil
	})
	happens(w, orderflow.RefundPayment, w.refund)
	happens(w, orderflow.FindPayment, func(in orderflow.PaymentInput) (orderflow.PaymentResult, error) {
		switch c := w.charges[in.PaymentKey]; {
		case c == nil || c.state == "voided":
			return paid, refuse(orderflow.ErrPaymentKeyUsed)
		case c.state == "declined":
			return paid, refuse(orderflow.ErrPaymentDeclined)
		}
		return paid, nil
	})
	happens(w, orderflow.FindRefund, func(in orderflow.PaymentInput) (orderflow.PaymentResult, error) {
		out := paid
		out.RefundedMinor = w.charges[in.PaymentKey].refunds[in.RefundKey]
		return out, nil
	})
}

var paid = orderflow.PaymentResult{Provider: "test"}

func (w *world) authorise(in orderflow.PaymentInput) (orderflow.PaymentResult, error) {
	c := w.charges[in.PaymentKey]
	if c == nil {
		c = &chargeBook{state: "authorised", amount: in.Amount.Minor, refunds: map[string]int64{}}
		if in.Method == "pm_declined" {
			c.state = "declined"
		}
		w.charges[in.PaymentKey] = c
	}
	switch c.state {
	case "declined":
		return paid, refuse(orderflow.ErrPaymentDeclined, "the card was declined")
	case "voided":
		return paid, refuse(orderflow.ErrPaymentKeyUsed)
	}
	return paid, nil
}

func (w *world) capture(in orderflow.PaymentInput) (orderflow.PaymentResult, error) {
	c := w.charges[in.PaymentKey]
	if c == nil || c.state == "voided" || c.state == "declined" {
		return paid, refuse(orderflow.ErrPaymentRefused)
	}
	if c.state == "authorised" {
		if b := w.held[1]; b == nil || b.status != orderflow.ReservationConfirmed {
			w.broke("money is taken without stock")
		}
		if in.Amount.Minor != w.total {
			w.broke("%d is captured of an order of %d", in.Amount.Minor, w.total)
		}
		c.state = "captured"
	}
	return paid, nil
}

func (w *world) refund(in orderflow.PaymentInput) (orderflow.PaymentResult, error) {
	c := w.charges[in.PaymentKey]
	key := in.RefundKey
	if key == "" {
		key = in.PaymentKey
	}
	if c == nil || c.state != "captured" {
		return paid, refuse(orderflow.ErrPaymentRefused)
	}
	if before, used := c.refunds[key]; used {
		if before != in.Amount.Minor {
			return paid, refuse(orderflow.ErrPaymentKeyUsed)
		}
		return paid, nil
	}
	c.refunds[key] = in.Amount.Minor
	if c.kept() < 0 {
		w.broke("more is refunded than was captured")
	}
	return paid, nil
}

// TestMoneyFollowsStock runs orders with random requests at random times, against an inventory and a provider whose
// calls fail before their effect, or lose their answer after it. Whatever happens, in the end:
//   - money was taken at most once, never without stock, and none is left set aside;
//   - no stock is left reserved;
//   - an order that was carried out has kept just the price of what its customer has or gets, and just the stock of it;
//   - any other order has kept neither money nor stock.
func TestMoneyFollowsStock(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		in := drawOrder(r)
		w := newWorld(drawFates(r), rapid.SampledFrom([]int64{0, 5, 9, 20}).Draw(r, "units in stock"), in.Total.Minor)
		story := ordinaryLife()
		for _, step := range story[:rapid.IntRange(0, len(story)).Draw(r, "steps of an ordinary life")] {
			w.send(step.at, step.name, step.arg)
		}
		for range rapid.IntRange(0, 12).Draw(r, "requests") {
			name, arg := drawRequest(r)
			w.send(drawTime(r, name), name, arg)
		}
		w.env.SetStartWorkflowOptions(client.StartWorkflowOptions{
			ID: orderflow.OrderWorkflowID(in.OrderID), TaskQueue: orderflow.OrdersQueue,
		})
		w.env.ExecuteWorkflow(orderflow.OrderWorkflow, in)
		if err := w.env.GetWorkflowError(); err != nil && !workflow.IsContinueAsNewError(err) {
			r.Fatalf("the workflow failed: %v", err)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.checkBooks(in)
		for _, rule := range w.broken {
			r.Errorf("%s; the order is %s, shipments %+v", rule, w.last.State, w.last.Fulfilment)
		}
	})
}

// send sends an update at the given time after the start, and ignores its answer.
func (w *world) send(at time.Duration, name string, arg any) {
	w.env.RegisterDelayedCallback(func() {
		w.env.UpdateWorkflow(name, uuid.NewString(), &testsuite.TestUpdateCallback{
			OnReject:   func(error) {},
			OnAccept:   func() {},
			OnComplete: func(any, error) {},
		}, arg)
	}, at)
}

// checkBooks compares the books with the order as it was last recorded.
func (w *world) checkBooks(in orderflow.OrderInput) {
	captures, kept := 0, int64(0)
	for key, c := range w.charges {
		switch c.state {
		case "authorised":
			w.broke("the money of %s is left set aside", key)
		case "captured":
			captures++
			kept += c.kept()
		}
	}
	if captures > 1 {
		w.broke("money is taken %d times", captures)
	}

	stock := map[int]int64{}
	for number, b := range w.held {
		switch b.status {
		case orderflow.ReservationPending:
			w.broke("the stock of reservation %d is left reserved", number)
		case orderflow.ReservationConfirmed:
			for line, n := range b.lines {
				stock[line] += n - b.returned[line]
			}
		}
	}
	wantMoney, wantStock := owed(in, w.last)
	if kept != wantMoney {
		w.broke("%d is kept, and what the customer has costs %d", kept, wantMoney)
	}
	for _, l := range in.Lines {
		if stock[l.LineNo] != wantStock[l.LineNo] {
			w.broke("%d units of line %d have left the stock, not %d", stock[l.LineNo], l.LineNo, wantStock[l.LineNo])
		}
	}
}

// owed returns what an order may keep: the money, and the units of each line that have left the stock for good.
func owed(in orderflow.OrderInput, view orderflow.View) (total int64, stock map[int]int64) {
	stock = map[int]int64{}
	carriedOut := view.Fulfilment != nil && view.State != order.Failed
	if !carriedOut {
		return 0, stock
	}
	var with int64 // units that the customer has or gets
	for _, l := range in.Lines {
		var brought, arrived, granted int64
		for _, s := range view.Fulfilment.Shipments {
			for _, x := range s.Lines {
				if x.LineNo != l.LineNo {
					continue
				}
				stock[l.LineNo] += x.Quantity + x.Short - x.Restocked
				if s.Status != orderflow.ShipmentLost {
					brought += x.Quantity
				}
				brought += x.Rerouting
			}
		}
		for _, b := range view.Fulfilment.Returns {
			for _, x := range b.Lines {
				if x.LineNo == l.LineNo {
					arrived += x.Restocked + x.Damaged
					granted += x.RefundMinor
				}
			}
		}
		missing := l.Quantity - brought
		total += l.Total.Minor - min(l.Total.Minor, (2*l.Total.Minor*missing+l.Quantity)/(2*l.Quantity)+granted)
		with += brought - arrived
	}
	if with > 0 {
		total += in.Shipping.Minor
	}
	return total, stock
}
