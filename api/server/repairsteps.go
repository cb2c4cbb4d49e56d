package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"holdfast/api/orderapi"
	"holdfast/internal/correlation"
	"holdfast/internal/money"
	"holdfast/internal/orderstore"
	"holdfast/inventory/inventoryapi"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

// retryNow attempts the steps of a workflow at once that wait for their next attempt. A repeat that finds none
// succeeds: the first request may have attempted them, and its answer was lost.
func (h *handlers) retryNow(ctx context.Context, r orderstore.Repair, workflow string) (repaired, error) {
	steps, err := h.workflows.RetryNow(ctx, h.namespace, workflow)
	switch {
	case r.Again && (errors.Is(err, orderclient.ErrEnded) || err == nil && len(steps) == 0):
		return done("no step waits for its next attempt any more")
	case errors.Is(err, orderclient.ErrEnded):
		return notApplicable("no workflow runs; use adopt")
	case err != nil:
		return repaired{}, err
	case len(steps) == 0:
		return notApplicable("no step waits for its next attempt: each is being attempted, or nothing is under way")
	}
	h.noteRepair(ctx, r)
	return done("attempted now: %s", strings.Join(steps, ", "))
}

// noteRepair puts a repair into the timeline of its order. The record of the repair is complete without it, so a
// failure is only logged.
func (h *handlers) noteRepair(ctx context.Context, r orderstore.Repair) {
	if r.OrderID == uuid.Nil {
		return
	}
	in := orderflow.NoteRepairInput{Actor: r.Actor, Action: r.Action}
	err := h.workflows.NoteRepair(ctx, r.OrderID, r.ID.String(), in)
	if err != nil && !errors.Is(err, orderclient.ErrUnderWay) {
		h.log.WarnContext(ctx, "a repair is not in the order's timeline", "repair_id", r.ID, "order_id", r.OrderID,
			"error", err)
	}
}

// skipStep tells the order's workflow that an operator did a step by hand.
func (h *handlers) skipStep(
	ctx context.Context, r orderstore.Repair, row orderstore.Order,
) (repaired, error) {
	rule, _ := orderflow.RuleOfStep(r.Step)
	if !rule.Skippable {
		return repaired{
			orderstore.RepairRefused, orderapi.StepNotSkippable, fmt.Sprintf("%s may not be skipped: %s", r.Step, rule.Why),
		}, nil
	}
	in := orderflow.SkipStepInput{
		Step:          r.Step,
		Reference:     r.Reference,
		AmountMinor:   r.AmountMinor,
		Attempt:       r.Attempt,
		Actor:         r.Actor,
		CorrelationID: correlation.From(ctx),
		Repair:        r.ID.String(),
	}
	if r.Again && isByHand(row, r) { // the first request took effect, and its answer was lost
		return doneByHand(r)
	}
	err := h.workflows.SkipStep(ctx, r.OrderID, r.ID.String(), in)
	if errors.Is(err, orderclient.ErrEnded) {
		return h.refundByHand(ctx, r)
	}
	if err == nil {
		return doneByHand(r)
	}
	return outcomeOf(err, "")
}

func doneByHand(r orderstore.Repair) (repaired, error) {
	return done("%s is recorded as done by hand, reference %s", r.Step, r.Reference)
}

// isByHand reports whether the order's row has the step as done by hand by this repair. An equal step of another repair
// does not count. Workers of older versions recorded no repair; then the time of the step tells.
func isByHand(row orderstore.Order, r orderstore.Repair) bool {
	return slices.ContainsFunc(row.Payments, func(p orderstore.Payment) bool {
		if p.Provider != orderflow.ByHand || p.ProviderRef != r.Reference {
			return false
		}
		if p.Repair != r.ID && (p.Repair != uuid.Nil || p.At.Before(r.CreatedAt)) {
			return false
		}
		if r.Step == orderflow.RefundPayment {
			return p.Step == orderflow.StepRefund && p.Amount.Minor == r.AmountMinor
		}
		return p.Step == orderflow.StepVoid && p.Attempt == r.Attempt
	})
}

