package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"holdfast/workflows/orderflow"
)

// Reservation holds stock for a customer who has no order with us, and owns the timer that gives the stock
// back: every reservation has such a timer. It ends confirmed, released, expired or refused.
func Reservation(ctx workflow.Context, in orderflow.ReservationStart) (orderflow.ReservationView, error) {
	if err := checkWorkflowID(ctx, orderflow.ReservationWorkflowID(in.ReservationID)); err != nil {
		return orderflow.ReservationView{}, err
	}
	ctx = orderflow.Correlate(ctx, in.CorrelationID)
	r := &reservationRun{in: in, root: ctx, ref: orderflow.ReservationRef{
		OwnerKind:  orderflow.OwnerCustomer,
		OwnerID:    in.OwnerID,
		Number:     1,
		WorkflowID: workflow.GetInfo(ctx).WorkflowExecution.ID,
	}}
	if err := r.handleUpdates(ctx); err != nil {
		return orderflow.ReservationView{}, err
	}
	r.reserve(ctx)
	for r.status == orderflow.ReservationPending {
		r.next(ctx)
	}
	return r.finish(ctx)
}

// reservationRun is the whole state of one reservation's workflow.
type reservationRun struct {
	in            orderflow.ReservationStart
	root          workflow.Context
	ref           orderflow.ReservationRef
	decided       bool
	status        string // as inventory names it; empty until it holds the stock
	expiresAt     time.Time
	earlyExpiries int
	extensions    int
	refusal       *orderflow.Refusal
	short         []orderflow.ShortLine
	shown         reservationShown // the search attributes as last set
	mailbox       mailbox[string]  // inputs are the names of the updates
}

// reserve holds the stock, or keeps why it cannot be held. While inventory is down, reserve waits for as long as
// the reservation would have lived; after that the reservation has no use any more.
func (r *reservationRun) reserve(ctx workflow.Context) {
	held, err := reserveStock(ctx, orderflow.ReserveInput{
		Reservation:   r.ref,
		Actor:         r.in.Actor,
		TTLSeconds:    r.in.TTLSeconds,
		Lines:         r.in.Lines,
		CorrelationID: r.in.CorrelationID,
	}, r.patience(), func() {})
	switch {
	case err == nil:
		r.status, r.expiresAt = held.Status, held.ExpiresAt
	case refusal(err) == orderflow.ErrOutOfStock:
		r.refusal, r.short = &orderflow.Refusal{Code: orderflow.ErrOutOfStock}, details[[]orderflow.ShortLine](err)
	case refusal(err) == orderflow.ErrReservationRefused:
		why := details[orderflow.Refusal](err)
		r.refusal = &why
	case refusal(err) == orderflow.ErrReservationClosed:
		// An earlier run of this workflow has closed it, or a release came first.
		r.status = details[string](err)
	default:
		// No answer in all that time, or cancelled: the reserve may still arrive, and must not hold anything.
		r.resolve(ctx, releaseStock, r.resolveInput(orderflow.ActorSystem, "not reserved in time", ""))
	}
	r.decided = true
}

// patience is how long a reserve may go on while inventory does not answer.
func (r *reservationRun) patience() time.Duration {
	if r.in.TTLSeconds > 0 {
		return time.Duration(r.in.TTLSeconds) * time.Second
	}
	return defaultPatience
}

// defaultPatience stands in for inventory's own default time to live, which the workflow does not know.
const defaultPatience = 15 * time.Minute

// next waits for the one input that comes first and carries it out.
func (r *reservationRun) next(ctx workflow.Context) {
	r.show(ctx)
	switch r.mailbox.next(ctx, wakeAt(ctx, r.expiresAt, r.earlyExpiries), "the reservation expires") {
	case wakeCommand:
		r.mailbox.runFirst(ctx)
	case wakeDeadline:
		r.expire(ctx)
	case wakeCancelled:
		r.resolve(ctx, releaseStock, r.resolveInput(orderflow.ActorTemporal, "the workflow was cancelled", ""))
	case wakeUrgent: // a reservation has no urgent input
	}
}

// expire gives the stock back when inventory says that the deadline has come. An order is unpayable at once,
// but a reservation has only the state that inventory gives it, so expire waits for inventory's answer.
func (r *reservationRun) expire(ctx workflow.Context) {
	in := r.resolveInput(orderflow.ActorSystem, "the deadline has passed", "")
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()

	res, err := expireReservation(ctx, in, true, r.in.Revision >= orderflow.RevisionLocalSteps)
	if err != nil && !isFinal(err) {
		res, err = expireReservation(ctx, in, false, false)
	}
	switch {
	case refusal(err) == orderflow.ErrNotDue:
		r.expiresAt = details[time.Time](err)
		r.earlyExpiries++
	case err == nil:
		r.status = res.Status
	default:
		r.lost(ctx, err)
	}
}

// resolution is a step that ends a reservation.
type resolution func(
	ctx workflow.Context,
	in orderflow.ReservationInput,
	brief bool,
) (orderflow.ReservationResult, error)

// resolve ends the reservation in the way of the given step, for as long as that takes.
func (r *reservationRun) resolve(ctx workflow.Context, by resolution, in orderflow.ReservationInput) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	res, err := by(ctx, in, false)
	if err != nil {
		r.lost(ctx, err)
		return
	}
	r.status = res.Status
}

