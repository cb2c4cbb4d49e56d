package workflows

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// A customer can send back what was delivered. An operator approves the return, and the warehouse reports what has
// arrived: what goes back on the shelf, and what is damaged. The customer gets the price of the units, or less if the
// report says so. A return is a part of the order's state, as a shipment is, and what it owes the customer and
// inventory is paid as every debt of the order (debts.go).
//
// The workflow of a completed order goes on while a return is open. If it has ended, the request for a return starts it
// again, and it goes on from the order's row (goOn).

// takesReturns reports whether the workflow knows returns.
func (o *orderRun) takesReturns() bool { return o.in.Revision >= orderflow.RevisionReturns }

// returning reports whether a completed order has an open return, or anything that is not finished: a request without
// an answer, a debt, a record. A request for a return is allowed until the workflow has ended, so nothing that takes
// time may be left for finish, where nobody would carry the request out.
func (o *orderRun) returning(ctx workflow.Context) bool {
	return o.takesReturns() && o.state == order.Completed && o.fulfilment != nil && !o.unrecordable &&
		(openReturns(o.fulfilment) || !o.quiet(ctx))
}

// openReturns reports whether something is still to happen to a return.
func openReturns(f *orderflow.Fulfilment) bool {
	return slices.ContainsFunc(f.Returns, func(r orderflow.Return) bool { return r.Status.Open() })
}

// nextLapse returns the number of the approved return that lapses first, and when. number is 0 if there is none.
func nextLapse(f *orderflow.Fulfilment) (number int, at time.Time) {
	if f == nil {
		return 0, time.Time{}
	}
	for _, r := range f.Returns {
		if r.Status == orderflow.ReturnApproved && r.ReceiveBy != nil && (number == 0 || r.ReceiveBy.Before(at)) {
			number, at = r.Number, *r.ReceiveBy
		}
	}
	return number, at
}

// lapse ends the approved returns whose time is over by the moment for which the alarm was set.
func (o *orderRun) lapse(ctx workflow.Context) {
	for {
		number, at := nextLapse(o.fulfilment)
		if number == 0 || at.After(o.lapseAlarm.at) {
			return
		}
		o.fulfilment = o.fulfilment.Clone()
		o.fulfilment.Returns[number-1].Status = orderflow.ReturnLapsed
		o.apply(ctx, order.ReturnOverdue, orderflow.ActorSystem, returnName(number, ""))
	}
}

// alarm is a timer for one moment, which can change.
type alarm struct {
	at    time.Time // zero: no alarm is set
	timer workflow.Future
	stop  workflow.CancelFunc
}

// set sets the alarm to a moment, or to none. The timer is an event in the history, so the alarm keeps it as long as
// the moment stays the same.
func (a *alarm) set(ctx workflow.Context, at time.Time, summary string) {
	if at.Equal(a.at) {
		return
	}
	if a.stop != nil {
		a.stop()
	}
	*a = alarm{at: at}
	if at.IsZero() {
		return
	}
	ctx, a.stop = workflow.WithCancel(ctx)
	a.timer = workflow.NewTimerWithOptions(ctx, at.Sub(workflow.Now(ctx)), workflow.TimerOptions{
		Summary: timerName(summary, at),
	})
}

// rings reports whether the moment has come.
func (a *alarm) rings() bool { return a.timer != nil && a.timer.IsReady() }

// returnable returns how many units of a line the customer has, less those that are in a return.
func returnable(f *orderflow.Fulfilment, lineNo int) int64 {
	var n int64
	for _, s := range f.Shipments {
		for _, l := range s.Lines {
			if l.LineNo == lineNo && s.Status == orderflow.ShipmentDelivered {
				n += l.Quantity
			}
		}
	}
	for _, r := range f.Returns {
		for _, l := range r.Lines {
			switch {
			case l.LineNo != lineNo:
			case r.Status.Open():
				n -= l.Quantity
			default:
				n -= l.Restocked + l.Damaged
			}
		}
	}
	return n
}

// findReturn returns the return with the number, if it has one of the statuses. Refusals: ErrReturnNotFound,
// ErrReturnState.
func findReturn(f *orderflow.Fulfilment, number int, statuses ...orderflow.ReturnStatus) (*orderflow.Return, error) {
	if number < 1 || number > len(f.Returns) {
		return nil, refuse(orderflow.ErrReturnNotFound, "the order has no return %d; it has %d", number, len(f.Returns))
	}
	found := &f.Returns[number-1]
	if !slices.Contains(statuses, found.Status) {
		return nil, refuse(orderflow.ErrReturnState, "return %d is %s", number, found.Status)
	}
	return found, nil
}

