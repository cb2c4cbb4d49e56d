package workflows

import (
	"slices"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// What a paid order gives back to its customer, and the refund for which nothing comes back.

// refundDue returns how much goes back to the customer in all, in minor units: the price of the units that no shipment
// brings, what was granted for the units that came back, and the price of the shipment once the customer has none of
// the units. No line gives back more than its price. Nothing that is due ceases to be.
func refundDue(f *orderflow.Fulfilment, in orderflow.OrderInput) int64 {
	var due, kept int64
	for _, l := range in.Lines {
		kept += shipments(f.Shipments).brought(l.LineNo) - cameBack(f, l.LineNo)
		due += dueOf(f, l)
	}
	if kept == 0 {
		due += in.Shipping.Minor
	}
	return due
}

// cameBack returns how many units of a line arrived in returns.
func cameBack(f *orderflow.Fulfilment, lineNo int) int64 {
	var n int64
	for _, r := range f.Returns {
		for _, l := range r.Lines {
			if l.LineNo == lineNo {
				n += l.Restocked + l.Damaged
			}
		}
	}
	return n
}

// grantedFor returns what was granted for the units of a line that came back, in minor units.
func grantedFor(f *orderflow.Fulfilment, lineNo int) int64 {
	var granted int64
	for _, r := range f.Returns {
		for _, l := range r.Lines {
			if l.LineNo == lineNo {
				granted += l.RefundMinor
			}
		}
	}
	return granted
}

// grantRefund gives back a part of the price of some lines, though nothing comes back: a return without units, which
// counts as received. Refusals: ErrInvalidInput, ErrNotReturnable. A request whose key has made a refund is
// errUnchanged.
func grantRefund(f *orderflow.Fulfilment, in orderflow.ReturnInput, lines []orderflow.Line) error {
	added := orderflow.Return{
		Number: len(f.Returns) + 1,
		Status: orderflow.ReturnReceived,
		Reason: orderflow.ReturnGoodwill,
		Note:   in.Note,
		Key:    in.Key,
	}
	for _, refund := range in.Refunds {
		added.Lines = append(added.Lines, orderflow.ReturnLine{LineNo: refund.LineNo, RefundMinor: refund.Minor})
	}
	slices.SortFunc(added.Lines, byLine)
	if err := madeBy(f, in.Key, func(r orderflow.Return) bool {
		return r.Reason == added.Reason && slices.Equal(r.Lines, added.Lines)
	}); err != nil {
		return err
	}
	if !shipments(f.Shipments).anyDelivered() {
		return refuse(orderflow.ErrNotReturnable, "nothing was delivered yet; cancel what has not left")
	}
	if len(added.Lines) == 0 || len(f.Returns) >= maxReturns {
		return refuse(orderflow.ErrInvalidInput,
			"name the lines of which money is given back; an order has at most %d returns and refunds", maxReturns)
	}
	for i, l := range added.Lines {
		if slices.ContainsFunc(added.Lines[:i], func(other orderflow.ReturnLine) bool { return other.LineNo == l.LineNo }) {
			return refuse(orderflow.ErrInvalidInput, "name each line once")
		}
		if left := leftOf(f, lines, l.LineNo); l.RefundMinor < 1 || l.RefundMinor > left {
			return refuse(orderflow.ErrInvalidInput,
				"of line %d, %d can be given back, in minor units; that is what the customer has paid and not got back",
				l.LineNo, left)
		}
	}
	f.Returns = append(f.Returns, added)
	return nil
}

// leftOf returns what the customer has paid for a line and does not get back yet, in minor units; 0 if there is no such
// line.
func leftOf(f *orderflow.Fulfilment, lines []orderflow.Line, lineNo int) int64 {
	at := slices.IndexFunc(lines, func(l orderflow.Line) bool { return l.LineNo == lineNo })
	if at < 0 {
		return 0
	}
	return lines[at].Total.Minor - dueOf(f, lines[at])
}

// dueOf returns what goes back to the customer of the price of a line, in minor units: the price of the units that no
// shipment brings, and what was granted. It is at most the price.
func dueOf(f *orderflow.Fulfilment, l orderflow.Line) int64 {
	missing := l.Quantity - shipments(f.Shipments).brought(l.LineNo)
	return min(l.Total.Minor, share(l.Total.Minor, missing, l.Quantity)+grantedFor(f, l.LineNo))
}

// priceOfReturned returns the price of n more units of a line that come back. The price of all its units is the line's
// total, in whatever portions they come back; what was given back without a return is taken off the last of them.
func priceOfReturned(f *orderflow.Fulfilment, lines []orderflow.Line, lineNo int, n int64) int64 {
	at := slices.IndexFunc(lines, func(l orderflow.Line) bool { return l.LineNo == lineNo })
	if at < 0 {
		return 0
	}
	l := lines[at]
	gone := l.Quantity - shipments(f.Shipments).brought(lineNo) + cameBack(f, lineNo)
	price := share(l.Total.Minor, gone+n, l.Quantity) - share(l.Total.Minor, gone, l.Quantity)
	return min(price, l.Total.Minor-dueOf(f, l))
}

func (o *orderRun) grantRefund(in orderflow.ReturnInput) change {
	return change{
		input:   order.Return,
		event:   order.EventRefundGranted,
		request: in.Request,
		actor:   in.Actor,
		reason:  in.Note,
		apply:   func(f *orderflow.Fulfilment) error { return grantRefund(f, in, o.in.Lines) },
	}
}
