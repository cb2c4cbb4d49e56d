package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

const (
	// maxHold is how long after it was placed an order or reservation can hold stock without being
	// paid. Without this limit a customer could keep stock from others by extending again and again. It is
	// also the longest time to live that inventory gives (inventoryapi.MaxTTLSeconds).
	maxHold = 24 * time.Hour
	// extendBudget bounds an extension: a payment that arrives meanwhile waits behind it.
	extendBudget = 5 * time.Second
	// maxExtensions bounds how many of the updates that a workflow can have (Temporal: 2,000) are extensions.
	// Enough must be left for other updates, a payment above all.
	maxExtensions = 200
)

// extend moves the deadline to a later moment. An extension that got no answer may still take effect;
// inventory is asked at the deadline, and its word counts.
func (o *orderRun) extend(ctx workflow.Context, in orderflow.ExtendInput) (orderflow.ExtendOutcome, error) {
	o.extensions++ // an extension that changes nothing has used up an update too
	until, err := extendedTo(workflow.Now(ctx), o.in.PlacedAt, o.expiresAt, time.Duration(in.TTLSeconds)*time.Second)
	if err != nil {
		return "", err
	}
	if !until.After(o.expiresAt) {
		return orderflow.Extended, nil // never shortened
	}
	to := o.reservationInput("extended on request")
	to.ExpiresAt = &until

	held, err := extendReservation(ctx, to, min(max(o.expiresAt.Sub(workflow.Now(ctx)), time.Second), extendBudget), nil)
	switch {
	case err == nil:
		o.expiresAt, o.earlyExpiries = held.ExpiresAt, 0
		o.apply(ctx, order.Extend, in.Actor, "")
		return orderflow.Extended, nil
	case refusal(err) == orderflow.ErrReservationExpired:
		o.end(ctx, order.DeadlinePassed, orderflow.ActorSystem, "not paid before the deadline")
		return orderflow.ExtendTooLate, nil
	case refusal(err) != "" && o.cancellation() != nil:
		o.cancel(ctx)
		return orderflow.ExtendClosed, nil
	case refusal(err) != "":
		o.end(ctx, order.GaveUp, orderflow.ActorSystem, "the reservation is gone: "+reservationEnd(err))
		return orderflow.ExtendClosed, nil
	}
	return orderflow.ExtendUnavailable, nil
}

// extendedTo is the deadline that an extension by ttl moves current to. It lies at most 24 hours after the stock was
// first held: an extension beyond that is cut to the limit, and refused if the limit is not later than current.
func extendedTo(now, placedAt, current time.Time, ttl time.Duration) (time.Time, error) {
	until, latest := now.Add(ttl), placedAt.Add(maxHold)
	switch {
	case !until.After(latest):
		return until, nil
	case ttl <= maxHold && latest.After(current):
		return latest, nil
	}
	return time.Time{}, temporal.NewNonRetryableApplicationError(
		"stock can be held unpaid for 24 hours in all, until "+latest.UTC().Format(time.RFC3339),
		orderflow.ErrInvalidDuration, nil, latest)
}

// reservationEnd says how a reservation ended that was expected to be pending.
func reservationEnd(err error) string {
	if status := details[string](err); status != "" {
		return "it is " + status
	}
	return refusal(err)
}
