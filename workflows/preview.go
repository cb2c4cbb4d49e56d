package workflows

import (
	"errors"

	"go.temporal.io/sdk/temporal"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// previewCancel says what a cancellation of the order, or of some of its units, would do. It changes nothing.
func (o *orderRun) previewCancel(in orderflow.CancelLinesInput) (orderflow.CancelPreview, error) {
	out := orderflow.CancelPreview{Status: o.state}
	input := order.Cancel
	if len(in.Lines) > 0 {
		input = order.CancelLines
	}
	err := o.refuse(input)
	if err == nil && o.startsFromRow() {
		err = refuse(string(order.NotReady), "try again shortly")
	}
	if err != nil {
		return refusedPreview(out, err), nil
	}
	if o.fulfilment == nil { // nothing is paid, and all stock that is reserved goes back
		out.Status = order.Cancelled
		if o.state.Holding() {
			for _, l := range o.in.Lines {
				out.Lines = append(out.Lines, orderflow.LineQuantity{LineNo: l.LineNo, Quantity: l.Quantity})
			}
		}
		return out, nil
	}

	changed := o.fulfilment.Clone()
	if input == order.Cancel {
		shipments(changed.Shipments).cancelAll()
	} else if changed, err = o.tried(o.cancelLines(in)); err != nil {
		return refusedPreview(out, err), nil
	}
	after := shipments(changed.Shipments)
	if !after.open() && !after.anyDelivered() {
		out.Status = order.Cancelled
	} else if !after.open() {
		out.Status = order.Completed
	}
	out.RefundMinor = refundDue(changed, o.in) - refundDue(o.fulfilment, o.in)
	for _, l := range o.in.Lines {
		if n := o.shipments().brought(l.LineNo) - after.brought(l.LineNo); n > 0 {
			out.Lines = append(out.Lines, orderflow.LineQuantity{LineNo: l.LineNo, Quantity: n})
		}
	}
	return out, nil
}

// refusedPreview is the preview of a cancellation that would be refused.
func refusedPreview(out orderflow.CancelPreview, err error) orderflow.CancelPreview {
	out.Refusal, out.Detail = refusal(err), err.Error()
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		out.Detail = app.Message()
	}
	return out
}