// requestReturn adds a return. Refusals: ErrInvalidInput, ErrNotReturnable. A request whose key has made a return is
// errUnchanged.
func requestReturn(f *orderflow.Fulfilment, in orderflow.ReturnInput) error {
	in.Lines = slices.SortedFunc(slices.Values(in.Lines), func(a, b orderflow.LineQuantity) int {
		return cmp.Compare(a.LineNo, b.LineNo) // as the row keeps them
	})
	if err := madeBy(f, in.Key, func(r orderflow.Return) bool { return asksFor(r, in) }); err != nil {
		return err
	}
	if !slices.Contains(orderflow.ReturnReasons(), in.Reason) {
		return refuse(orderflow.ErrInvalidInput, "the reason of a return is one of %v", orderflow.ReturnReasons())
	}
	if len(in.Lines) == 0 || len(f.Returns) >= maxReturns {
		return refuse(orderflow.ErrInvalidInput, "name the lines that come back; an order has at most %d returns", maxReturns)
	}
	added := orderflow.Return{
		Number: len(f.Returns) + 1,
		Status: orderflow.ReturnRequested,
		Reason: in.Reason,
		Note:   in.Note,
		Key:    in.Key,
	}
	for i, l := range in.Lines {
		if slices.ContainsFunc(in.Lines[:i], func(other orderflow.LineQuantity) bool { return other.LineNo == l.LineNo }) {
			return refuse(orderflow.ErrInvalidInput, "name each line once")
		}
		if n := returnable(f, l.LineNo); l.Quantity < 1 || l.Quantity > n {
			return refuse(orderflow.ErrNotReturnable,
				"%d of line %d can be returned, not %d: only what was delivered and is in no other return", n, l.LineNo, l.Quantity)
		}
		added.Lines = append(added.Lines, orderflow.ReturnLine{LineNo: l.LineNo, Quantity: l.Quantity})
	}
	if in.Approved {
		added.Status, added.ReceiveBy = orderflow.ReturnApproved, in.ReceiveBy
	}
	f.Returns = append(f.Returns, added)
	return nil
}

// madeBy returns errUnchanged if the request with the key has made a return already, the refusal ErrKeyReused if
// another request has, and nil if none has.
func madeBy(f *orderflow.Fulfilment, key string, same func(orderflow.Return) bool) error {
	for _, r := range f.Returns {
		switch {
		case key == "" || r.Key != key:
		case same(r):
			return errUnchanged
		default:
			return keyReused()
		}
	}
	return nil
}

// byLine is the order in which the row keeps the lines of a return.
func byLine(a, b orderflow.ReturnLine) int { return cmp.Compare(a.LineNo, b.LineNo) }

// asksFor reports whether a request is the one that made the return.
func asksFor(r orderflow.Return, in orderflow.ReturnInput) bool {
	return r.Reason == in.Reason && slices.EqualFunc(r.Lines, in.Lines,
		func(l orderflow.ReturnLine, asked orderflow.LineQuantity) bool {
			return l.LineNo == asked.LineNo && l.Quantity == asked.Quantity
		})
}

// maxReturns bounds the returns of one order.
const maxReturns = 50

// receiveReturn notes what has arrived of a return, and what the customer gets for it. lines are the order's. Refusals:
// as of findReturn, ErrInvalidInput.
func receiveReturn(f *orderflow.Fulfilment, in orderflow.ReturnInput, lines []orderflow.Line) error {
	to, err := findReturn(f, in.Return, orderflow.ReturnApproved, orderflow.ReturnLapsed, orderflow.ReturnReceived)
	if err != nil {
		return err
	}
	if to.Status == orderflow.ReturnReceived {
		if receivedAs(*to, in.Arrived) {
			return errUnchanged
		}
		return refuse(orderflow.ErrReturnState, "return %d was received already, with other units", in.Return)
	}
	for i, a := range in.Arrived {
		if slices.ContainsFunc(in.Arrived[:i], func(other orderflow.Arrival) bool { return other.LineNo == a.LineNo }) {
			return refuse(orderflow.ErrInvalidInput, "name each line once")
		}
		if err := arrive(f, to, a, lines); err != nil {
			return err
		}
	}
	to.Status = orderflow.ReturnReceived
	return nil
}

