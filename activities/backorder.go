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

// ReserveOrWait holds lines, all or nothing, or puts them on the waiting list: inventory then makes a reservation of
// them, with the same id, when there is stock. A repeated call answers how it stands by now. If the wait or the
// reservation has ended, it fails with ErrReservationClosed and the status.
func (a *InventoryActivities) ReserveOrWait(
	ctx context.Context, in orderflow.ReserveInput,
) (orderflow.ReservationResult, error) {
	ctx = correlation.WithDefault(ctx, in.CorrelationID)
	ref, id := in.Reservation, reservationID(in.Reservation)
	request := inventoryapi.PlaceBackorderRequest{
		BackorderID: id,
		OwnerKind:   inventoryapi.OwnerKind(ref.OwnerKind),
		OwnerID:     ref.OwnerID,
		Number:      ref.Number,
		WorkflowID:  ref.WorkflowID,
		OperationID: operation(id, orderflow.ReserveOrWait),
		Actor:       in.Actor,
		TTLSeconds:  int64(in.TTLSeconds),
		WaitSeconds: int64(in.WaitSeconds),
	}
	for _, l := range in.Lines {
		request.Lines = append(request.Lines, inventoryapi.ReserveLine{
			LineNo: l.LineNo, ProductID: l.ProductID, Quantity: l.Quantity,
		})
	}

	placed, err := a.inventory.PlaceBackorder(ctx, request)
	var ended *inventoryapi.BackorderStatusError
	switch {
	case errors.As(err, &ended):
		return orderflow.ReservationResult{}, closed(id, string(ended.Status))
	case err != nil:
		return orderflow.ReservationResult{}, reserveError(err, id)
	case placed.Status == inventoryapi.BackorderWaiting:
		return orderflow.ReservationResult{
			ReservationID: id, Status: orderflow.ReservationWaiting, ExpiresAt: placed.Deadline,
		}, nil
	}
	held := placed.Reservation
	switch held.Status {
	case inventoryapi.StatusPending, inventoryapi.StatusConfirmed:
		return orderflow.ReservationResult{ReservationID: id, Status: string(held.Status), ExpiresAt: held.ExpiresAt}, nil
	default:
		return orderflow.ReservationResult{}, closed(id, string(held.Status))
	}
}

// closed is the refusal of a reserve whose wait or reservation has ended.
func closed(id uuid.UUID, status string) error {
	return temporal.NewNonRetryableApplicationError(
		fmt.Sprintf("reservation %s is %s", id, status), orderflow.ErrReservationClosed, nil, status)
}

// endOfWait returns the result of ending the wait of a backorder. ended is false if the backorder has become a
// reservation, which the caller ends then.
func endOfWait(id uuid.UUID, action string, err error) (res orderflow.ReservationResult, ended bool, _ error) {
	var other *inventoryapi.BackorderStatusError
	switch {
	case errors.As(err, &other) && other.Status == inventoryapi.BackorderGranted:
		return res, false, nil
	case err != nil && other == nil:
		return res, false, writeError(action, id, err)
	}
	return orderflow.ReservationResult{ReservationID: id, Status: orderflow.ReservationWaiting}, true, nil
}
