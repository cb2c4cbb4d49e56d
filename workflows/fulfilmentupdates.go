package workflows

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// handleFulfilment registers the updates of a paid order.
func (o *orderRun) handleFulfilment(ctx workflow.Context) error {
	for _, u := range []struct {
		name, description string
		change            func(orderflow.ShipmentInput) change
	}{
		{
			orderflow.UpdatePack,
			`The warehouse has packed a shipment. Input: {"shipment": 1}.`,
			o.pack,
		},
		{
			orderflow.UpdateShip,
			`A shipment leaves with a carrier, whole or in part. Input: {"shipment": 1, "carrier": "dhl", ` +
				`"tracking_number": "…"}, for a part also "lines": [{"line_no": 1, "quantity": 1}].`,
			o.ship,
		},
		{
			orderflow.UpdateShortPick,
			`Units of a shipment are missing or damaged. Input: {"shipment": 1, ` +
				`"cause": "missing" or "damaged", "lines": [{"line_no": 1, "quantity": 1}]}.`,
			o.shortPick,
		},
		{
			orderflow.UpdateDeliver,
			`A shipment was delivered. Input: {"shipment": 1}.`,
			o.deliver,
		},
		{
			orderflow.UpdateLose,
			`The carrier has lost a shipment: its units are sent again, or refunded. ` +
				`Input: {"shipment": 1, "remedy": "reship" or "refund"}.`,
			o.lose,
		},
	} {
		if err := handleChange(ctx, o, u.name, u.description, u.change); err != nil {
			return err
		}
	}
	if err := handleChange(ctx, o, orderflow.UpdateHold,
		`Stops the fulfilment. Input: {"hold": {"reason": "address", "fraud", "stock" or "customer"}}.`, o.hold); err != nil {
		return err
	}
	if err := handleChange(ctx, o, orderflow.UpdateUnhold, "Lets the fulfilment go on. Input: {}.", o.unhold); err != nil {
		return err
	}
	if err := o.handleReturns(ctx); err != nil {
		return err
	}
	return handleChange(ctx, o, orderflow.UpdateCancelLines,
		`Cancels units that have not left, and gives their stock and their price back. `+
			`Input: {"lines": [{"line_no": 1, "quantity": 1}], "reason": "…"}.`, o.cancelLines)
}

// handleChange registers an update that is one change of the shipments.
func handleChange[In any](
	ctx workflow.Context, o *orderRun, name, description string, of func(In) change,
) error {
	handler := func(ctx workflow.Context, in In) (orderflow.FulfilmentResult, error) { return o.change(ctx, of(in)) }
	return workflow.SetUpdateHandlerWithOptions(ctx, name, handler, workflow.UpdateHandlerOptions{
		Validator:   func(in In) error { return o.mayChange(of(in)) },
		Description: description,
	})
}

func (o *orderRun) pack(in orderflow.ShipmentInput) change {
	return change{
		input:    order.Pick,
		event:    order.EventPacked,
		shipment: in.Shipment,
		actor:    in.Actor,
		apply: toShipments(func(s *shipments) error {
			packed, err := s.atLocation(in.Shipment)
			if err == nil && packed.Status == orderflow.ShipmentPacked {
				err = errUnchanged
			}
			if err == nil {
				packed.Status = orderflow.ShipmentPacked
			}
			return err
		}),
	}
}

func (o *orderRun) ship(in orderflow.ShipmentInput) change {
	return change{
		input:    order.Pick,
		event:    order.EventShipped,
		shipment: in.Shipment,
		actor:    in.Actor,
		apply: toShipments(func(s *shipments) error {
			found, err := s.find(in.Shipment)
			if err != nil {
				return err
			}
			if found.Status == orderflow.ShipmentShipped &&
				found.Carrier == in.Carrier && found.TrackingNumber == in.TrackingNumber {
				return errUnchanged
			}
			return s.ship(in.Shipment, in.Lines, in.Carrier, in.TrackingNumber)
		}),
	}
}

// shortPick brings the units from elsewhere, or gives them up. If the shelf is empty, what inventory counts there as
// available is wrong, and is written off first, so that the same shelf is not asked again.
func (o *orderRun) shortPick(in orderflow.ShipmentInput) change {
	return change{
		input:    order.Pick,
		event:    order.EventShortPicked,
		shipment: in.Shipment,
		key:      scoped(in.Key, orderflow.UpdateShortPick, in.Shipment),
		request:  in.Request,
		actor:    in.Actor,
		reason:   string(in.Cause),
		apply: toShipments(func(s *shipments) error {
			switch {
			case len(in.Lines) == 0:
				return refuse(orderflow.ErrInvalidInput, "name the lines and how many units are missing or damaged")
			case in.Cause != orderflow.CauseMissing && in.Cause != orderflow.CauseDamaged:
				return refuse(orderflow.ErrInvalidInput, "the cause is missing or damaged")
			}
			return s.short(in.Shipment, in.Lines)
		}),
		then: func(ctx workflow.Context) {
			if in.Cause == orderflow.CauseMissing {
				o.writeOff(ctx, in)
			}
		},
	}
}