// arrive notes what has arrived of one line.
func arrive(f *orderflow.Fulfilment, to *orderflow.Return, a orderflow.Arrival, lines []orderflow.Line) error {
	at := slices.IndexFunc(to.Lines, func(l orderflow.ReturnLine) bool { return l.LineNo == a.LineNo })
	if at < 0 {
		return refuse(orderflow.ErrInvalidInput, "line %d is not in return %d", a.LineNo, to.Number)
	}
	l := &to.Lines[at]
	arrived := a.Restocked + a.Damaged
	if a.Restocked < 0 || a.Damaged < 0 || arrived > l.Quantity {
		return refuse(orderflow.ErrInvalidInput, "return %d has %d of line %d; %d restocked and %d damaged are not possible",
			to.Number, l.Quantity, a.LineNo, a.Restocked, a.Damaged)
	}
	// Another return may have taken the units since this one has lapsed.
	if to.Status == orderflow.ReturnLapsed && arrived > returnable(f, a.LineNo) {
		return refuse(orderflow.ErrNotReturnable, "%d of line %d can still come back", returnable(f, a.LineNo), a.LineNo)
	}

	price := priceOfReturned(f, lines, a.LineNo, arrived)
	refund := price
	if a.RefundMinor != nil {
		refund = *a.RefundMinor
	}
	if refund < 0 || refund > price {
		return refuse(orderflow.ErrInvalidInput, "the most to refund for %d unit(s) of line %d is %d, in minor units",
			arrived, a.LineNo, price)
	}
	l.Restocked, l.Damaged, l.RefundMinor = a.Restocked, a.Damaged, refund
	restock(f.Shipments, a.LineNo, a.Restocked)
	return nil
}

// restock puts units of a line back on the shelves from which they were sent.
func restock(sent []orderflow.Shipment, lineNo int, n int64) {
	for i := range sent {
		if sent[i].Status != orderflow.ShipmentDelivered {
			continue
		}
		for j := range sent[i].Lines {
			if l := &sent[i].Lines[j]; l.LineNo == lineNo {
				back := min(n, l.Quantity-l.Restocked)
				l.Restocked += back
				n -= back
			}
		}
	}
}

// receivedAs reports whether a received return has just these units.
func receivedAs(r orderflow.Return, arrived []orderflow.Arrival) bool {
	for _, l := range r.Lines {
		at := slices.IndexFunc(arrived, func(a orderflow.Arrival) bool { return a.LineNo == l.LineNo })
		same := at < 0 && l.Restocked+l.Damaged == 0
		if at >= 0 {
			a := arrived[at]
			same = a.Restocked == l.Restocked && a.Damaged == l.Damaged &&
				(a.RefundMinor == nil || *a.RefundMinor == l.RefundMinor)
		}
		if !same {
			return false
		}
	}
	return true
}

// handleReturns registers the updates of returns.
func (o *orderRun) handleReturns(ctx workflow.Context) error {
	for _, u := range []struct {
		name, description string
		change            func(orderflow.ReturnInput) change
	}{
		{
			orderflow.UpdateRequestReturn,
			`The customer wants to send delivered units back. Input: {"lines": ` +
				`[{"line_no": 1, "quantity": 1}], "reason": "no_longer_wanted", "approved": true}.`,
			o.requestReturn,
		},
		{
			orderflow.UpdateApproveReturn,
			`An operator lets the customer send the units. Input: {"return": 1}.`,
			o.approveReturn,
		},
		{
			orderflow.UpdateRejectReturn,
			`An operator refuses a return. Input: {"return": 1, "note": "…"}, the note for the customer.`,
			o.rejectReturn,
		},
		{
			orderflow.UpdateCancelReturn,
			`The customer keeps the units. Input: {"return": 1}.`,
			o.cancelReturn,
		},
		{
			orderflow.UpdateReceiveReturn,
			`The warehouse says what has arrived; the customer is refunded. ` +
				`Input: {"return": 1, "arrived": [{"line_no": 1, "restocked": 1, "damaged": 0}]}.`,
			o.receiveReturn,
		},
		{
			orderflow.UpdateRefund,
			`An operator gives a part of the price back, without a return. ` +
				`Input: {"refunds": [{"line_no": 1, "minor": 500}], "note": "…"}, the note for the customer.`,
			o.grantRefund,
		},
	} {
		if err := handleChange(ctx, o, u.name, u.description, u.change); err != nil {
			return err
		}
	}
	return workflow.SetQueryHandlerWithOptions(ctx, orderflow.QueryPreviewReturn, o.previewReturn,
		workflow.QueryHandlerOptions{
			Description: `What a step of a return would do. Input: {"update": "request_return", "input": {…}}.`,
		})
}

func (o *orderRun) requestReturn(in orderflow.ReturnInput) change {
	event := order.EventReturnRequested
	if in.Approved {
		event = order.EventReturnApproved
	}
	return change{
		input:   order.Return,
		event:   event,
		request: in.Request,
		actor:   in.Actor,
		reason:  string(in.Reason),
		apply:   func(f *orderflow.Fulfilment) error { return requestReturn(f, in) },
	}
}

