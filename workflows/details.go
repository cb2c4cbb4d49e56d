package workflows

import (
	"fmt"
	"strings"

	"go.temporal.io/sdk/workflow"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// What an operator reads on the workflow's page: the current details, in markdown. They are in no event of the history;
// a worker answers them, so a change of this file breaks no replay. They have no personal data.

// refreshDetails brings the current details up to date.
func (o *orderRun) refreshDetails(ctx workflow.Context) {
	workflow.SetCurrentDetails(ctx, o.describe())
}

// describe writes the current details.
func (o *orderRun) describe() string {
	var t orderflow.Table
	if o.in.Number != "" {
		t.Row("Number", orderflow.Code(o.in.Number))
	}
	t.Row("Status", o.describeState())
	t.Row("Customer", orderflow.Code(o.in.CustomerID))
	t.Row("Amount", o.in.Total.String())
	if d := o.deadline(); d != nil {
		t.Row("Deadline", orderflow.Time(*d))
	}
	if o.attempts > 0 {
		t.Row("Payments", o.describePayments())
	}
	if o.reservation != nil {
		t.Row("Reservation", orderflow.Code(o.reservation.String()))
	}
	for _, s := range o.short {
		t.Row("Short", fmt.Sprintf("%s: %d wanted, %d available", orderflow.Code(o.sku(s)), s.Requested, s.Available))
	}
	o.describeFulfilment(&t)
	text := t.String() + "\n" + orderflow.LineTable(o.in.Lines)
	if next := o.describeNext(); next != "" {
		text += "\nAn operator may, with `/api/orders/" + o.in.OrderID.String() + "` in front of each path:\n\n" + next
	}
	return text
}

func (o *orderRun) describeState() string {
	text := "**" + orderflow.Text(string(o.state)) + "**"
	if o.reason != "" && o.by == orderflow.ActorSystem { // a person's words may be personal data
		text += ": " + orderflow.Text(o.reason)
	}
	if needs, counts := o.root.Value(operatorNeedsKey{}).(*operatorNeeds); counts && needs.open > 0 {
		text += "; **needs an operator**"
	}
	return text
}

// describePayments says how the attempts to pay ended, and names the payment that paid for the order, or the last one.
func (o *orderRun) describePayments() string {
	text := fmt.Sprintf("%d tried, %d declined", o.attempts, o.declines)
	if o.lastRefusal != "" {
		text += "; the last refusal: " + orderflow.Text(o.lastRefusal)
	}
	attempt, name := o.attempts, "last payment"
	if o.capturedAttempt > 0 {
		attempt, name = o.capturedAttempt, "captured payment"
	}
	text += "; " + name + " " + orderflow.Code(orderflow.PaymentKey(o.in.OrderID, attempt))
	if ref := o.providerRefs[attempt]; ref != "" {
		text += ", at the provider " + orderflow.Code(ref)
	}
	return text
}

func (o *orderRun) describeFulfilment(t *orderflow.Table) {
	if o.fulfilment == nil {
		return
	}
	if h := o.fulfilment.Hold; h != nil {
		t.Row("Held", orderflow.Text(string(h.Reason)))
	}
	for _, s := range o.shipments() {
		text := fmt.Sprintf("%s from %s, %d unit(s)", orderflow.Text(string(s.Status)), orderflow.Code(s.Location),
			units(s.Lines))
		if s.TrackingNumber != "" {
			text += ", " + orderflow.Text(s.Carrier) + " " + orderflow.Code(s.TrackingNumber)
		}
		t.Row(fmt.Sprintf("Shipment %d", s.Number), text)
	}
	for _, r := range o.fulfilment.Returns {
		t.Row(fmt.Sprintf("Return %d", r.Number), orderflow.Text(string(r.Status))+", "+orderflow.Text(string(r.Reason)))
	}
}

// offers are the requests of operators, in the order in which an order is carried out.
var offers = []struct {
	input order.Input
	does  string
}{
	{order.Approve, "approve it: `POST …/approve`"},
	{order.Extend, "hold the stock for longer: `POST …/extend`"},
	{order.Pick, "report what the warehouse does: `POST …/shipments/{number}/pack`, `ship` or `short-pick`"},
	{order.Carry, "report what the carrier does: `POST …/shipments/{number}/deliver` or `lose`"},
	{order.Hold, "stop the fulfilment: `POST …/hold`"},
	{order.Unhold, "let the fulfilment go on: `POST …/unhold`"},
	{order.CancelLines, "cancel a part of it: `POST …/cancel` with `lines`"},
	{order.Cancel, "cancel it: `POST …/cancel`, or *Request Cancellation* on this page"},
	{order.Return, "take units back: `POST …/returns`"},
}

// describeNext lists what the order's state allows an operator to ask for.
func (o *orderRun) describeNext() string {
	var b strings.Builder
	for _, offer := range offers {
		rule := order.Decide(o.state, offer.input)
		held := o.fulfilment != nil && o.fulfilment.Hold != nil
		switch {
		case rule.Repeated || rule.Impossible() || o.refuse(offer.input) != nil:
		case offer.input == order.Unhold && !held, offer.input == order.Hold && held:
		case offer.input == order.Carry && !o.shipments().left():
		case offer.input == order.Return && !o.shipments().anyDelivered():
		default:
			b.WriteString("- " + offer.does + "\n")
		}
	}
	return b.String()
}

// sku returns the SKU of a product that is short.
func (o *orderRun) sku(s orderflow.ShortLine) string {
	for _, l := range o.in.Lines {
		if l.ProductID == s.ProductID {
			return l.SKU
		}
	}
	return s.ProductID.String()
}
