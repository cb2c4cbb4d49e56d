// Package order holds the states of an order and one table of what may happen in each state. The workflow moves by the
// table, the orders database checks every recorded transition against it, and `make generate` writes
// docs/architecture/order-states.md from it. It is pure.
package order

// State is the state of an order.
type State string

// The states of an order. They include states that no input reaches yet, because the database's CHECK and the enum of
// every client have them.
const (
	New         State = ""            // not created yet; workflows of older versions also begin here
	Pending     State = "pending"     // created; stock not yet decided
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
	return []State{
		Pending,
		Reserved,
		Paying,
		Confirmed,
		Fulfilling,
		Completed,
		Rejected,
		Expired,
		Cancelled,
		Failed,
		Backordered,
		InReview,
		Refunded,
	}
}

// Closed reports whether the order holds no stock and can get no payment any more.
func (s State) Closed() bool {
	switch s {
	case Completed, Rejected, Expired, Cancelled, Failed, Refunded:
		return true
	case New, Pending, Reserved, Paying, Confirmed, Fulfilling, Backordered, InReview:
		return false
	}
	return false // an unknown state is not closed
}

// CarriedOut reports whether the order is paid and its stock has left. A run of its workflow must not undo it.
func (s State) CarriedOut() bool {
	switch s {
	case Confirmed, Fulfilling, Completed, Refunded:
		return true
	case New, Pending, Reserved, Paying, Rejected, Expired, Cancelled, Failed, Backordered, InReview:
		return false
	}
	return false
}

// Settled reports whether the outcome for money and stock is final. Another execution of the order's workflow must not
// decide the order again; it may only continue from this state.
func (s State) Settled() bool {
	return s.CarriedOut() || s.Closed()
}

// Holding reports whether stock is held until a deadline.
func (s State) Holding() bool {
	switch s {
	case Reserved, Paying, InReview:
		return true
	case New, Pending, Confirmed, Fulfilling, Completed, Rejected, Expired, Cancelled, Failed, Backordered, Refunded:
		return false
	}
	return false
}