func (o *orderRun) approveReturn(in orderflow.ReturnInput) change {
	return o.returnChange(in, order.EventReturnApproved, "", func(f *orderflow.Fulfilment) error {
		found, err := findReturn(f, in.Return, orderflow.ReturnRequested, orderflow.ReturnApproved)
		if err != nil {
			return err
		}
		if found.Status == orderflow.ReturnApproved {
			return errUnchanged
		}
		found.Status, found.ReceiveBy = orderflow.ReturnApproved, in.ReceiveBy
		return nil
	})
}

func (o *orderRun) rejectReturn(in orderflow.ReturnInput) change {
	return o.returnChange(in, order.EventReturnRejected, in.Note, func(f *orderflow.Fulfilment) error {
		found, err := findReturn(f, in.Return, orderflow.ReturnRequested, orderflow.ReturnRejected)
		if err != nil {
			return err
		}
		if found.Status == orderflow.ReturnRejected {
			return errUnchanged
		}
		found.Status, found.Note = orderflow.ReturnRejected, in.Note
		return nil
	})
}

func (o *orderRun) cancelReturn(in orderflow.ReturnInput) change {
	return o.returnChange(in, order.EventReturnCancelled, "", func(f *orderflow.Fulfilment) error {
		found, err := findReturn(f, in.Return,
			orderflow.ReturnRequested, orderflow.ReturnApproved, orderflow.ReturnCancelled)
		if err != nil {
			return err
		}
		if found.Status == orderflow.ReturnCancelled {
			return errUnchanged
		}
		found.Status = orderflow.ReturnCancelled
		return nil
	})
}

func (o *orderRun) receiveReturn(in orderflow.ReturnInput) change {
	return o.returnChange(in, order.EventReturnReceived, "", func(f *orderflow.Fulfilment) error {
		return receiveReturn(f, in, o.in.Lines)
	})
}

// returnChange is a change of one return.
func (o *orderRun) returnChange(
	in orderflow.ReturnInput, event order.Event, reason string, apply func(*orderflow.Fulfilment) error,
) change {
	return change{
		input:  order.Return,
		event:  event,
		actor:  in.Actor,
		reason: returnName(in.Return, reason),
		apply:  apply,
	}
}

// returnName names a return in the timeline.
func returnName(number int, why string) string {
	if why == "" {
		return fmt.Sprintf("return %d", number)
	}
	return fmt.Sprintf("return %d: %s", number, why)
}

// previewReturn says what a step of a return would do. It changes nothing. For a return that is requested it supposes
// that all of it arrives and goes back on the shelf.
func (o *orderRun) previewReturn(in orderflow.PreviewReturnInput) (orderflow.ReturnPreview, error) {
	if o.startsFromRow() {
		return orderflow.ReturnPreview{Refusal: string(order.NotReady), Detail: "try again shortly"}, nil
	}
	step := o.requestReturn(in.Input)
	switch in.Update {
	case orderflow.UpdateReceiveReturn:
		step = o.receiveReturn(in.Input)
	case orderflow.UpdateRefund:
		step = o.grantRefund(in.Input)
	default:
	}
	after, err := o.tried(step)
	if err == nil && in.Update == orderflow.UpdateRequestReturn {
		arrival := orderflow.ReturnInput{Return: len(after.Returns)}
		for _, l := range in.Input.Lines {
			arrival.Arrived = append(arrival.Arrived, orderflow.Arrival{LineNo: l.LineNo, Restocked: l.Quantity})
		}
		after.Returns[len(after.Returns)-1].Status = orderflow.ReturnApproved
		err = receiveReturn(after, arrival, o.in.Lines)
	}
	if err != nil {
		refused := refusedPreview(orderflow.CancelPreview{}, err)
		return orderflow.ReturnPreview{Refusal: refused.Refusal, Detail: refused.Detail}, nil
	}

	out := orderflow.ReturnPreview{RefundMinor: refundDue(after, o.in) - refundDue(o.fulfilment, o.in)}
	for _, l := range o.in.Lines {
		if n := restocked(after.Shipments, l.LineNo) - restocked(o.fulfilment.Shipments, l.LineNo); n > 0 {
			out.Restocked = append(out.Restocked, orderflow.LineQuantity{LineNo: l.LineNo, Quantity: n})
		}
	}
	return out, nil
}

// restocked counts the units of a line that came back on the shelf.
func restocked(sent []orderflow.Shipment, lineNo int) int64 {
	var n int64
	for _, s := range sent {
		for _, l := range s.Lines {
			if l.LineNo == lineNo {
				n += l.Restocked
			}
		}
	}
	return n
}
