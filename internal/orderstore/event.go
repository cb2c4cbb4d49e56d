package orderstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"holdfast/internal/events"
	"holdfast/internal/money"
	"holdfast/internal/order"
	"holdfast/internal/telemetry"
	"holdfast/workflows/orderflow"
)

// eventType returns the type under which an entry of a timeline is published.
func eventType(e order.Event) string { return events.OrderPrefix + e.PublishedAs() }

// createdEvent returns the event of an order's first entry.
func createdEvent(ctx context.Context, in orderflow.OrderInput) (events.Pending, error) {
	data := events.OrderCreated{
		OrderID: in.OrderID,
		State:   string(order.Pending),
		Lines:   eventLines(in.Lines),
		Total:   in.Total,
	}
	return events.NewPending(data, headers(ctx, in.CorrelationID))
}

// headers returns the headers of an event that ctx causes.
func headers(ctx context.Context, correlationID string) events.Headers {
	return events.Headers{CorrelationID: correlationID, Traceparent: telemetry.Traceparent(ctx)}
}

// eventData returns the data of the event that an entry causes.
func (s *Store) eventData(ctx context.Context, in orderflow.RecordInput, e orderflow.TimelineEntry) (any, error) {
	switch e.Event {
	case order.EventReserved:
		return s.reservedData(ctx, in, e)
	case order.EventLinesChanged:
		return s.changedData(ctx, in, e)
	case order.EventRejected:
		data := events.OrderRejected{OrderID: in.View.OrderID, State: string(e.State), Reason: refusalCode(in.View)}
		for _, l := range in.View.Short {
			data.ShortLines = append(data.ShortLines, events.ShortLine{
				ProductID: l.ProductID, Requested: l.Requested, Available: l.Available,
			})
		}
		return data, nil
	case order.EventPaid:
		return paymentData(in, e, orderflow.StepCapture), nil
	case order.EventPaymentRefunded:
		return paymentData(in, e, orderflow.StepRefund), nil
	case order.EventShipped:
		return s.shippedData(ctx, in, e)
	default:
		data := events.OrderChanged{
			OrderID:       in.View.OrderID,
			State:         string(e.State),
			ReservationID: in.View.ReservationID,
		}
		if e.Actor == orderflow.ActorSystem { // a person's words may be personal data
			data.Reason = storable(events.OwnReason(e.Reason))
		}
		return data, nil
	}
}

// reservedData takes the lines and the total from the order's input, or from the database if an earlier record had the
// input.
func (s *Store) reservedData(
	ctx context.Context, in orderflow.RecordInput, e orderflow.TimelineEntry,
) (events.OrderReserved, error) {
	lines, total, err := s.contents(ctx, in)
	if err != nil {
		return events.OrderReserved{}, err
	}
	return events.OrderReserved{
		OrderID:       in.View.OrderID,
		State:         string(e.State),
		ReservationID: orNoID(in.View.ReservationID),
		ExpiresAt:     utc(e.NextDeadline),
		Lines:         lines,
		Total:         total,
	}, nil
}

// changedData takes the lines and the total from the record that changes them. A record whose answer was lost comes
// again with them. A record that another one has overtaken writes no event.
func (s *Store) changedData(
	ctx context.Context, in orderflow.RecordInput, e orderflow.TimelineEntry,
) (events.OrderLinesChanged, error) {
	data, err := s.reservedData(ctx, in, e)
	if now := in.Contents; now != nil {
		data.Lines, data.Total = eventLines(now.Lines), now.Total
	}
	return events.OrderLinesChanged(data), err
}

func (s *Store) contents(ctx context.Context, in orderflow.RecordInput) ([]events.OrderLine, money.Amount, error) {
	if in.Order != nil {
		return eventLines(in.Order.Lines), in.Order.Total, nil
	}
	o, err := s.Get(ctx, in.View.OrderID)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, money.Amount{}, errNoRow
	case err != nil:
		return nil, money.Amount{}, fmt.Errorf("read the lines of order %s: %w", in.View.OrderID, err)
	}
	lines := make([]events.OrderLine, len(o.Lines))
	for i, l := range o.Lines {
		lines[i] = events.OrderLine{ProductID: l.ProductID, SKU: l.SKU, Quantity: l.Quantity}
	}
	return lines, o.Total, nil
}

// paymentData finds the amount among the payments of the same record. The entries and the payments of a step are in the
// same order.
func paymentData(
	in orderflow.RecordInput, e orderflow.TimelineEntry, step orderflow.PaymentStep,
) events.OrderPayment {
	data := events.OrderPayment{OrderID: in.View.OrderID, State: string(e.State), Attempt: e.Attempt}
	earlier := 0 // entries of this event before this one
	for _, other := range in.Entries {
		if other.Event == e.Event && other.Seq < e.Seq {
			earlier++
		}
	}
	for _, p := range in.Payments {
		if p.Step != step || p.State == orderflow.PaymentFailed {
			continue
		}
		if earlier == 0 {
			data.Attempt, data.Amount = p.Attempt, &p.Amount
			break
		}
		earlier--
	}
	return data
}

// shippedData returns what left with a shipment.
func (s *Store) shippedData(
	ctx context.Context, in orderflow.RecordInput, e orderflow.TimelineEntry,
) (events.OrderShipped, error) {
	data := events.OrderShipped{OrderID: in.View.OrderID, State: string(e.State), Shipment: e.Shipment}
	lines, _, err := s.contents(ctx, in)
	if err != nil || in.View.Fulfilment == nil || e.Shipment > len(in.View.Fulfilment.Shipments) {
		return data, err
	}
	left := in.View.Fulfilment.Shipments[e.Shipment-1]
	data.Location, data.Carrier, data.TrackingNumber = left.Location, left.Carrier, left.TrackingNumber
	for _, l := range left.Lines {
		if l.Quantity > 0 && l.LineNo <= len(lines) {
			line := lines[l.LineNo-1] // the lines of an order are numbered from 1
			line.Quantity = l.Quantity
			data.Lines = append(data.Lines, line)
		}
	}
	return data, nil
}

func eventLines(lines []orderflow.Line) []events.OrderLine {
	out := make([]events.OrderLine, len(lines))
	for i, l := range lines {
		out[i] = events.OrderLine{ProductID: l.ProductID, SKU: l.SKU, Quantity: l.Quantity}
	}
	return out
}

// utc returns the time in UTC, as events have it.
func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	out := t.UTC()
	return &out
}

// orNoID returns the id, or the zero id.
func orNoID(id *uuid.UUID) uuid.UUID {
	if id == nil {
		return uuid.UUID{}
	}
	return *id
}
