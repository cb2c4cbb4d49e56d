// Package order holds the states of an order and the one table of its transitions. The workflow
// moves by it, the database's CHECK constraint lists the same states, and a test compares them.
// It is pure.
package order

import "fmt"

// State is where an order stands.
type State string

// The states of an order. Those of later parts of its life are listed from the start, because the
// database's CHECK and every client's enum know them.
const (
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

// transitions is the table of which state may follow which.
var transitions = map[State][]State{
	"":          {Pending, Reserved, Rejected, Cancelled, Failed},
	Pending:     {Reserved, Rejected, Cancelled, Failed},
	Reserved:    {Paying, Expired, Cancelled, Failed},
	Paying:      {Confirmed, Reserved, Expired, Cancelled, Failed},
	Confirmed:   {Fulfilling, Completed, Cancelled, Refunded},
	Fulfilling:  {Completed, Cancelled, Refunded},
	Completed:   {Refunded},
	Backordered: {Reserved, Expired, Cancelled, Failed},
	InReview:    {Reserved, Expired, Cancelled, Failed},
}

// States lists every state, in the order of an order's life.
func States() []State {
	return []State{Pending, Reserved, Paying, Confirmed, Fulfilling, Completed, Rejected, Expired, Cancelled, Failed, Backordered, InReview, Refunded}
}

// CanBecome reports whether the table allows next after s; "" stands for an order that is not yet recorded.
func (s State) CanBecome(next State) bool {
	for _, t := range transitions[s] {
		if t == next {
			return true
		}
	}
	return false
}

// Closed reports whether no stock is held and no payment can follow any more.
func (s State) Closed() bool {
	switch s {
	case Completed, Rejected, Expired, Cancelled, Failed, Refunded:
		return true
	}
	return false
}

// TransitionError reports a transition that the table does not allow.
type TransitionError struct{ From, To State }

func (e *TransitionError) Error() string {
	return fmt.Sprintf("an order that is %q cannot become %q", e.From, e.To)
}
