// Package activities holds the activities of our workflows: they call inventory, the payment provider and the orders
// database. Temporal may run an activity twice, or lose its answer and run it again. So each activity derives its
// idempotency keys from the order and the step, and never from random values.
package activities

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"go.temporal.io/sdk/temporal"

	"holdfast/internal/correlation"
	"holdfast/inventory/inventoryapi"
	"holdfast/workflows/orderflow"
)

// Inventory is what the activities need of the inventory service.
type Inventory interface {
	Reserve(ctx context.Context, in inventoryapi.ReserveRequest) (inventoryapi.Reservation, error)
	Confirm(ctx context.Context, id uuid.UUID, in inventoryapi.ResolveRequest) (inventoryapi.ConfirmResult, error)
	Release(ctx context.Context, id uuid.UUID, in inventoryapi.ReleaseRequest) (inventoryapi.ReleaseResult, error)
	Expire(ctx context.Context, id uuid.UUID, in inventoryapi.ResolveRequest) (inventoryapi.ReleaseResult, error)
	PlaceBackorder(ctx context.Context, in inventoryapi.PlaceBackorderRequest) (inventoryapi.Backorder, error)
	CancelBackorder(
		ctx context.Context, id uuid.UUID, in inventoryapi.ReleaseRequest,
	) (inventoryapi.Backorder, error)
	ExpireBackorder(
		ctx context.Context, id uuid.UUID, in inventoryapi.ResolveRequest,
	) (inventoryapi.Backorder, error)
	Extend(ctx context.Context, id uuid.UUID, in inventoryapi.ExtendRequest) (inventoryapi.ExtendResult, error)
	Return(ctx context.Context, id uuid.UUID, in inventoryapi.ReturnRequest) (inventoryapi.ReturnResult, error)
	GetReservation(ctx context.Context, id uuid.UUID) (inventoryapi.Reservation, error)
	Reservations(
		ctx context.Context, filter inventoryapi.ReservationFilter, page inventoryapi.Page,
	) (inventoryapi.ReservationList, error)
	Availability(ctx context.Context, product uuid.UUID, quantity int64) (inventoryapi.Availability, error)
	AdjustStock(
		ctx context.Context, product uuid.UUID, in inventoryapi.AdjustRequest, o inventoryapi.WriteOptions,
	) (inventoryapi.StockChange, error)
}

// InventoryActivities are the steps that change stock.
type InventoryActivities struct {
	inventory Inventory
}

// NewInventory returns the activities on the given service.
func NewInventory(inventory Inventory) *InventoryActivities {
	return &InventoryActivities{inventory: inventory}
}

// ReserveStock holds lines, all or nothing. A repeated call answers the same reservation.
func (a *InventoryActivities) ReserveStock(
	ctx context.Context, in orderflow.ReserveInput,
) (orderflow.ReservationResult, error) {
	ctx = correlation.WithDefault(ctx, in.CorrelationID)
	id := reservationID(in.Reservation)
	held, err := a.inventory.Reserve(ctx, reserveRequest(in, orderflow.ReserveStock))
	if err != nil {
		return orderflow.ReservationResult{}, reserveError(err, id)
	}
	return orderflow.ReservationResult{ReservationID: id, Status: string(held.Status), ExpiresAt: held.ExpiresAt}, nil
}

// ReplaceReservation holds lines in place of another reservation of the same owner (in.Replaces), which inventory
// releases in the same transaction. It keeps that one's deadline. A repeated call answers the same reservation. If it
// fails with ErrOutOfStock or ErrReservationRefused, the other reservation is as it was and stays so: inventory refuses
// an earlier attempt that arrives late.
func (a *InventoryActivities) ReplaceReservation(
	ctx context.Context, in orderflow.ReserveInput,
) (orderflow.ReservationResult, error) {
	ctx = correlation.WithDefault(ctx, in.CorrelationID)
	old := in.Reservation
	old.Number = in.Replaces
	req := reserveRequest(in, orderflow.ReplaceReservation)
	req.Replaces = reservationID(old)

	held, err := a.inventory.Reserve(ctx, req)
	if err == nil {
		return orderflow.ReservationResult{
			ReservationID: req.ReservationID, Status: string(held.Status), ExpiresAt: held.ExpiresAt,
		}, nil
	}
	err = replaceError(err, req)
	if leavesReplaced(err) { // a request of this attempt that broke, or an earlier attempt, may still arrive
		if err := a.withdraw(ctx, in); err != nil {
			return orderflow.ReservationResult{}, err
		}
	}
	return orderflow.ReservationResult{}, err
}

