// Package workflows holds our two workflows: Order, and Reservation for stock that a customer reserves without an
// order. Workflow code is deterministic. It does all input and output in activities, which it calls by their names in
// orderflow, and it takes the time from workflow.Now and from workflow timers.
package workflows

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// Order reserves the stock of an order, waits for the payment until the reservation's deadline, and sees the paid order
// through until its last shipment is delivered. It ends with the order completed, or with every step undone.
//
// One loop changes the state. Update handlers only put a command into the loop's mailbox and wait for its result. The
// table in internal/order says what each input does in each state.
//
// An operator can reset the workflow, so a run may not be the first run of its order. A later run reads from the
// reservation and from the order's row what the earlier run did (takeover.go). The first run makes no extra call for
// this.
func Order(ctx workflow.Context, in orderflow.OrderInput) (orderflow.OrderResult, error) {
	if err := checkWorkflowID(ctx, orderflow.OrderWorkflowID(in.OrderID)); err != nil {
		return orderflow.OrderResult{}, err
	}
	// A run that the dispatcher or an operator starts has no header of the request that created the order.
	ctx = orderflow.NameOrder(orderflow.Correlate(ctx, in.CorrelationID), in.Number)
	if in.Revision >= orderflow.RevisionReturns {
		ctx = countingNeeds(ctx)
	}
	o := newOrderRun(ctx, in)
	if err := o.handleUpdates(ctx); err != nil {
		return orderflow.OrderResult{}, err
	}

	o.recorder.start(ctx)
	switch {
	case in.Continues:
		if err := o.goOn(ctx); err != nil {
			return orderflow.OrderResult{}, err
		}
	case o.startsTooLate(ctx):
		o.expireUnstarted(ctx)
	default:
		o.reserve(ctx)
	}
	if in.PaymentMethod != "" && o.state == order.Reserved && !in.Continues {
		o.payAtOnce()
	}
	for o.state == order.Backordered || o.state == order.InReview || o.state == order.Reserved {
		if o.waitedLong(ctx) {
			return orderflow.OrderResult{}, o.continueAsNew(ctx)
		}
		o.next(ctx)
	}
	if o.goesOn(ctx) {
		o.settle(ctx)
	}
	if o.goesOn(ctx) { // still: an earlier run may have cancelled it
		if err := o.fulfil(ctx); err != nil {
			return orderflow.OrderResult{}, err
		}
	}
	return o.finish(ctx)
}

// checkWorkflowID returns an error if the workflow's id is not want. That happens when an operator starts a copy of a
// workflow in the Web UI under another id. The order or reservation already has a workflow, and the copy would act on
// the same stock and money.
func checkWorkflowID(ctx workflow.Context, want string) error {
	if id := workflow.GetInfo(ctx).WorkflowExecution.ID; id != want {
		return temporal.NewNonRetryableApplicationError(
			fmt.Sprintf("this input belongs to workflow %q, but the workflow was started as %q; nothing was done", want, id),
			orderflow.ErrNotThisOrder, nil)
	}
	return nil
}

