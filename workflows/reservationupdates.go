package workflows

import (
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"holdfast/workflows/orderflow"
)

// handleUpdates registers what a reservation without an order answers, before anything blocks.
func (r *reservationRun) handleUpdates(ctx workflow.Context) error {
	place := func(ctx workflow.Context, _ orderflow.PlaceInput) (orderflow.ReservationView, error) {
		ctx, cancel := workflow.NewDisconnectedContext(ctx)
		defer cancel()
		err := workflow.Await(ctx, func() bool { return r.decided })
		return r.view(), err
	}
	if err := workflow.SetUpdateHandlerWithOptions(ctx, orderflow.UpdatePlace, place, workflow.UpdateHandlerOptions{
		Description: internal + "Waits until inventory has decided and answers how the reservation stands.",
	}); err != nil {
		return err
	}

	if err := r.handleResolve(ctx, orderflow.UpdateRelease, releaseStock); err != nil {
		return err
	}
	confirm := func(
		ctx workflow.Context,
		in orderflow.ReservationInput,
		_ bool,
	) (orderflow.ReservationResult, error) {
		return confirmReservation(ctx, in, nil)
	}
	if err := r.handleResolve(ctx, orderflow.UpdateConfirm, confirm); err != nil {
		return err
	}

	extend := func(ctx workflow.Context, in orderflow.ExtendInput) (orderflow.ReservationView, error) {
		return r.request(ctx, orderflow.UpdateExtend, func(ctx workflow.Context) error { return r.extend(ctx, in) })
	}
	if err := workflow.SetUpdateHandlerWithOptions(ctx, orderflow.UpdateExtend, extend, workflow.UpdateHandlerOptions{
		Validator: func(in orderflow.ExtendInput) error {
			if in.TTLSeconds <= 0 {
				return temporal.NewNonRetryableApplicationError(
					"name a time to live in seconds", orderflow.ErrInvalidInput, nil)
			}
			if r.extensions >= maxExtensions {
				return temporal.NewNonRetryableApplicationError(
					"the reservation was extended too often", orderflow.ErrTooManyExtensions, nil)
			}
			return r.refuseDecided()
		},
		Description: `Holds the stock for longer, never for less. Input: {"ttl_seconds": 900}, counted from now.`,
	}); err != nil {
		return err
	}

	state := func() (orderflow.ReservationView, error) { return r.view(), nil }
	return workflow.SetQueryHandlerWithOptions(ctx, orderflow.QueryState, state,
		workflow.QueryHandlerOptions{Description: "The reservation's status and deadline. No input."})
}

// handleResolve registers an update that ends the reservation by the given step.
func (r *reservationRun) handleResolve(ctx workflow.Context, name string, by resolution) error {
	handler := func(ctx workflow.Context, in orderflow.ResolveInput) (orderflow.ReservationView, error) {
		return r.request(ctx, name, func(ctx workflow.Context) error {
			r.resolve(ctx, by, r.resolveInput(orOperator(in.Actor), in.Reason, in.CorrelationID))
			return nil
		})
	}
	return workflow.SetUpdateHandlerWithOptions(ctx, name, handler, workflow.UpdateHandlerOptions{
		Validator:   func(orderflow.ResolveInput) error { return r.refuseDecided() },
		Description: `Ends the reservation: ` + name + `. Input: {} or {"reason": "…"}.`,
	})
}

func (r *reservationRun) request(
	ctx workflow.Context,
	name string,
	run func(workflow.Context) error,
) (orderflow.ReservationView, error) {
	// After a reset the server sends the accepted requests to the new run again, before that run knows how the
	// reservation stands, and keeps the answers.
	wait, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	if err := workflow.Await(wait, func() bool { return r.decided }); err != nil {
		return orderflow.ReservationView{}, err
	}
	if err := r.refuse(); err != nil {
		return orderflow.ReservationView{}, err
	}
	err := r.mailbox.ask(ctx, &command[string]{input: name, run: run})
	return r.view(), err
}

// refuseDecided is refuse for a validator: it lets a request pass that comes before inventory has decided. Such
// a request waits for the decision.
func (r *reservationRun) refuseDecided() error {
	if !r.decided {
		return nil
	}
	return r.refuse()
}

// refuse returns why the reservation can be neither resolved nor extended, or nil.
func (r *reservationRun) refuse() error {
	switch {
	case !r.decided:
		return temporal.NewNonRetryableApplicationError(
			"inventory has not decided yet; try again shortly", orderflow.ErrUnavailable, nil)
	case r.status != orderflow.ReservationPending:
		return temporal.NewNonRetryableApplicationError(
			fmt.Sprintf("the reservation is %s", r.status), orderflow.ErrReservationClosed, nil, r.status)
	}
	return nil
}