// writeOff writes off what is not at the shipment's location. The correction of the stock is not worth a customer's
// wait, so that an error does not keep the order from its next step.
func (o *orderRun) writeOff(ctx workflow.Context, in orderflow.ShipmentInput) {
	from := o.shipments()[in.Shipment-1]
	for _, missing := range in.Lines {
		var short int64
		for _, l := range from.Lines {
			if l.LineNo == missing.LineNo {
				short += l.Short
			}
		}
		if err := writeOffStock(ctx, orderflow.WriteOffInput{
			OrderID:       o.in.OrderID,
			Shipment:      in.Shipment,
			LineNo:        missing.LineNo,
			Short:         short,
			ProductID:     o.line(missing.LineNo).ProductID,
			Location:      from.Location,
			Actor:         in.Actor,
			CorrelationID: in.CorrelationID,
		}); err != nil {
			workflow.GetLogger(ctx).Error("inventory refuses to write off missing stock",
				"location", from.Location, "error", err)
		}
	}
}

func (o *orderRun) deliver(in orderflow.ShipmentInput) change {
	return change{
		input:    order.Carry,
		event:    order.EventDelivered,
		shipment: in.Shipment,
		actor:    in.Actor,
		apply: toShipments(func(s *shipments) error {
			found, err := s.find(in.Shipment)
			switch {
			case err != nil:
				return err
			case found.Status == orderflow.ShipmentDelivered:
				return errUnchanged
			case found.Status != orderflow.ShipmentShipped:
				return refuse(orderflow.ErrShipmentState,
					"shipment %d is %s; only a shipment that has left can be delivered", in.Shipment, found.Status)
			}
			found.Status = orderflow.ShipmentDelivered
			return nil
		}),
	}
}

func (o *orderRun) lose(in orderflow.ShipmentInput) change {
	return change{
		input:    order.Carry,
		event:    order.EventLost,
		shipment: in.Shipment,
		actor:    in.Actor,
		reason:   string(in.Remedy),
		apply: toShipments(func(s *shipments) error {
			found, err := s.find(in.Shipment)
			switch {
			case err != nil:
				return err
			case in.Remedy != orderflow.RemedyReship && in.Remedy != orderflow.RemedyRefund:
				return refuse(orderflow.ErrInvalidInput, "the remedy is reship or refund")
			case found.Status == orderflow.ShipmentLost:
				return errUnchanged
			case found.Status != orderflow.ShipmentShipped:
				return refuse(orderflow.ErrShipmentState,
					"shipment %d is %s; only a shipment that has left can be lost", in.Shipment, found.Status)
			}
			s.lose(in.Shipment, in.Remedy == orderflow.RemedyReship)
			return nil
		}),
	}
}

func (o *orderRun) cancelLines(in orderflow.CancelLinesInput) change {
	return change{
		input:   order.CancelLines,
		event:   order.EventLinesCancelled,
		key:     scoped(in.Key, orderflow.UpdateCancelLines, 0),
		request: in.Request,
		actor:   in.Actor,
		reason:  in.Reason,
		apply: toShipments(func(s *shipments) error {
			for _, l := range in.Lines {
				if l.Quantity < 1 || o.line(l.LineNo).Quantity < l.Quantity {
					return refuse(orderflow.ErrInvalidInput, "the order has %d of line %d, not %d",
						o.line(l.LineNo).Quantity, l.LineNo, l.Quantity)
				}
			}
			if len(in.Lines) == 0 || slices.ContainsFunc(in.Lines[1:], func(l orderflow.LineQuantity) bool {
				return l.LineNo == in.Lines[0].LineNo
			}) {
				return refuse(orderflow.ErrInvalidInput, "name each line once")
			}
			return s.cancelUnits(in.Lines)
		}),
	}
}

func (o *orderRun) hold(in orderflow.HoldInput) change {
	return change{
		input:  order.Hold,
		event:  order.EventHeld,
		actor:  in.Actor,
		reason: string(in.Hold.Reason),
		apply: func(f *orderflow.Fulfilment) error {
			switch {
			case !slices.Contains(orderflow.HoldReasons(), in.Hold.Reason):
				return refuse(orderflow.ErrInvalidInput, "the reason of a hold is one of %v", orderflow.HoldReasons())
			case f.Hold != nil && *f.Hold == in.Hold:
				return errUnchanged
			}
			f.Hold = &in.Hold
			return nil
		},
	}
}

func (o *orderRun) unhold(in orderflow.UnholdInput) change {
	return change{
		input: order.Unhold,
		event: order.EventUnheld,
		actor: in.Actor,
		apply: func(f *orderflow.Fulfilment) error {
			if f.Hold == nil {
				return errUnchanged
			}
			f.Hold = nil
			return nil
		},
	}
}

// scoped makes a client's key one of a kind of request about one shipment; an empty key stays empty.
func scoped(key, update string, shipment int) string {
	if key == "" {
		return ""
	}
	return fmt.Sprintf("%s-%d-%s", update, shipment, key)
}

// toShipments is a change of the shipments alone.
func toShipments(do func(*shipments) error) func(*orderflow.Fulfilment) error {
	return func(f *orderflow.Fulfilment) error {
		all := shipments(f.Shipments)
		err := do(&all)
		f.Shipments = all
		return err
	}
}