// withdraw makes inventory refuse earlier attempts of a refused replacement that arrive late. If one of them has
// arrived in between, the replaced reservation is gone, and withdraw fails with ErrReservationClosed.
func (a *InventoryActivities) withdraw(ctx context.Context, in orderflow.ReserveInput) error {
	ref, id := in.Reservation, reservationID(in.Reservation)
	res, err := a.inventory.Release(ctx, id, inventoryapi.ReleaseRequest{
		OperationID: operation(id, orderflow.ReleaseStock),
		Actor:       in.Actor,
		Reason:      "the change of the lines was refused",
		OwnerKind:   inventoryapi.OwnerKind(ref.OwnerKind),
		OwnerID:     ref.OwnerID,
		Number:      ref.Number,
		WorkflowID:  ref.WorkflowID,
	})
	switch {
	case err != nil:
		return writeError("withdraw", id, err)
	case res.QuantityReleased > 0:
		return closed(id, string(res.Status))
	}
	return nil
}

// leavesReplaced reports whether a refusal leaves the reservation to replace as it is.
func leavesReplaced(err error) bool {
	var refused *temporal.ApplicationError
	return errors.As(err, &refused) &&
		(refused.Type() == orderflow.ErrOutOfStock || refused.Type() == orderflow.ErrReservationRefused)
}

// replaceError turns an error of a replacement into a business refusal, which is final, or into an error that Temporal
// retries.
func replaceError(err error, req inventoryapi.ReserveRequest) error {
	var status *inventoryapi.StatusError
	var deadline *inventoryapi.DeadlineError
	switch {
	case errors.As(err, &status) && status.Code == inventoryapi.AlreadyResolved,
		errors.Is(err, inventoryapi.AlreadyExists):
		return temporal.NewNonRetryableApplicationError(err.Error(), orderflow.ErrNumberUsed, err)
	case errors.As(err, &status), errors.As(err, &deadline):
		return writeError("replace", req.Replaces, err)
	case errors.Is(err, inventoryapi.ReservationNotFound):
		return closed(req.Replaces, "unknown to inventory")
	}
	return reserveError(err, req.ReservationID)
}

// reserveRequest returns the request to reserve the lines.
func reserveRequest(in orderflow.ReserveInput, step string) inventoryapi.ReserveRequest {
	ref, id := in.Reservation, reservationID(in.Reservation)
	req := inventoryapi.ReserveRequest{
		ReservationID: id,
		OwnerKind:     inventoryapi.OwnerKind(ref.OwnerKind),
		OwnerID:       ref.OwnerID,
		Number:        ref.Number,
		WorkflowID:    ref.WorkflowID,
		OperationID:   operation(id, step),
		Actor:         in.Actor,
		TTLSeconds:    int64(in.TTLSeconds),
	}
	for _, l := range in.Lines {
		req.Lines = append(req.Lines, inventoryapi.ReserveLine{
			LineNo: l.LineNo, ProductID: l.ProductID, Quantity: l.Quantity,
		})
	}
	return req
}

// reserveError turns an error of Reserve into a business refusal, which is final, or into an error that Temporal
// retries.
func reserveError(err error, id uuid.UUID) error {
	var short *inventoryapi.InsufficientStockError
	var status *inventoryapi.StatusError
	var other *inventoryapi.Error
	switch {
	case errors.As(err, &short):
		lines := make([]orderflow.ShortLine, len(short.Lines))
		for i, l := range short.Lines {
			lines[i] = orderflow.ShortLine{ProductID: l.ProductID, Requested: l.Requested, Available: l.Available}
		}
		return temporal.NewNonRetryableApplicationError("not enough stock", orderflow.ErrOutOfStock, err, lines)
	case inventoryapi.Retryable(err):
		return fmt.Errorf("reserve stock as %s: %w", id, err)
	case errors.As(err, &status):
		current := string(status.Status)
		return temporal.NewNonRetryableApplicationError(err.Error(), orderflow.ErrReservationClosed, err, current)
	}

	why := orderflow.Refusal{Code: string(inventoryapi.CodeOf(err)), Detail: err.Error()}
	if errors.As(err, &other) {
		why.Field, why.Detail = other.Field, other.Detail
	}
	return temporal.NewNonRetryableApplicationError(err.Error(), orderflow.ErrReservationRefused, err, why)
}