// orderRun is the whole state of one run of an order's workflow.
type orderRun struct {
	in          orderflow.OrderInput
	root        workflow.Context // the workflow's own context; cancelled when an operator cancels the workflow
	ref         orderflow.ReservationRef
	reservation *uuid.UUID // nil until inventory has answered the reserve

	state       order.State
	seq         int64     // of the last timeline entry
	changedAt   time.Time // the time of the last timeline entry
	reason      string    // why the order is in this state
	by          string    // the actor who gave the reason
	expiresAt   time.Time
	short       []orderflow.ShortLine // the lines for which inventory has not enough stock
	refusalCode string                // why inventory refused the reserve
	extensions  int
	edits       int // how many changes of the lines were asked for
	// triedNumbers are those of reservations that were to replace the order's, as far as their outcome is not known.
	triedNumbers []int
	escalated    bool // operators were told that the review is late
	// earlyExpiries is how many times in a row inventory has answered ErrNotDue.
	earlyExpiries int

	// Payments, by the number of the attempt. Each attempt has its own payment key.
	attempts        int   // how many were tried
	declines        int   // how many were declined
	lastAsked       int   // the last attempt about which this execution has asked the provider
	capturedAttempt int   // the attempt that captured the money; 0: none
	unresolved      []int // attempts whose outcome this execution does not know; finish voids them
	lostAttempts    []int // the unresolved attempts whose end is to be recorded: a lost task or an earlier run began them
	// For operators only: why the last refused payment was refused, and how the provider names each attempt.
	lastRefusal  string
	providerRefs map[int]string
	// actionURL is where the customer confirms the payment under way; news counts what the provider has told of payments.
	actionURL string
	news      int

	// Of a paid order (fulfilment.go).
	taken        []orderflow.ReservedLine // where the stock was taken
	fulfilment   *orderflow.Fulfilment    // nil until the order is confirmed
	started      time.Time                // when this run began
	reservations int                      // the highest number of a reservation that this run has tried
	debts        debts
	keys         []string      // the Idempotency-Keys of the changes that were carried out, the last ones
	loads        int           // how many times the row of an earlier run replaced the state of this one
	lapseAlarm   alarm         // rings when an approved return lapses
	manual       []*manualStep // the steps under way that an operator may do by hand

	// What this execution knows of an earlier run or of a lost workflow task (takeover.go).
	stockConfirmed bool // the reservation is confirmed, by this execution or by an earlier one that it knows of
	foundConfirmed bool // a release found the reservation confirmed while stockConfirmed was false
	tookOver       bool // this run continues from the open row of an earlier run
	adopted        bool // this run has copied its final state from the row
	unrecordable   bool // the orders database refuses the order, so the order is undone

	placedView *orderflow.View // the answer to the place update: the view after the first transition
	shown      shown           // the search attributes as last set
	undo       compensation
	recorder   *recorder
	mailbox    mailbox[order.Input]
}

func newOrderRun(ctx workflow.Context, in orderflow.OrderInput) *orderRun {
	o := &orderRun{
		in:    in,
		root:  ctx,
		state: order.Pending, // the api has inserted the row

		started: workflow.Now(ctx),
		keys:    in.Keys,

		providerRefs: map[int]string{},
		ref: orderflow.ReservationRef{
			OwnerKind:  orderflow.OwnerOrder,
			OwnerID:    in.OrderID,
			WorkflowID: workflow.GetInfo(ctx).WorkflowExecution.ID,
			Number:     max(in.ReservationNumber, 1), // a change of the lines makes another reservation
		},
	}
	o.recorder = &recorder{input: &o.in, view: o.recordedView, localSteps: o.localSteps()}
	if in.ShipTo != nil {
		o.recorder.country = in.ShipTo.Country
	}
	o.mailbox.urgent = o.recorder.blocked
	return o
}

// startsTooLate reports whether the order waited for its first run for longer than the customer wanted the stock to be
// held. An order that an earlier run has recorded is not too late: inventory knows its deadline.
func (o *orderRun) startsTooLate(ctx workflow.Context) bool {
	if o.in.StartBy == nil || !workflow.Now(ctx).After(*o.in.StartBy) {
		return false
	}
	found, err := o.findRow(ctx)
	return err == nil && found.Order == nil
}

// expireUnstarted expires an order that starts too late: the customer has gone. It gives back what a run that recorded
// nothing may have reserved.
func (o *orderRun) expireUnstarted(ctx workflow.Context) {
	o.undo.add("give the stock back", o.undoReserve)
	o.end(ctx, order.DeadlinePassed, orderflow.ActorSystem, "the shop could not begin the order in time")
}

