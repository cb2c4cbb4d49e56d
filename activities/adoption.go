package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/activity"

	"holdfast/inventory/inventoryapi"
	"holdfast/workflows/orderflow"
)

// Unended finds orders that have not ended.
type Unended interface {
	// Unended returns the inputs of up to limit open orders that nothing has changed since the given time, and whose
	// deadline, if they have one, has passed by then. Orders that wait for their first start are not among them.
	Unended(ctx context.Context, since time.Time, limit int) ([]orderflow.OrderInput, error)
	// Input returns the input of an order. ErrNoRow: there is no such order.
	Input(ctx context.Context, order uuid.UUID) (orderflow.OrderInput, error)
}

// Overdue finds reservations past their deadline.
type Overdue interface {
	Overdue(ctx context.Context, page inventoryapi.Page) (inventoryapi.OverdueList, error)
	GetReservation(ctx context.Context, reservationID uuid.UUID) (inventoryapi.Reservation, error)
	Expire(
		ctx context.Context, reservationID uuid.UUID, in inventoryapi.ResolveRequest,
	) (inventoryapi.ReleaseResult, error)
}

// Starter starts another run of a workflow and reports true, unless a run is under way.
type Starter interface {
	// Stopped lists the ids of workflows that did not end by themselves since the given time.
	Stopped(ctx context.Context, since time.Time, limit int) ([]string, error)
	// OrderWasStopped reports whether the last run of an order's workflow did not end by itself.
	OrderWasStopped(ctx context.Context, order uuid.UUID) (bool, error)
	TakeUpOrder(ctx context.Context, in orderflow.OrderInput) (bool, error)
	// TakeUpReservation returns orderflow.ErrForgotten if Temporal has deleted the workflow and its input.
	TakeUpReservation(ctx context.Context, reservation uuid.UUID) (bool, error)
}

// AdoptionActivities take up orders and reservations whose workflow was ended from outside. Each is idempotent: what is
// taken up has a running workflow, and is passed over then.
type AdoptionActivities struct {
	orders    Unended
	inventory Overdue
	workflows Starter
	count     func(kind string)
}

// NewAdoption returns the activities. They call count for each "order" or "reservation" that they take up, and with
// "expired" for each reservation that they expire.
func NewAdoption(orders Unended, inventory Overdue, workflows Starter, count func(kind string)) *AdoptionActivities {
	return &AdoptionActivities{orders: orders, inventory: inventory, workflows: workflows, count: count}
}

// AdoptStopped takes up orders, and reservations that are still pending, whose workflow was terminated, timed out or
// failed. An order that has ended is taken up too: its workflow may have been stopped before it gave money or stock
// back.
func (a *AdoptionActivities) AdoptStopped(
	ctx context.Context, in orderflow.AdoptionInput,
) (out orderflow.AdoptionResult, err error) {
	since := time.Now().Add(-time.Duration(in.LookBackSeconds) * time.Second)
	ids, err := a.workflows.Stopped(ctx, since, in.Limit)
	if err != nil {
		return out, err
	}
	for _, id := range ids {
		if order, ok := orderflow.OrderOfWorkflow(id); ok {
			a.takeUpStopped(ctx, &out, order)
		} else if reservation, ok := orderflow.ReservationOfWorkflow(id); ok {
			a.takeUpPending(ctx, &out, reservation)
		}
	}
	return out, nil
}

// AdoptUnended takes up open orders that stand still after their deadline.
func (a *AdoptionActivities) AdoptUnended(
	ctx context.Context, in orderflow.AdoptionInput,
) (out orderflow.AdoptionResult, err error) {
	since := time.Now().Add(-time.Duration(in.GraceSeconds) * time.Second)
	orders, err := a.orders.Unended(ctx, since, in.Limit)
	if err != nil {
		return out, fmt.Errorf("find the orders that stand still: %w", err)
	}
	for _, order := range orders {
		started, err := a.workflows.TakeUpOrder(ctx, order)
		a.note(ctx, &out, "order", order.OrderID, started, err)
	}
	return out, nil
}