// ExtendReservation moves the deadline to at least in.ExpiresAt; it never shortens.
func (a *InventoryActivities) ExtendReservation(
	ctx context.Context, in orderflow.ReservationInput,
) (orderflow.ReservationResult, error) {
	ctx = correlation.WithDefault(ctx, in.CorrelationID)
	id := reservationID(in.Reservation)
	res, err := a.inventory.Extend(ctx, id, inventoryapi.ExtendRequest{
		ExpiresAt: *in.ExpiresAt, Actor: in.Actor, Reason: recordable(in.Reason),
	})
	if err != nil {
		return orderflow.ReservationResult{}, writeError("extend", id, err)
	}
	return orderflow.ReservationResult{ReservationID: id, Status: string(res.Status), ExpiresAt: res.ExpiresAt}, nil
}

// ConfirmReservation confirms a reservation: its stock leaves the inventory, and the result says from where. Only
// ReturnStock and ReturnUnits bring it back.
func (a *InventoryActivities) ConfirmReservation(
	ctx context.Context, in orderflow.ReservationInput,
) (orderflow.ReservationResult, error) {
	ctx = correlation.WithDefault(ctx, in.CorrelationID)
	id := reservationID(in.Reservation)
	res, err := a.inventory.Confirm(ctx, id, inventoryapi.ResolveRequest{
		OperationID: operation(id, orderflow.ConfirmReservation), Actor: in.Actor, Reason: recordable(in.Reason),
	})
	if err != nil {
		return orderflow.ReservationResult{}, writeError("confirm", id, err)
	}
	return orderflow.ReservationResult{
		ReservationID: id, Status: string(res.Status), Lines: reservedLines(res.Lines),
	}, nil
}

// ReleaseStock releases a reservation and makes its stock available again. If inventory has never seen the
// reservation, it stores the release, and refuses a reserve that arrives later. A backorder that still waits is
// cancelled. If the reservation has already ended, ReleaseStock succeeds and returns the status in which it ended.
//
// If another reservation has replaced this one, ReleaseStock releases that one too: the run of the workflow that made
// it was stopped before it recorded the change (unrecorded).
func (a *InventoryActivities) ReleaseStock(
	ctx context.Context, in orderflow.ReservationInput,
) (orderflow.ReservationResult, error) {
	ctx = correlation.WithDefault(ctx, in.CorrelationID)
	ref, id := in.Reservation, reservationID(in.Reservation)
	request := inventoryapi.ReleaseRequest{
		OperationID: operation(id, orderflow.ReleaseStock),
		Actor:       in.Actor,
		Reason:      recordable(in.Reason),
		OwnerKind:   inventoryapi.OwnerKind(ref.OwnerKind),
		OwnerID:     ref.OwnerID,
		Number:      ref.Number,
		WorkflowID:  ref.WorkflowID,
	}
	if in.Backorder {
		_, err := a.inventory.CancelBackorder(ctx, id, request)
		if res, ended, err := endOfWait(id, "cancel", err); ended || err != nil {
			return res, err
		}
	}
	res, err := a.inventory.Release(ctx, id, request)
	if err == nil && res.Replaced {
		next, found, err := a.unrecorded(ctx, in)
		if err != nil {
			return orderflow.ReservationResult{}, err
		}
		if found {
			return a.ReleaseStock(ctx, next)
		}
	}
	return endResult(id, string(res.Status), "release", err)
}

// unrecorded returns the input with the reservation that has replaced the input's and is still pending. An order's
// workflow knows the number of its reservation, unless an operator has stopped the run that changed the lines after
// inventory made the replacement and before the orders database had it. The next run then knows only the replaced
// reservation. If it ended only that one, the other would hold its stock until the adoption expires it at its deadline.
func (a *InventoryActivities) unrecorded(
	ctx context.Context, in orderflow.ReservationInput,
) (_ orderflow.ReservationInput, found bool, err error) {
	ref := in.Reservation
	if ref.OwnerKind != orderflow.OwnerOrder { // only orders change their lines
		return in, false, nil
	}
	list, err := a.inventory.Reservations(ctx, inventoryapi.ReservationFilter{
		Statuses: []inventoryapi.Status{inventoryapi.StatusPending}, OrderID: ref.OwnerID,
	}, inventoryapi.Page{})
	if err != nil {
		return in, false, fmt.Errorf("find what has replaced reservation %s: %w", reservationID(ref), err)
	}
	for _, r := range list.Items {
		if r.Number > ref.Number {
			in.Reservation.Number, in.Backorder = r.Number, false
			return in, true, nil
		}
	}
	return in, false, nil
}

