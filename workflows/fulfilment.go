package workflows

import (
	"errors"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// A paid order stays open until the customer has everything, or has the money for what does not come. The warehouse,
// the carrier, the customer and operators report and ask by updates, which the loop in fulfil carries out one at a
// time.
//
// The shipments are the whole state of this part of the story, and the order's row has them (orderflow.Fulfilment).
// What the order owes follows from them: the price of the units that no shipment brings, and the stock of those that
// were cancelled. Two coroutines pay these debts (debts.go). So a run that goes on from the row, after a reset, a
// termination or a long wait, pays what the earlier run had not paid, and pays nothing twice.

// runTime is how long a run of a paid order waits for the warehouse. Then it continues as new, on the current version
// of the workers, so that no version must be kept for an order that waits for weeks.
const runTime = 24 * time.Hour

// fulfils reports whether the order's workflow goes on after the order is paid.
func (o *orderRun) fulfils() bool { return o.in.Revision >= orderflow.RevisionFulfilment }

// goesOn reports whether the workflow of a paid order has something to wait for.
func (o *orderRun) goesOn(ctx workflow.Context) bool { return o.underFulfilment() || o.returning(ctx) }

// underFulfilment reports whether something is still to happen to the shipments of a paid order.
func (o *orderRun) underFulfilment() bool {
	return o.fulfils() && o.state.CarriedOut() && !o.state.Closed() && !o.unrecordable
}

// fulfil carries out what is asked of a paid order until its last shipment is delivered or given up, and no return is
// open. It returns an error that continues the workflow as new after runTime.
func (o *orderRun) fulfil(ctx workflow.Context) error {
	ctx, cancel := workflow.NewDisconnectedContext(ctx) // a cancellation of the workflow is one of the inputs
	defer cancel()
	if err := o.planShipments(ctx); err != nil {
		return err
	}
	o.payDebts(ctx)
	o.goOnRerouting(ctx)

	cancelled := false
	timer := workflow.NewTimerWithOptions(ctx, runTime, workflow.TimerOptions{
		Summary: timerName("the run continues as new", o.started.Add(runTime)),
	})
	for o.goesOn(ctx) {
		if o.mailbox.empty() {
			o.show(ctx)
		}
		_, lapse := nextLapse(o.fulfilment)
		o.lapseAlarm.set(ctx, lapse, "a return lapses")
		stop := func() bool { return o.root.Err() != nil && !cancelled }
		tired := func() bool { return timer.IsReady() && o.quiet(ctx) }
		if err := workflow.Await(ctx, func() bool {
			return o.mailbox.urgent() || !o.mailbox.empty() || stop() || tired() || o.lapseAlarm.rings() || !o.goesOn(ctx)
		}); err != nil {
			return err
		}
		switch {
		case o.mailbox.urgent():
			o.handleBlockedRecorder(ctx)
			o.goOnRerouting(ctx)
		case !o.mailbox.empty():
			o.mailbox.runFirstUnless(ctx, func(c *command[order.Input]) error { return o.refuse(c.input) })
		case stop():
			cancelled = true
			o.cancelByTemporal(ctx)
		case o.lapseAlarm.rings():
			o.lapse(ctx)
		case tired():
			return o.continueAsNew(ctx)
		}
	}
	return nil
}

// planShipments plans a shipment for each location from which the reservation took stock, unless an earlier run has
// planned them. Inventory answers a repeated confirmation in the same way.
func (o *orderRun) planShipments(ctx workflow.Context) error {
	if len(o.shipments()) > 0 {
		return nil
	}
	taken, err := confirmReservation(ctx, o.reservationInput("paid"), nil)
	if err != nil {
		workflow.GetLogger(ctx).Error("cannot learn where the stock of a paid order is",
			"order_number", o.in.Number, "error", err)
		markNeedsOperator(ctx, true)
		return err
	}
	o.plan(taken.Lines)
	return nil
}

// plan plans the shipments of an order that is being confirmed.
func (o *orderRun) plan(taken []orderflow.ReservedLine) {
	if !o.fulfils() {
		return
	}
	var planned shipments
	planned.plan(o.ref.Number, taken)
	o.fulfilment = &orderflow.Fulfilment{Shipments: planned}
}

// shipments returns the order's shipments; none before the order is paid.
func (o *orderRun) shipments() shipments {
	if o.fulfilment == nil {
		return nil
	}
	return o.fulfilment.Shipments
}

// errUnchanged says that a repeated request finds what it asks for.
var errUnchanged = errors.New("the request has had its effect")

// change is a request that changes the shipments.
type change struct {
	input    order.Input
	event    order.Event
	shipment int // the number of the shipment that the event concerns; 0: none
	actor    string
	reason   string
	key      string                            // the Idempotency-Key of a request that a repeat would do twice
	request  string                            // tells requests with the same key apart
	apply    func(*orderflow.Fulfilment) error // changes a copy, or returns why not
	then     func(workflow.Context)            // what the change causes, once it is decided; may be nil
}

// tried returns the shipments after a change, or why the change is refused.
func (o *orderRun) tried(c change) (*orderflow.Fulfilment, error) {
	if err := o.used(c); err != nil {
		return nil, err
	}
	if o.repeats(c) {
		return nil, errUnchanged
	}
	if err := o.refuse(c.input); err != nil {
		return nil, err
	}
	after := o.fulfilment.Clone()
	if after == nil { // the loop of a paid order has not begun; it plans them first
		return nil, refuse(string(order.NotReady), "the shipments are not planned yet; try again shortly")
	}
	return after, c.apply(after)
}

// mayChange is the validator of a change.
func (o *orderRun) mayChange(c change) error {
	if o.startsFromRow() {
		return nil // change decides once the row is read
	}
	_, err := o.tried(c)
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

// change lets the loop carry a change out, and returns once the change is recorded.
func (o *orderRun) change(ctx workflow.Context, c change) (orderflow.FulfilmentResult, error) {
	c.actor = orOperator(c.actor)
	run := func(ctx workflow.Context) error {
		after, err := o.tried(c) // another request may have come first
		switch {
		case errors.Is(err, errUnchanged):
			return nil
		case err != nil:
			return err
		}
		o.fulfilment = after
		if c.key != "" {
			o.keys = append(o.keys, c.key+" "+c.request)
			o.keys = o.keys[max(0, len(o.keys)-maxKeys):]
		}
		o.applyEvent(ctx, c.input, c.event, c.shipment, c.actor, c.reason)
		if c.then != nil || len(o.shipments().rerouting()) > 0 {
			// What follows moves stock, so the change must be in the row first: a run that knows only the row goes on from it.
			if o.recorder.waitAll(ctx); o.recorder.blocked() {
				return nil
			}
		}
		if c.then != nil {
			c.then(ctx)
		}
		o.rerouteOpen(ctx)
		o.conclude(ctx, c.actor, c.reason)
		return nil
	}
	if o.startsFromRow() {
		if err := workflow.Await(ctx, func() bool { return !o.startsFromRow() }); err != nil {
			return orderflow.FulfilmentResult{}, err
		}
	}
	loads := o.loads
	err := o.request(ctx, &command[order.Input]{input: c.input, actor: c.actor, run: run})
	if err != nil && (o.repeats(c) || errors.Is(o.used(c), errUnchanged)) {
		// The first of two equal requests has ended the order, which allows no request any more.
		err = o.recorder.wait(ctx, o.recorder.added)
	}
	if err == nil && o.loads != loads { // the change was decided on a state that an earlier run had left behind
		err = refuse(string(order.NotReady), "the order has changed meanwhile; send the same request again")
	}
	return orderflow.FulfilmentResult{View: o.view(), Request: c.request}, err
}

// repeats reports whether a report of the carrier finds what it says. A repeat of the report that has ended the order
// does, in a state that allows no report any more.
func (o *orderRun) repeats(c change) bool {
	return c.input == order.Carry && o.fulfilment != nil && errors.Is(c.apply(o.fulfilment.Clone()), errUnchanged)
}

// used returns errUnchanged if the change was carried out under its key, and the refusal ErrKeyReused if another one
// was.
func (o *orderRun) used(c change) error {
	if c.key == "" {
		return nil
	}
	for _, known := range o.keys {
		key, request, _ := strings.Cut(known, " ") // no key has a space
		switch {
		case key != c.key:
		case request == c.request || request == "": // an earlier version did not keep the request
			return errUnchanged
		default:
			return keyReused()
		}
	}
	return nil
}

func keyReused() error {
	return refuse(orderflow.ErrKeyReused, "the Idempotency-Key was used for another request; take a new one")
}

// startsFromRow reports whether this run continues an order whose row it has not read yet.
func (o *orderRun) startsFromRow() bool { return o.in.Continues && o.state == order.Pending }

// maxKeys is how many Idempotency-Keys an order remembers from run to run.
const maxKeys = 100

// goOnRerouting ends what an earlier run has begun.
func (o *orderRun) goOnRerouting(ctx workflow.Context) {
	if !o.underFulfilment() || o.recorder.blocked() {
		return
	}
	o.rerouteOpen(ctx)
	o.conclude(ctx, orderflow.ActorSystem, "")
}

// conclude ends the order if no shipment is open any more.
func (o *orderRun) conclude(ctx workflow.Context, actor, reason string) {
	all := o.shipments()
	switch {
	case o.state == order.Completed:
		o.concludeReturns(ctx)
	case all.open() || !o.underFulfilment():
	case all.anyDelivered():
		o.apply(ctx, order.AllDelivered, orderflow.ActorSystem, "")
		o.concludeReturns(ctx)
	case all.onlyCancelled():
		o.apply(ctx, order.Cancel, actor, reason)
	default:
		o.apply(ctx, order.NoneDelivered, orderflow.ActorSystem, "nothing could be delivered")
	}
}

// concludeReturns ends a completed order of which the customer gets all of the money back.
func (o *orderRun) concludeReturns(ctx workflow.Context) {
	if len(o.fulfilment.Returns) > 0 && o.in.Total.Minor > 0 && !openReturns(o.fulfilment) &&
		refundDue(o.fulfilment, o.in) == o.in.Total.Minor {
		o.apply(ctx, order.AllReturned, orderflow.ActorSystem, "")
	}
}

// cancelPaid cancels a paid order of which no shipment has left. The debts of the order give stock and money back.
func (o *orderRun) cancelPaid(ctx workflow.Context, actor, reason string) {
	after := o.fulfilment.Clone()
	shipments(after.Shipments).cancelAll()
	o.fulfilment = after
	o.apply(ctx, order.Cancel, actor, reason)
}

// cancelByTemporal handles the cancellation of the workflow itself.
func (o *orderRun) cancelByTemporal(ctx workflow.Context) {
	if err := o.refuse(order.Cancel); err != nil {
		workflow.GetLogger(ctx).Warn("a cancellation of the workflow comes too late; the order goes on", "error", err)
		return
	}
	o.cancelPaid(ctx, orderflow.ActorTemporal, "the workflow was cancelled")
}

// rerouteOpen brings the units that are short or lost from elsewhere: it reserves and takes the same units of each line
// again, wherever inventory has them, and plans their shipments. Where there are none, the units are given up, and
// their price becomes due.
func (o *orderRun) rerouteOpen(ctx workflow.Context) {
	for _, missing := range o.shipments().rerouting() {
		taken, reservation := o.takeAgain(ctx, missing)
		after := o.fulfilment.Clone()
		all := shipments(after.Shipments)
		all.rerouted(missing.LineNo)
		reason := "no location has the units; their price is refunded"
		if len(taken) > 0 {
			all.plan(reservation, taken)
			reason = ""
		}
		after.Shipments = all
		o.fulfilment = after
		o.noteShipment(ctx, order.EventRerouted, len(all), orderflow.ActorSystem, reason)
	}
}

const (
	// rerouteTTL is how long the units of a new reservation are held until the workflow has taken them.
	rerouteTTL = 10 * time.Minute
	// maxReroutes bounds how many reservations are tried for one line: a number may be used up by a run of the workflow
	// of which this one does not know, or its time may be over before the stock is taken.
	maxReroutes = 5
)

// takeAgain reserves and takes units of one line. It returns where, and the number of the reservation; nothing if
// inventory has too few. It waits until inventory answers.
func (o *orderRun) takeAgain(
	ctx workflow.Context, missing orderflow.LineQuantity,
) ([]orderflow.ReservedLine, int) {
	for range maxReroutes {
		o.reservations = max(o.reservations, o.shipments().lastReservation(), o.ref.Number) + 1
		ref := o.ref
		ref.Number = o.reservations
		_, err := reserveStock(ctx, orderflow.ReserveInput{
			Reservation:   ref,
			Actor:         orderflow.ActorSystem,
			TTLSeconds:    int(rerouteTTL / time.Second),
			CorrelationID: o.in.CorrelationID,
			Lines: []orderflow.ReserveLine{{
				LineNo: missing.LineNo, ProductID: o.line(missing.LineNo).ProductID, Quantity: missing.Quantity,
			}},
		}, 0, nil)
		switch refusal(err) {
		case "":
		case orderflow.ErrReservationClosed, orderflow.ErrReservationRefused: // another run has used the number
			continue
		default:
			return nil, 0
		}
		taken, err := confirmReservation(ctx, orderflow.ReservationInput{
			Reservation:   ref,
			Actor:         orderflow.ActorSystem,
			Reason:        "units of the order were short or lost",
			CorrelationID: o.in.CorrelationID,
		}, nil)
		if err == nil {
			return taken.Lines, ref.Number
		}
	}
	return nil, 0
}

// line returns a line of the order; its number is known to exist.
func (o *orderRun) line(lineNo int) orderflow.Line {
	for _, l := range o.in.Lines {
		if l.LineNo == lineNo {
			return l
		}
	}
	return orderflow.Line{}
}

// idle reports whether a paid order waits for the warehouse, and everything is recorded and given back.
func (o *orderRun) idle() bool {
	return o.fulfilment != nil && o.mailbox.empty() && o.recorder.idle() && o.debtsPaid()
}

// quiet reports whether nothing is under way that a continued run would not know from the order's row. The row does not
// say that the provider has refused a refund, and an operator may still make that refund by hand.
func (o *orderRun) quiet(ctx workflow.Context) bool {
	return o.idle() && !o.debts.refused && workflow.AllHandlersFinished(ctx)
}

// continueAsNew ends this run and starts another on the current version of the workers, which goes on from the order's
// row.
func (o *orderRun) continueAsNew(ctx workflow.Context) error {
	in := o.in
	in.Continues, in.Keys, in.RefundByHand, in.Repair = true, o.keys, nil, nil
	if o.ref.Number > 1 {
		in.ReservationNumber = o.ref.Number
	}
	return workflow.NewContinueAsNewErrorWithOptions(ctx, workflow.ContinueAsNewErrorOptions{
		InitialVersioningBehavior: workflow.ContinueAsNewVersioningBehaviorAutoUpgrade,
	}, orderflow.OrderWorkflow, in)
}

// goOn goes on from the row of a paid or backordered order that an earlier run has recorded.
func (o *orderRun) goOn(ctx workflow.Context) error {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	found, err := o.findRow(ctx)
	if err != nil {
		return err
	}
	if found.Order == nil || !found.Order.State.Settled() && found.Order.State != order.Backordered {
		return refuse(orderflow.ErrRecordConflict, "the order is not recorded as paid or backordered, "+
			"so there is nothing to go on from; start the workflow without continues")
	}
	o.recorder.input = nil
	o.load(*found.Order)
	if o.state.Settled() {
		o.takeOverPayments(*found.Order)
	}
	o.noteOwnRepair(ctx, *found.Order)
	if o.state == order.Backordered {
		o.undo.add("give the stock back", o.undoReserve)
		o.lookForStock(ctx)
	}
	o.takeRefundByHand(ctx)
	o.refreshDetails(ctx)
	return nil
}