// lost ends a reservation that inventory does not hold any more. If inventory refuses to resolve the reservation,
// lost marks it for operators, and the reservation keeps its timer until the deadline.
func (r *reservationRun) lost(ctx workflow.Context, err error) {
	switch refusal(err) {
	case orderflow.ErrReservationExpired:
		// Too late to confirm, and the stock must go back: the loop's timer is due.
		r.expire(ctx)
	case orderflow.ErrReservationClosed:
		r.status = details[string](err)
	default:
		workflow.GetLogger(ctx).Error("inventory refuses to resolve a reservation", "error", err)
		markNeedsOperator(ctx, true)
		if workflow.Now(ctx).Before(r.expiresAt) {
			return // still held, so the timer stays
		}
		r.status = "" // only inventory knows it
		r.refusal = &orderflow.Refusal{Code: orderflow.ErrReservationRefused, Detail: err.Error()}
	}
}

// extend moves the deadline to a later moment, never to an earlier one.
func (r *reservationRun) extend(ctx workflow.Context, in orderflow.ExtendInput) error {
	r.extensions++
	until, err := extendedTo(workflow.Now(ctx), r.in.PlacedAt, r.expiresAt, time.Duration(in.TTLSeconds)*time.Second)
	if err != nil {
		return err
	}
	to := r.resolveInput(orOperator(in.Actor), "extended on request", in.CorrelationID)
	to.ExpiresAt = &until

	held, err := extendReservation(ctx, to, min(max(r.expiresAt.Sub(workflow.Now(ctx)), time.Second), extendBudget), nil)
	switch {
	case err == nil:
		r.expiresAt, r.earlyExpiries = held.ExpiresAt, 0
		return nil
	case refusal(err) != "":
		r.lost(ctx, err)
		return r.refuse()
	}
	return temporal.NewNonRetryableApplicationError("inventory did not answer; try again", orderflow.ErrUnavailable, err)
}

func (r *reservationRun) resolveInput(actor, reason, correlationID string) orderflow.ReservationInput {
	if correlationID == "" {
		correlationID = r.in.CorrelationID
	}
	return orderflow.ReservationInput{Reservation: r.ref, Actor: actor, Reason: reason, CorrelationID: correlationID}
}

// finish answers the callers who still wait.
func (r *reservationRun) finish(ctx workflow.Context) (orderflow.ReservationView, error) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	r.mailbox.answerRest(func(*command[string]) error { return r.refuse() })
	r.show(ctx)
	err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
	return r.view(), err
}

func (r *reservationRun) view() orderflow.ReservationView {
	v := orderflow.ReservationView{
		ReservationID: r.in.ReservationID,
		RequestHash:   r.in.RequestHash,
		PlacedAt:      r.in.PlacedAt,
		Status:        r.status,
		Refusal:       r.refusal,
		Short:         r.short,
	}
	if !r.expiresAt.IsZero() {
		t := r.expiresAt
		v.ExpiresAt = &t
	}
	return v
}

// reservationShown is what the search attributes say.
type reservationShown struct {
	status   string
	deadline time.Time // zero for none
}

// show brings the search attributes and the current details up to date. It is called when the reservation waits for its
// next input, and at its end. A reservation of an older revision shows its status only when its deadline changes.
func (r *reservationRun) show(ctx workflow.Context) {
	workflow.SetCurrentDetails(ctx, r.describe())
	now := reservationShown{status: r.shownStatus(), deadline: r.expiresAt}
	if r.status != orderflow.ReservationPending {
		now.deadline = time.Time{}
	}
	if now.deadline.Equal(r.shown.deadline) &&
		(now.status == r.shown.status || r.in.Revision < orderflow.RevisionReturns) {
		return
	}
	r.shown = now
	attributes := []temporal.SearchAttributeUpdate{orderflow.AttrExpiresAt.ValueUnset()}
	if !now.deadline.IsZero() {
		attributes[0] = orderflow.AttrExpiresAt.ValueSet(now.deadline)
	}
	if now.status != "" {
		attributes = append(attributes, orderflow.AttrReservationStatus.ValueSet(now.status))
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, attributes...); err != nil {
		workflow.GetLogger(ctx).Warn("cannot update the search attributes", "error", err)
	}
}

func (r *reservationRun) shownStatus() string {
	if r.status == "" && r.refusal != nil {
		return orderflow.ReservationRefused
	}
	return r.status
}

// describe is what an operator reads on the workflow's page: markdown, no personal data.
func (r *reservationRun) describe() string {
	var t orderflow.Table
	state := "not decided yet"
	if status := r.shownStatus(); status != "" {
		state = "**" + orderflow.Text(status) + "**"
	}
	if r.refusal != nil {
		state += ": " + orderflow.Code(r.refusal.Code) + " " + orderflow.Text(r.refusal.Detail)
	}
	t.Row("Status", state)
	t.Row("Customer", orderflow.Code(r.in.Actor))
	if r.status == orderflow.ReservationPending {
		t.Row("Deadline", orderflow.Time(r.expiresAt))
	}
	t.Row("Reservation", orderflow.Code(r.in.ReservationID.String()))
	for _, s := range r.short {
		t.Row("Short", fmt.Sprintf("%s: %d wanted, %d available", orderflow.Code(r.name(s)), s.Requested, s.Available))
	}
	text := t.String() + "\n" + orderflow.ReserveLineTable(r.in.Lines)
	if r.status == orderflow.ReservationPending {
		text += fmt.Sprintf("\nAn operator may:\n\n- confirm it: `POST /api/inventory/confirm/%[1]s`\n"+
			"- release it: `DELETE /api/inventory/reserve/%[1]s`, or *Request Cancellation* on this page\n"+
			"- hold the stock for longer: `POST /api/inventory/reserve/%[1]s/extend`\n", r.in.ReservationID)
	}
	return text
}

// name names a product that is short.
func (r *reservationRun) name(s orderflow.ShortLine) string {
	for _, l := range r.in.Lines {
		if l.ProductID == s.ProductID {
			return l.Name()
		}
	}
	return s.ProductID.String()
}
