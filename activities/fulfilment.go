package activities

import (
	"context"
	"errors"
	"fmt"

	"holdfast/internal/correlation"
	"holdfast/inventory/inventoryapi"
	"holdfast/workflows/orderflow"
)

// ReturnUnits puts confirmed units of a reservation back into the inventory, until inventory has as many of each line
// back as asked for. It first looks how many inventory has back already, so a repeated call returns nothing twice.
func (a *InventoryActivities) ReturnUnits(
	ctx context.Context, in orderflow.ReturnUnitsInput,
) (orderflow.ReservationResult, error) {
	ctx = correlation.WithDefault(ctx, in.CorrelationID)
	id := reservationID(in.Reservation)
	held, err := a.inventory.GetReservation(ctx, id)
	if err != nil {
		return orderflow.ReservationResult{}, writeError("read", id, err)
	}

	out := orderflow.ReservationResult{ReservationID: id, Status: string(held.Status)}
	for _, want := range in.Lines {
		missing := want.UpTo - returned(held, want)
		if missing <= 0 {
			continue
		}
		step := fmt.Sprintf("%s-%d-%s", orderflow.ReturnUnits, want.LineNo, want.Location)
		res, err := a.inventory.Return(ctx, id, inventoryapi.ReturnRequest{
			OperationID: orderflow.OperationID(id, step, int(want.UpTo)),
			Actor:       in.Actor,
			Reason:      recordable(in.Reason),
			Lines: []inventoryapi.ReturnLine{{
				LineNo: want.LineNo, Location: want.Location, Quantity: missing,
			}},
		})
		if err != nil {
			return orderflow.ReservationResult{}, writeError("return", id, err)
		}
		out.Status = string(res.Status)
		out.Returned += missing
	}
	return out, nil
}

// returned counts the units of a line that came back to a location.
func returned(held inventoryapi.Reservation, line orderflow.ReturnUpTo) int64 {
	var n int64
	for _, l := range held.Lines {
		if l.LineNo == line.LineNo && l.Location == line.Location {
			n += l.Returned
		}
	}
	return n
}

// WriteOffStock takes what inventory counts as available of a product at a location out of the stock, because the shelf
// is empty. Reserved units stay. It acts once for a shipment's line and its number of missing units.
func (a *InventoryActivities) WriteOffStock(
	ctx context.Context, in orderflow.WriteOffInput,
) (orderflow.WriteOffResult, error) {
	ctx = correlation.WithDefault(ctx, in.CorrelationID)
	there, err := a.inventory.Availability(ctx, in.ProductID, 1)
	if err != nil {
		return orderflow.WriteOffResult{}, writeError("write off", in.ProductID, err)
	}
	var counted int64
	for _, l := range there.Locations {
		if l.Location == in.Location {
			counted = l.Available
		}
	}
	if counted <= 0 {
		return orderflow.WriteOffResult{}, nil
	}

	delta := -counted
	step := fmt.Sprintf("%s-%d-%d", orderflow.WriteOffStock, in.Shipment, in.LineNo)
	_, err = a.inventory.AdjustStock(ctx, in.ProductID, inventoryapi.AdjustRequest{
		OperationID:     orderflow.OperationID(in.OrderID, step, int(in.Short)),
		Location:        in.Location,
		Delta:           &delta,
		ExpectedVersion: &there.Version,
		Reason:          fmt.Sprintf("the shelf was empty when shipment %d of order %s was picked", in.Shipment, in.OrderID),
	}, inventoryapi.WriteOptions{Actor: in.Actor})
	switch {
	case errors.Is(err, inventoryapi.AlreadyExists): // an earlier attempt wrote off another number
		return orderflow.WriteOffResult{}, nil
	case errors.Is(err, inventoryapi.VersionConflict): // the stock has changed since; look again
		return orderflow.WriteOffResult{}, fmt.Errorf("write off product %s: %w", in.ProductID, err)
	case err != nil:
		return orderflow.WriteOffResult{}, writeError("write off", in.ProductID, err)
	}
	return orderflow.WriteOffResult{Quantity: counted}, nil
}

// reservedLines lists where the stock of a reservation was taken.
func reservedLines(lines []inventoryapi.StockLine) []orderflow.ReservedLine {
	out := make([]orderflow.ReservedLine, len(lines))
	for i, l := range lines {
		out[i] = orderflow.ReservedLine{LineNo: l.LineNo, Location: l.Location, Quantity: l.Quantity}
	}
	return out
}
