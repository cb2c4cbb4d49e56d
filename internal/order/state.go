// Package order holds the states of an order and the one table of what may happen in each. The
// workflow moves by the table, the orders database checks every recorded transition against it, and
// docs/architecture/order-states.md is written from it. It is pure.
package order

// State is where an order stands.
type State string

// The states of an order. Those of later parts of its life are listed from the start, because the
// database's CHECK and every client's enum know them.
const (
	New         State = ""            // started; nothing recorded yet
	Pending     State = "pending"     // accepted and recorded; stock not yet decided
	Reserved    State = "reserved"    // stock held until expires_at; waits for payment
	Paying      State = "paying"      // a payment is under way
	Confirmed   State = "confirmed"   // paid, and the stock has left the shelf count
	Fulfilling  State = "fulfilling"  // shipments are under way
	Completed   State = "completed"   // everything delivered
	Rejected    State = "rejected"    // refused before anything was reserved
	Expired     State = "expired"     // not paid in time; stock given back
	Cancelled   State = "cancelled"   // called off; stock and money given back
	Failed      State = "failed"      // could not be carried out; compensated
	Backordered State = "backordered" // waits for stock
	InReview    State = "in_review"   // waits for an operator's approval
	Refunded    State = "refunded"    // all money given back after completion
)

// States lists every state that can be recorded, in the order of an order's life.
func States() []State {
	return []State{Pending, Reserved, Paying, Confirmed, Fulfilling, Completed, Rejected, Expired, Cancelled, Failed, Backordered, InReview, Refunded}
}

// Closed reports whether no stock is held and no payment can follow any more.
func (s State) Closed() bool {
	switch s {
	case Completed, Rejected, Expired, Cancelled, Failed, Refunded:
		return true
	case New, Pending, Reserved, Paying, Confirmed, Fulfilling, Backordered, InReview:
		return false
	}
	return false // an unknown state ends nothing
}

// CarriedOut reports whether the order was paid and its stock has left: what a run of its workflow must not undo.
func (s State) CarriedOut() bool {
	switch s {
	case Confirmed, Fulfilling, Completed, Refunded:
		return true
	case New, Pending, Reserved, Paying, Rejected, Expired, Cancelled, Failed, Backordered, InReview:
		return false
	}
	return false
}

// Settled reports whether money and stock have found their place, so that no other execution of the order's
// workflow may decide the order again: it may only go on from here.
func (s State) Settled() bool {
	return s.CarriedOut() || s.Closed()
}

// Holding reports whether stock is held until a deadline.
func (s State) Holding() bool { return s == Reserved || s == Paying }