// refundByHand records the refund of an order whose workflow has ended, because it was stopped or because the provider
// refuses the refund for good. It starts a run that records the refund.
func (h *handlers) refundByHand(ctx context.Context, r orderstore.Repair) (repaired, error) {
	row, err := h.store.Get(ctx, r.OrderID)
	switch {
	case err != nil:
		return repaired{}, err
	case r.Again && isByHand(row, r): // recorded since the request began
		return doneByHand(r)
	case !row.State.Settled():
		return notApplicable("the order is %s, and no workflow runs for it; use adopt first", row.State)
	}
	books, err := h.store.AuditedOrder(ctx, r.OrderID)
	if err != nil {
		return repaired{}, err
	}
	if r.Step == orderflow.VoidPayment {
		if books.Unended > 0 {
			return notApplicable("the order is %s, and no workflow runs for it; use adopt, which voids the payment, "+
				"and skip the void if the provider does not answer it", row.State)
		}
		return notApplicable("the order is %s, and its processing has ended; it waits for no step", row.State)
	}
	due := books.DueMinor()
	if len(row.Shipments) == 0 && books.Unended > 0 {
		due = row.Total.Minor // if the provider has captured the payment, all of it is due
	}
	if len(row.Shipments) == 0 && books.Unended > 1 {
		return notApplicable("the order has %d payments without a recorded end, so it is not known which of them was "+
			"refunded by hand. adopt would refund at the provider what it took: first take back what you gave, or void or "+
			"refund all of the payments at the provider; then use adopt", books.Unended)
	}
	if due != r.AmountMinor {
		return notApplicable("the order owes its customer %s, which is not what was given back; nothing is recorded",
			money.Amount{Minor: due, Currency: row.Total.Currency})
	}
	in := settledInput(row)
	in.RefundByHand = &orderflow.RefundByHand{
		Number: 1, AmountMinor: r.AmountMinor, Reference: r.Reference, Actor: r.Actor, Repair: r.ID.String(),
	}
	for _, p := range row.Payments {
		if p.Step == orderflow.StepRefund && p.State == orderflow.PaymentRefunded {
			in.RefundByHand.Number = max(in.RefundByHand.Number, p.Number+1)
		}
	}
	started, err := h.workflows.TakeUpSettled(ctx, in)
	switch {
	case err != nil:
		return repaired{}, err
	case !started:
		return repaired{
			outcome: orderstore.RepairUnderWay,
			detail:  "another run of the workflow has begun at this moment; send the request again",
		}, nil
	}
	return h.awaitByHand(ctx, r)
}

const (
	// byHandTime is how long a request waits until a new run of a workflow has recorded what an operator did by hand.
	byHandTime = 5 * time.Second
	// byHandPause is between two looks.
	byHandPause = 50 * time.Millisecond
)

// awaitByHand waits until the order's row has the refund as made by hand, or the run that was to record it has ended
// without it. The run itself may last longer, for example until the shipments are delivered.
func (h *handlers) awaitByHand(ctx context.Context, r orderstore.Repair) (repaired, error) {
	enough := time.NewTimer(byHandTime)
	defer enough.Stop()
	pause := time.NewTicker(byHandPause)
	defer pause.Stop()
	for {
		running, err := h.workflows.WorkflowIsRunning(ctx, orderflow.OrderWorkflowID(r.OrderID))
		if err != nil {
			return repaired{}, err
		}
		row, err := h.store.Get(ctx, r.OrderID) // after the question above, so that nothing can be recorded in between
		switch {
		case err != nil:
			return repaired{}, err
		case isByHand(row, r):
			return doneByHand(r)
		case !running:
			return notApplicable("the workflow has ended without recording a refund of %s by hand; most often the provider has "+
				"voided the payment or made the refund by itself. Look at the order, and undo what you did by hand if it was "+
				"done twice", money.Amount{Minor: r.AmountMinor, Currency: row.Total.Currency})
		}
		select {
		case <-pause.C:
		case <-enough.C:
			return underWay()
		case <-ctx.Done():
			return repaired{}, ctx.Err()
		}
	}
}

func underWay() (repaired, error) {
	return repaired{
		outcome: orderstore.RepairUnderWay,
		detail:  "the workflow has accepted the repair and carries it out",
	}, nil
}

// outcomeOf turns the outcome of an update into that of the repair.
func outcomeOf(err error, format string, args ...any) (repaired, error) {
	var refused *orderclient.RefusedError
	switch {
	case err == nil:
		return done(format, args...)
	case errors.Is(err, orderclient.ErrUnderWay):
		return underWay()
	case errors.As(err, &refused):
		return notApplicable("%s", refused.Detail)
	case errors.Is(err, orderclient.ErrOldVersion):
		return notApplicable("the worker version of the order does not know this repair; " +
			"move the order to a newer version first: holdfast deploy move")
	case errors.Is(err, orderclient.ErrEnded):
		return notApplicable("no workflow runs; use adopt")
	}
	return repaired{}, err
}