// AdoptReservations takes up the owners of pending reservations past their deadline, also an order that has ended and
// has not given its stock back.
func (a *AdoptionActivities) AdoptReservations(
	ctx context.Context, in orderflow.AdoptionInput,
) (out orderflow.AdoptionResult, err error) {
	since := time.Now().Add(-time.Duration(in.GraceSeconds) * time.Second)
	page := inventoryapi.Page{Limit: min(in.Limit, inventoryapi.MaxPage)}
	for out.TakenUp+out.Expired+out.Failed < in.Limit {
		list, err := a.inventory.Overdue(ctx, page)
		if err != nil {
			return out, fmt.Errorf("list the overdue reservations: %w", err)
		}
		for _, r := range list.Items {
			switch {
			case r.ExpiresAt.After(since):
				return out, nil // so are all that follow
			case r.OwnerKind == inventoryapi.OwnerOrder:
				a.takeUpOwner(ctx, &out, r)
			default:
				a.takeUpOverdue(ctx, &out, r.ReservationID)
			}
		}
		if page.Cursor = list.NextCursor; page.Cursor == "" {
			break
		}
	}
	return out, nil
}

// takeUpStopped takes up an order, unless its workflow has another run since.
func (a *AdoptionActivities) takeUpStopped(ctx context.Context, out *orderflow.AdoptionResult, id uuid.UUID) {
	in, err := a.orders.Input(ctx, id)
	if errors.Is(err, orderflow.ErrNoRow) {
		return // an operator started a workflow by hand
	}
	stopped, started := false, false
	if err == nil {
		stopped, err = a.workflows.OrderWasStopped(ctx, id)
	}
	if err == nil && stopped {
		started, err = a.workflows.TakeUpOrder(ctx, in)
	}
	a.note(ctx, out, "order", id, started, err)
}

// takeUpOwner takes up the order that owns an overdue reservation. It also takes up an order that has ended, because an
// operator may have stopped the order's workflow before the workflow gave the stock back. If the order has no row, no
// customer can have paid for it, and takeUpOwner expires the reservation. It also expires a reservation that is not the
// one of the row: the run that made it was stopped before it recorded it, so that no run knows of it.
func (a *AdoptionActivities) takeUpOwner(
	ctx context.Context, out *orderflow.AdoptionResult, r inventoryapi.OverdueReservation,
) {
	in, err := a.orders.Input(ctx, r.OwnerID)
	if errors.Is(err, orderflow.ErrNoRow) || err == nil && r.Number != max(in.ReservationNumber, 1) {
		a.expire(ctx, out, r.ReservationID)
		return
	}
	started := false
	if err == nil {
		started, err = a.workflows.TakeUpOrder(ctx, in)
	}
	a.note(ctx, out, "order", r.OwnerID, started, err)
}

// takeUpPending takes up a reservation without an order, if it is pending.
func (a *AdoptionActivities) takeUpPending(ctx context.Context, out *orderflow.AdoptionResult, id uuid.UUID) {
	row, err := a.inventory.GetReservation(ctx, id)
	if errors.Is(err, inventoryapi.ReservationNotFound) {
		return // nothing was reserved
	}
	started := false
	if err == nil && row.Status == inventoryapi.StatusPending {
		started, err = a.workflows.TakeUpReservation(ctx, id)
	}
	a.note(ctx, out, "reservation", id, started, err)
}

// takeUpOverdue takes up a reservation without an order whose deadline has passed. If its workflow is gone, nothing can
// be started, and the reservation is expired.
func (a *AdoptionActivities) takeUpOverdue(ctx context.Context, out *orderflow.AdoptionResult, id uuid.UUID) {
	started, err := a.workflows.TakeUpReservation(ctx, id)
	if errors.Is(err, orderflow.ErrForgotten) {
		a.expire(ctx, out, id)
		return
	}
	a.note(ctx, out, "reservation", id, started, err)
}

// expire gives the stock of an overdue reservation back. Inventory checks the deadline.
func (a *AdoptionActivities) expire(ctx context.Context, out *orderflow.AdoptionResult, id uuid.UUID) {
	_, err := a.inventory.Expire(ctx, id, inventoryapi.ResolveRequest{
		OperationID: operation(id, orderflow.ExpireReservation),
		Actor:       orderflow.ActorSystem,
		Reason:      "the deadline has passed, and no workflow owns the reservation",
	})
	a.note(ctx, out, "expired", id, err == nil, err)
}

// note counts what was done or failed, and tells operators.
func (a *AdoptionActivities) note(
	ctx context.Context, out *orderflow.AdoptionResult, kind string, id uuid.UUID, done bool, err error,
) {
	switch {
	case err != nil:
		out.Failed++
		activity.GetLogger(ctx).Error("nothing runs for an order or reservation, and it cannot be taken up",
			"kind", kind, "id", id, "error", err)
		return
	case !done:
		return
	case kind == "expired":
		out.Expired++
	default:
		out.TakenUp++
	}
	a.count(kind)
	activity.GetLogger(ctx).Warn("took up an order or reservation for which nothing ran", "kind", kind, "id", id)
}
