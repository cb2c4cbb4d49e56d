package orderstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"holdfast/db/ordersdb"
	"holdfast/internal/address"
	"holdfast/workflows/orderflow"
)

// fulfilment reads the shipments and returns of an order as its workflow knows them; nil if no shipments are planned.
func (s *Store) fulfilment(
	ctx context.Context, id uuid.UUID, row ordersdb.FindRecordedOrderRow,
) (*orderflow.Fulfilment, error) {
	if row.CapturedAttempt == 0 {
		return nil, nil
	}
	rows, err := s.q.ShipmentsOfOrders(ctx, s.pool, []uuid.UUID{id})
	if err != nil {
		return nil, fmt.Errorf("read the shipments of order %s: %w", id, err)
	}
	lines, err := s.q.ShipmentLinesOfOrders(ctx, s.pool, []uuid.UUID{id})
	if err != nil {
		return nil, fmt.Errorf("read the contents of the shipments of order %s: %w", id, err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	out := orderflow.Fulfilment{Hold: holdOf(row.HoldReason, row.HoldNote)}
	if out.Returns, err = s.returns(ctx, id); err != nil {
		return nil, err
	}
	for _, r := range rows {
		out.Shipments = append(out.Shipments, shipmentOf(r).Shipment)
	}
	for _, l := range lines {
		if int(l.Number) > len(out.Shipments) { // the numbers have no gap
			return nil, fmt.Errorf("order %s has changed while it was read", id)
		}
		to := &out.Shipments[l.Number-1]
		to.Lines = append(to.Lines, shipmentLineOf(l))
	}
	return &out, nil
}

func holdOf(reason, note string) *orderflow.Hold {
	if reason == "" {
		return nil
	}
	return &orderflow.Hold{Reason: orderflow.HoldReason(reason), Note: note}
}

func shipmentOf(r ordersdb.Shipment) Shipment {
	return Shipment{
		Shipment: orderflow.Shipment{
			Number:         int(r.Number),
			Location:       r.Location,
			Status:         orderflow.ShipmentStatus(r.Status),
			Carrier:        r.Carrier,
			TrackingNumber: r.TrackingNumber,
		},
		PromisedOn: r.PromisedOn.Time,
		PlannedAt:  r.CreatedAt,
		UpdatedAt:  r.UpdatedAt,
	}
}

func shipmentLineOf(l ordersdb.ShipmentLine) orderflow.ShipmentLine {
	return orderflow.ShipmentLine{
		LineNo:      int(l.LineNo),
		Reservation: int(l.Reservation),
		Quantity:    l.Quantity,
		Cancelled:   l.Cancelled,
		Short:       l.Short,
		Rerouting:   l.Rerouting,
		Restocked:   l.Restocked,
	}
}

// PickPosition is the last shipment of a page of a pick list.
type PickPosition struct {
	PlannedAt time.Time
	OrderID   uuid.UUID
	Number    int
}

// Pick is a shipment as the warehouse needs it.
type Pick struct {
	Shipment
	OrderID     uuid.UUID
	OrderNumber string
	ShipTo      *address.Address
	Held        bool // an operator has stopped the fulfilment of the order
	Items       []PickItem
}

// PickItem is one product of a shipment.
type PickItem struct {
	LineNo    int
	ProductID uuid.UUID
	SKU       string
	Name      string
	Quantity  int64
}

// ListShipments returns a page of the shipments of a location in the given statuses, oldest first.
func (s *Store) ListShipments(
	ctx context.Context, location string, statuses []orderflow.ShipmentStatus, after PickPosition, size int,
) ([]Pick, error) {
	params := ordersdb.ListShipmentsParams{
		Location:       location,
		AfterCreatedAt: after.PlannedAt,
		AfterID:        after.OrderID,
		AfterNumber:    int32(after.Number), //nolint:gosec // shipments are few
		PageSize:       int32(size),         //nolint:gosec // bounded by the contract
	}
	for _, status := range statuses {
		params.Statuses = append(params.Statuses, string(status))
	}
	rows, err := s.q.ListShipments(ctx, s.pool, params)
	if err != nil {
		return nil, fmt.Errorf("list the shipments of %s: %w", location, err)
	}

	var out []Pick
	for _, r := range rows {
		if last := len(out) - 1; last < 0 || out[last].OrderID != r.OrderID || out[last].Number != int(r.Number) {
			pick, err := pickOf(r)
			if err != nil {
				return nil, err
			}
			out = append(out, pick)
		}
		if r.Quantity == 0 {
			continue
		}
		to := &out[len(out)-1]
		to.Items = append(to.Items, PickItem{
			LineNo:    int(r.LineNo),
			ProductID: r.ProductID,
			SKU:       r.Sku,
			Name:      r.Name,
			Quantity:  r.Quantity,
		})
	}
	return out, nil
}

func pickOf(r ordersdb.ListShipmentsRow) (Pick, error) {
	out := Pick{
		Shipment: shipmentOf(ordersdb.Shipment{
			OrderID:        r.OrderID,
			Number:         r.Number,
			Location:       r.Location,
			Status:         r.Status,
			Carrier:        r.Carrier,
			TrackingNumber: r.TrackingNumber,
			PromisedOn:     r.PromisedOn,
			CreatedAt:      r.CreatedAt,
			UpdatedAt:      r.UpdatedAt,
		}),
		OrderID:     r.OrderID,
		OrderNumber: r.OrderNumber,
		Held:        r.HoldReason != "",
	}
	if r.ShipTo != nil {
		if err := json.Unmarshal(r.ShipTo, &out.ShipTo); err != nil {
			return Pick{}, fmt.Errorf("%w: decode ship_to of order %s: %w", ErrUnreadable, r.OrderID, err)
		}
	}
	return out, nil
}

// FindShipment finds the order and the number of the shipment that a carrier reports on. ErrNotFound: no shipment left
// with this carrier under this number.
func (s *Store) FindShipment(ctx context.Context, carrier, trackingNumber string) (uuid.UUID, int, error) {
	row, err := s.q.FindShipment(ctx, s.pool, ordersdb.FindShipmentParams{
		TrackingNumber: trackingNumber, Carrier: carrier,
	})
	if err != nil {
		return uuid.UUID{}, 0, fmt.Errorf("find shipment %s of %s: %w", trackingNumber, carrier, notFound(err))
	}
	return row.OrderID, int(row.Number), nil
}