// holdsStock reports whether inventory holds stock for an order that has ended, has it wait for some, or more stock has
// left for it than should have.
func (h *handlers) holdsStock(ctx context.Context, books orderstore.AuditedOrder) (bool, error) {
	var taken int64
	for number := range int(books.LastReservation) {
		id := inventoryapi.NewReservationID(inventoryapi.OwnerOrder, books.OrderID, number+1)
		held, err := h.inventory.GetReservation(ctx, id)
		switch {
		case errors.Is(err, inventoryapi.ReservationNotFound):
			waiting, err := h.inventory.GetBackorder(ctx, id)
			if err != nil && !errors.Is(err, inventoryapi.BackorderNotFound) {
				return false, err
			}
			if waiting.Status == inventoryapi.BackorderWaiting {
				return true, nil
			}
			continue
		case err != nil:
			return false, err
		case held.Status == inventoryapi.StatusPending:
			return true, nil
		case held.Status == inventoryapi.StatusConfirmed:
			for _, l := range held.Lines {
				taken += l.Quantity - l.Returned
			}
		}
	}
	return taken > books.UnitsTaken(), nil
}

// stillHolds says what an order holds that has ended: "stock", "money", "stock and money", or "".
func (h *handlers) stillHolds(ctx context.Context, row orderstore.Order) (string, error) {
	books, err := h.store.AuditedOrder(ctx, row.OrderID)
	if err != nil {
		return "", err
	}
	stock, err := h.holdsStock(ctx, books)
	if err != nil {
		return "", err
	}
	var holds []string
	if stock {
		holds = append(holds, "stock")
	}
	if books.Unended > 0 || books.DueMinor() > 0 {
		holds = append(holds, "money")
	}
	return strings.Join(holds, " and "), nil
}

// settledInput is the input of another run of an order. The run of a paid order goes on from the order's row. The run
// of an order that was not carried out asks inventory and the provider what they still hold.
func settledInput(row orderstore.Order) orderflow.OrderInput {
	in := orderstore.InputOf(row)
	in.Continues = len(row.Shipments) > 0
	return in
}

// repairedInput is settledInput for a run that puts the repair which starts it into the timeline.
func repairedInput(row orderstore.Order, r orderstore.Repair) orderflow.OrderInput {
	in := settledInput(row)
	in.Repair = &orderflow.RunRepair{Actor: r.Actor, Action: r.Action, After: row.Seq}
	return in
}

// adoptOrder starts the workflow of an order again if none runs. A repeat succeeds if a workflow runs or the order
// holds nothing: the first request may have started the run, and its answer was lost.
func (h *handlers) adoptOrder(ctx context.Context, r orderstore.Repair, row orderstore.Order) (repaired, error) {
	running, err := h.workflows.WorkflowIsRunning(ctx, orderflow.OrderWorkflowID(row.OrderID))
	if err != nil {
		return repaired{}, err
	}
	holds := ""
	if row.State.Closed() {
		if holds, err = h.stillHolds(ctx, row); err != nil {
			return repaired{}, err
		}
	}
	switch {
	case row.Waits():
		return notApplicable("the order waits for its first start, which needs no repair")
	case running && r.Again:
		return done("a workflow runs for the order")
	case running:
		return notApplicable("a workflow runs for the order; use retry_now, or force_release")
	case row.State.Closed() && holds == "" && r.Again:
		return done("the order is %s and holds neither stock nor money", row.State)
	case row.State.Closed() && holds == "":
		return notApplicable(
			"the order is %s and holds neither stock nor money, so there is nothing to go on with", row.State)
	}
	var started bool
	if row.State.Closed() {
		started, err = h.workflows.TakeUpSettled(ctx, repairedInput(row, r))
	} else {
		started, err = h.workflows.TakeUpOrder(ctx, orderstore.InputOf(row))
	}
	switch {
	case err != nil:
		return repaired{}, err
	case !started && r.Again:
		return done("a workflow runs for the order")
	case !started:
		return notApplicable("a workflow runs for the order since a moment ago")
	}
	if !row.State.Closed() {
		h.noteRepair(ctx, r)
	}
	return done("a new run of the workflow goes on from what is recorded")
}

// forceRelease ends an order that cannot go on, so that its stock and money go back.
func (h *handlers) forceRelease(ctx context.Context, r orderstore.Repair, row orderstore.Order) (repaired, error) {
	if row.Waits() {
		return notApplicable("the order waits for its first start and holds nothing; cancel it")
	}
	if row.State.Closed() {
		return h.releaseEnded(ctx, r, row)
	}
	cancel := orderflow.CancelInput{Actor: r.Actor, Reason: r.Reason, CorrelationID: correlation.From(ctx)}
	_, err := h.workflows.Cancel(ctx, row.OrderID, cancel)
	again := ""
	if errors.Is(err, orderclient.ErrEnded) {
		var started bool
		if started, err = h.workflows.TakeUpOrder(ctx, orderstore.InputOf(row)); err == nil {
			_, err = h.workflows.Cancel(ctx, row.OrderID, cancel)
		}
		if started {
			again = "its workflow was started again, and "
		}
	}
	return outcomeOf(err, "%sthe order is cancelled; its stock and money go back", again)
}