// reserve reserves the stock, or records why inventory refuses it.
func (o *orderRun) reserve(ctx workflow.Context) {
	o.undo.add("give the stock back", o.undoReserve)
	held, decided, err := o.awaitReserve(ctx)
	if decided && o.followEarlierEdit(ctx, err) {
		held, decided, err = o.awaitReserve(ctx)
	}

	switch {
	case !decided:
		o.cancel(ctx)
	case err == nil:
		o.reservation, o.expiresAt = &held.ReservationID, held.ExpiresAt
		switch {
		case held.Status == orderflow.ReservationWaiting:
			o.apply(ctx, order.StockAwaited, orderflow.ActorSystem, "")
		case held.Status != orderflow.ReservationConfirmed:
			o.stockHeld(ctx)
		case o.localSteps() && o.in.PaymentMethod != "" && o.ownOpenRow(ctx):
			// A lost task has confirmed the reservation for the payment that came with the order. The payment continues.
			o.stockConfirmed = true
			o.apply(ctx, order.StockHeld, orderflow.ActorSystem, "")
		default:
			o.handleEarlierConfirm(ctx)
		}
	case refusal(err) == orderflow.ErrOutOfStock:
		o.undo.forget() // inventory reserves all lines or none
		o.short, o.refusalCode = details[[]orderflow.ShortLine](err), orderflow.ErrOutOfStock
		o.apply(ctx, order.StockRefused, orderflow.ActorSystem, orderflow.ErrOutOfStock)
	case refusal(err) == orderflow.ErrReservationRefused:
		o.undo.forget()
		why := details[orderflow.Refusal](err)
		o.refusalCode = why.Code
		o.apply(ctx, order.StockRefused, orderflow.ActorSystem, why.Detail)
	default:
		o.end(ctx, order.GaveUp, orderflow.ActorSystem, "the stock could not be reserved: "+reservationEnd(err))
	}
}

// stockHeld notes that the stock is held: the order can be paid, or an operator must approve it first.
func (o *orderRun) stockHeld(ctx workflow.Context) {
	if o.in.Review != nil {
		o.apply(ctx, order.ReviewNeeded, orderflow.ActorSystem, strings.Join(o.in.Review.Reasons, ", "))
		return
	}
	o.apply(ctx, order.StockHeld, orderflow.ActorSystem, "")
}

// awaitReserve calls inventory and waits for its answer. decided is false if the order was cancelled first.
//
// If inventory does not answer the first attempt, a cancellation does not wait for inventory. The caller then releases
// the reservation, and inventory refuses a reserve that arrives after the release.
func (o *orderRun) awaitReserve(ctx workflow.Context) (held orderflow.ReservationResult, decided bool, err error) {
	in := o.reserveInput()
	ctx, stop := workflow.NewDisconnectedContext(ctx)
	defer stop() // stops the reserve if the order was cancelled first
	slow := false
	onSlow := func() {
		slow = true
		if o.cancellation() == nil {
			o.apply(ctx, order.StockDelayed, orderflow.ActorSystem, "waiting for inventory")
		}
	}
	workflow.Go(ctx, func(ctx workflow.Context) {
		if in.WaitSeconds > 0 {
			held, err = reserveOrWait(ctx, in, onSlow)
		} else {
			held, err = reserveStock(ctx, in, 0, onSlow)
		}
		decided = true
	})
	_ = workflow.Await(ctx, func() bool { return decided || (slow && o.cancellation() != nil) })
	return held, decided, err
}

func (o *orderRun) reserveInput() orderflow.ReserveInput {
	in := orderflow.ReserveInput{
		Reservation:   o.ref,
		Actor:         orderflow.ActorSystem,
		TTLSeconds:    o.in.TTLSeconds,
		WaitSeconds:   o.in.WaitSeconds,
		CorrelationID: o.in.CorrelationID,
		Lines:         make([]orderflow.ReserveLine, len(o.in.Lines)),
	}
	if o.in.Review != nil {
		in.TTLSeconds = max(in.TTLSeconds, o.in.Review.Seconds)
	}
	if o.ref.Number > 1 { // as replaceInput has made it
		in.TTLSeconds, in.WaitSeconds = 0, 0
	}
	for i, l := range o.in.Lines {
		in.Lines[i] = orderflow.ReserveLine{LineNo: l.LineNo, ProductID: l.ProductID, Quantity: l.Quantity}
	}
	return in
}