// ExpireReservation ends a reservation whose deadline has passed and makes its stock available again. Before the
// deadline it fails with ErrNotDue and the deadline. So it does with a backorder that still waits. If the reservation
// has already ended, ExpireReservation succeeds and returns the status in which it ended. It expires a reservation that
// has replaced this one as well, as ReleaseStock does.
func (a *InventoryActivities) ExpireReservation(
	ctx context.Context, in orderflow.ReservationInput,
) (orderflow.ReservationResult, error) {
	ctx = correlation.WithDefault(ctx, in.CorrelationID)
	id := reservationID(in.Reservation)
	request := inventoryapi.ResolveRequest{
		OperationID: operation(id, orderflow.ExpireReservation), Actor: in.Actor, Reason: recordable(in.Reason),
	}
	if in.Backorder {
		_, err := a.inventory.ExpireBackorder(ctx, id, request)
		if res, ended, err := endOfWait(id, "expire", err); ended || err != nil {
			return res, err
		}
	}
	res, err := a.inventory.Expire(ctx, id, request)
	var other *inventoryapi.StatusError
	if errors.As(err, &other) && other.Status == inventoryapi.StatusReleased {
		next, found, err := a.unrecorded(ctx, in)
		if err != nil {
			return orderflow.ReservationResult{}, err
		}
		if found {
			return a.ExpireReservation(ctx, next)
		}
	}
	return endResult(id, string(res.Status), "expire", err)
}

// ReturnStock puts the stock of a confirmed reservation back into the inventory: all lines, at most once.
func (a *InventoryActivities) ReturnStock(
	ctx context.Context, in orderflow.ReservationInput,
) (orderflow.ReservationResult, error) {
	ctx = correlation.WithDefault(ctx, in.CorrelationID)
	id := reservationID(in.Reservation)
	res, err := a.inventory.Return(ctx, id, inventoryapi.ReturnRequest{
		OperationID: operation(id, orderflow.ReturnStock), Actor: in.Actor, Reason: recordable(in.Reason),
	})
	if err != nil {
		return orderflow.ReservationResult{}, writeError("return", id, err)
	}
	return orderflow.ReservationResult{ReservationID: id, Status: string(res.Status)}, nil
}

func reservationID(ref orderflow.ReservationRef) uuid.UUID {
	return inventoryapi.NewReservationID(inventoryapi.OwnerKind(ref.OwnerKind), ref.OwnerID, ref.Number)
}

// operation returns the operation id of a step. A reservation carries out each step at most once.
func operation(reservation uuid.UUID, step string) uuid.UUID {
	return orderflow.OperationID(reservation, step, 1)
}

// endResult returns the result of a release or an expiry. If the reservation had already ended in another way, the call
// has succeeded too, and the result has that status.
func endResult(id uuid.UUID, status, action string, err error) (orderflow.ReservationResult, error) {
	var other *inventoryapi.StatusError
	if errors.As(err, &other) {
		status, err = string(other.Status), nil
	}
	if err != nil {
		return orderflow.ReservationResult{}, writeError(action, id, err)
	}
	return orderflow.ReservationResult{ReservationID: id, Status: status}, nil
}

// writeError turns an error of a write to a reservation into a business refusal, which is final, or into an error that
// Temporal retries.
func writeError(action string, id uuid.UUID, err error) error {
	var deadline *inventoryapi.DeadlineError
	var status *inventoryapi.StatusError
	switch {
	case errors.As(err, &deadline) && deadline.Code == inventoryapi.NotDue:
		return temporal.NewNonRetryableApplicationError(err.Error(), orderflow.ErrNotDue, err, deadline.ExpiresAt)
	case errors.As(err, &deadline), errors.Is(err, inventoryapi.ReservationExpired):
		return temporal.NewNonRetryableApplicationError(err.Error(), orderflow.ErrReservationExpired, err)
	case errors.As(err, &status):
		current := string(status.Status)
		return temporal.NewNonRetryableApplicationError(err.Error(), orderflow.ErrReservationClosed, err, current)
	case inventoryapi.Retryable(err):
		return fmt.Errorf("%s reservation %s: %w", action, id, err)
	}
	return temporal.NewNonRetryableApplicationError(err.Error(), orderflow.ErrReservationRefused, err)
}