// releaseEnded gives back the stock and the money that an order holds although it has ended, because its workflow was
// stopped first.
//
// A repeat that finds nothing held, or a run under way, succeeds: the first request may have ended the order or started
// the run, and its answer was lost.
func (h *handlers) releaseEnded(ctx context.Context, r orderstore.Repair, row orderstore.Order) (repaired, error) {
	holds, err := h.stillHolds(ctx, row)
	switch {
	case err != nil:
		return repaired{}, err
	case holds == "" && r.Again && !row.State.CarriedOut():
		return done("the order is %s; its stock and money are back", row.State)
	case holds == "":
		return notApplicable("the order is %s and holds neither stock nor money", row.State)
	}
	started, err := h.workflows.TakeUpSettled(ctx, repairedInput(row, r))
	switch {
	case err != nil:
		return repaired{}, err
	case !started && r.Again:
		return done("the order's workflow runs and gives the %s back", holds)
	case !started:
		return notApplicable("the order's workflow runs and gives the %s back as soon as inventory or the payment provider "+
			"answers; use retry_now", holds)
	}
	return done("the order had ended; its workflow was started again and gives the %s back", holds)
}

// repairHold gives the stock of a reservation without an order back, or starts its workflow again. A repeated adopt
// succeeds also if the reservation has ended meanwhile: the run that the first request started may have ended it.
func (h *handlers) repairHold(ctx context.Context, r orderstore.Repair, held orderstore.Reservation) (repaired, error) {
	row, err := h.inventory.GetReservation(ctx, held.ID)
	switch {
	case errors.Is(err, inventoryapi.ReservationNotFound):
		return notApplicable("inventory has no such reservation")
	case err != nil:
		return repaired{}, err
	case row.Status == inventoryapi.StatusReleased && r.Again:
		return done("the reservation is released")
	case row.Status != inventoryapi.StatusPending && r.Action == orderflow.RepairAdopt && r.Again:
		return done("the reservation is %s", row.Status)
	case row.Status != inventoryapi.StatusPending:
		return notApplicable("the reservation is %s", row.Status)
	}
	running, err := h.workflows.IsRunning(ctx, held.ID)
	if err != nil {
		return repaired{}, err
	}
	if r.Action == orderflow.RepairAdopt && running && !r.Again {
		return notApplicable("a workflow runs for the reservation")
	}
	if !running {
		if err := h.startHold(ctx, held, row); err != nil {
			return repaired{}, err
		}
	}
	if r.Action == orderflow.RepairAdopt {
		return done("a new run of the workflow owns the reservation, until %s", row.ExpiresAt.UTC().Format(time.RFC3339))
	}
	err = h.workflows.Release(ctx, held.ID, orderflow.ResolveInput{
		Actor: r.Actor, Reason: r.Reason, CorrelationID: correlation.From(ctx),
	})
	return outcomeOf(err, "the reservation is released")
}

// startHold starts the workflow of a reservation again, with the input of its last run. If Temporal has deleted that,
// it starts one that takes over what inventory holds.
func (h *handlers) startHold(ctx context.Context, held orderstore.Reservation, row inventoryapi.Reservation) error {
	_, err := h.workflows.TakeUpReservation(ctx, held.ID)
	if !errors.Is(err, orderflow.ErrForgotten) {
		return err
	}
	in := orderflow.ReservationStart{
		ReservationID: held.ID,
		OwnerID:       held.OwnerID,
		Actor:         held.CustomerID,
		CorrelationID: correlation.From(ctx),
		PlacedAt:      row.CreatedAt,
		HeldUntil:     &row.ExpiresAt,
	}
	for _, l := range row.Lines { // a line that is split over locations has an entry for each
		if last := len(in.Lines) - 1; last >= 0 && in.Lines[last].LineNo == l.LineNo {
			in.Lines[last].Quantity += l.Quantity
			continue
		}
		in.Lines = append(in.Lines, orderflow.ReserveLine{LineNo: l.LineNo, ProductID: l.ProductID, Quantity: l.Quantity})
	}
	return h.workflows.StartReservation(ctx, in)
}