// next waits for the one input that comes first and carries it out.
func (o *orderRun) next(ctx workflow.Context) {
	if o.mailbox.empty() {
		o.show(ctx)
	}
	deadline, timer := wakeAt(ctx, o.expiresAt, o.earlyExpiries), "the reservation expires"
	late, inReview := o.reviewIsLateAt()
	if inReview {
		deadline, timer = late, "the review is late"
	}
	if o.state == order.Backordered {
		deadline, timer = o.wakeWhileWaiting(deadline), "the wait for stock or the run ends"
	}
	switch o.mailbox.next(ctx, deadline, timer) {
	case wakeUrgent:
		o.handleBlockedRecorder(ctx)
	case wakeCommand:
		o.mailbox.runFirst(ctx)
	case wakeDeadline:
		switch {
		case inReview:
			o.escalate(ctx)
		case o.state == order.Backordered && workflow.Now(ctx).Before(o.expiresAt): // waitedLong
		default:
			o.expire(ctx)
		}
	case wakeCancelled:
		o.cancel(ctx)
	}
}

// expire gives the stock back when the deadline has come. Inventory's clock decides: when inventory says
// that the deadline has not come, the loop waits for the deadline that inventory names. When inventory does
// not answer, the order is expired and unpayable at once, and the stock goes back as soon as inventory answers.
func (o *orderRun) expire(ctx workflow.Context) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	reason := "not paid before the deadline"
	switch o.state {
	case order.InReview:
		reason = "not reviewed before the deadline"
	case order.Backordered:
		reason = "no stock came before the deadline"
	default:
	}
	in := o.reservationInput("the deadline has passed")
	res, err := expireReservation(ctx, in, true, o.localSteps())
	switch {
	case refusal(err) == orderflow.ErrNotDue:
		o.expiresAt = details[time.Time](err)
		o.earlyExpiries++
		if o.state == order.Backordered { // the deadline may be that of the reservation by now
			o.lookForStock(ctx)
		}
		return
	case err == nil && res.Status == orderflow.ReservationConfirmed:
		o.handleEarlierConfirm(ctx)
		return
	case err == nil:
		o.undo.forget()
		o.recorder.expiryKnown = true
		o.noteEnd(ctx, res)
	default: // no answer
		o.undo.replace("let the reservation expire", o.letExpire)
	}
	o.apply(ctx, order.DeadlinePassed, orderflow.ActorSystem, reason)
}

// letExpire is the undo of a reservation whose order has expired while inventory did not answer.
func (o *orderRun) letExpire(ctx workflow.Context, brief bool) error {
	in := o.reservationInput("the deadline has passed")
	res, err := expireReservation(ctx, in, brief, false)
	switch {
	case err == nil && res.Status != orderflow.ReservationConfirmed:
		o.noteEnd(ctx, res)
		return nil
	case err != nil && !isFinal(err):
		return err
	}
	// Inventory did not expire the reservation: an extension whose answer was lost has moved the deadline, or an earlier
	// run has confirmed the reservation. The order has ended, so releaseOrReturn gives the stock back now.
	return o.releaseOrReturn(ctx, in, brief)
}

// cancellation returns the command to cancel the order, or nil. The command comes from an update, or from an operator
// who cancelled the workflow itself.
func (o *orderRun) cancellation() *command[order.Input] {
	if c := o.mailbox.unfinished(order.Cancel); c != nil {
		return c
	}
	if o.root.Err() != nil {
		return &command[order.Input]{
			input:  order.Cancel,
			actor:  orderflow.ActorTemporal,
			reason: "the workflow was cancelled",
		}
	}
	return nil
}

// cancel cancels the order for the actor who asked for it.
func (o *orderRun) cancel(ctx workflow.Context) {
	c := o.cancellation()
	if c == nil { // Await reported a cancellation of the workflow that o.root does not report yet
		c = &command[order.Input]{actor: orderflow.ActorTemporal, reason: "the workflow was cancelled"}
	}
	o.end(orderflow.CausedBy(ctx, c.cause), order.Cancel, c.actor, c.reason)
}
