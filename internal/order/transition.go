package order

import (
	"fmt"
	"slices"
)

// Input is something that happens to an order: a request from outside, the deadline, or the outcome
// of one of the workflow's own steps.
type Input string

// The inputs. Requests can come at any time and always have an answer; the others come only where
// the table has them, and anything else is a defect of the workflow.
const (
	Pay    Input = "pay"
	Cancel Input = "cancel" // by the customer, an operator, or Temporal's own cancellation
	Extend Input = "extend"

	DeadlinePassed Input = "deadline_passed" // by inventory's word, or inventory does not answer

	StockDelayed     Input = "stock_delayed" // inventory has not answered in time; the reserve goes on
	StockHeld        Input = "stock_held"
	StockRefused     Input = "stock_refused"
	PaymentCaptured  Input = "payment_captured"
	PaymentDeclined  Input = "payment_declined"
	PaymentAbandoned Input = "payment_abandoned" // no answer of the provider in time; voided
	GaveUp           Input = "gave_up"           // a step ended so that the order cannot go on
)

// meanings say for people when each input comes.
var meanings = map[Input]string{
	Pay:            "somebody wants to pay",
	Cancel:         "the customer or an operator calls it off; while paying it takes effect once the authorisation's outcome is known, and no longer when the capture has begun",
	Extend:         "somebody wants the stock held for longer",
	DeadlinePassed: "the timer, and inventory says that the time has come or does not answer",
	StockDelayed:   "inventory has not answered in time; the reserve goes on",
	StockHeld:      "every line is reserved", StockRefused: "a line falls short, or inventory finds the request wrong",
	PaymentCaptured: "the money is taken", PaymentDeclined: "the provider refused, and may be asked again with another method",
	PaymentAbandoned: "the provider gave no answer in time; the payment is voided",
	GaveUp:           "a step ended so that the order cannot go on: the third decline, the tenth payment, a reservation that is gone, a capture that is refused",
}

// Inputs lists every input, requests first.
func Inputs() []Input {
	return []Input{
		Pay, Cancel, Extend, DeadlinePassed, StockDelayed, StockHeld, StockRefused,
		PaymentCaptured, PaymentDeclined, PaymentAbandoned, GaveUp,
	}
}

// IsRequest reports whether somebody outside waits for an answer.
func (i Input) IsRequest() bool { return i == Pay || i == Cancel || i == Extend }

// Event names an entry of an order's timeline. Those that other services care about are also
// published, as "order." + the name.
type Event string

// What can happen to an order.
const (
	EventPending          Event = "pending"
	EventReserved         Event = "reserved"
	EventRejected         Event = "rejected"
	EventExtended         Event = "extended"
	EventPaymentStarted   Event = "payment_started"
	EventPaymentDeclined  Event = "payment_declined"
	EventPaymentAbandoned Event = "payment_abandoned"
	EventConfirmed        Event = "confirmed"
	EventExpired          Event = "expired"
	EventCancelled        Event = "cancelled"
	EventFailed           Event = "failed"

	// These are noted without a change of state.
	EventPaid               Event = "paid"
	EventPaymentVoided      Event = "payment_voided"
	EventStockReleased      Event = "stock_released"
	EventPaymentRefunded    Event = "payment_refunded"
	EventCompensationFailed Event = "compensation_failed"

	// EventTakenUp leads from where an earlier run of the workflow left the order to where a later run, which an
	// operator began by a reset, goes on.
	EventTakenUp Event = "taken_up"
)

// Events lists every event.
func Events() []Event {
	return []Event{
		EventPending,
		EventReserved,
		EventRejected,
		EventExtended,
		EventPaymentStarted,
		EventPaymentDeclined,
		EventPaymentAbandoned,
		EventConfirmed,
		EventExpired,
		EventCancelled,
		EventFailed,
		EventPaid,
		EventPaymentVoided,
		EventStockReleased,
		EventPaymentRefunded,
		EventCompensationFailed,
		EventTakenUp,
	}
}

// Refusal is the code under which a request is refused because of the order's state.
type Refusal string

// The refusals.
const (
	NotReady          Refusal = "order_not_ready"     // stock is not decided yet; try again
	PaymentInProgress Refusal = "payment_in_progress" // a payment has not finished; look again
	Overdue           Refusal = "order_expired"       // too late
	InvalidState      Refusal = "invalid_state"       // and it will stay so
)

// Rule is one cell of the table: what an input does to an order in a state. At most one of its three
// forms applies: it moves (or stays and is noted), it is refused, or it had its effect before.
type Rule struct {
	To       State
	Event    Event
	Refusal  Refusal
	Repeated bool // the order is where the request wants it; answered as a success, nothing happens
}

// Impossible reports whether the input cannot come in this state.
func (r Rule) Impossible() bool { return r == Rule{} }

func moves(to State, event Event) Rule { return Rule{To: to, Event: event} }
func refused(why Refusal) Rule         { return Rule{Refusal: why} }

// table lists the cells that are not by default: a request that is not here is refused as
// InvalidState, any other input is impossible. Cancel while paying takes effect once the outcome of
// the authorisation is known, and no longer when the capture has begun.
var table = map[State]map[Input]Rule{
	New: {
		Pay: refused(NotReady), Extend: refused(NotReady), Cancel: moves(Cancelled, EventCancelled),
		StockDelayed: moves(Pending, EventPending), StockHeld: moves(Reserved, EventReserved),
		StockRefused: moves(Rejected, EventRejected), GaveUp: moves(Failed, EventFailed),
	},
	Pending: {
		Pay: refused(NotReady), Extend: refused(NotReady), Cancel: moves(Cancelled, EventCancelled),
		StockHeld: moves(Reserved, EventReserved), StockRefused: moves(Rejected, EventRejected), GaveUp: moves(Failed, EventFailed),
	},
	Reserved: {
		Pay: moves(Paying, EventPaymentStarted), Cancel: moves(Cancelled, EventCancelled), Extend: moves(Reserved, EventExtended),
		DeadlinePassed: moves(Expired, EventExpired), GaveUp: moves(Failed, EventFailed),
	},
	Paying: {
		Pay: refused(PaymentInProgress), Extend: refused(PaymentInProgress), Cancel: moves(Cancelled, EventCancelled),
		DeadlinePassed: moves(Expired, EventExpired), PaymentCaptured: moves(Confirmed, EventConfirmed),
		PaymentDeclined: moves(Reserved, EventPaymentDeclined), PaymentAbandoned: moves(Reserved, EventPaymentAbandoned),
		GaveUp: moves(Failed, EventFailed),
	},
	Expired:   {Pay: refused(Overdue), Extend: refused(Overdue)},
	Cancelled: {Cancel: {Repeated: true}},
}

// Decide returns what the input does to an order in the state.
func Decide(s State, i Input) Rule {
	rule, ok := table[s][i]
	if !ok && i.IsRequest() {
		return refused(InvalidState)
	}
	return rule
}

// Transition is a change of state that the table allows.
type Transition struct{ From, To State }

func (t Transition) String() string { return string(t.From) + ">" + string(t.To) }

// Transitions lists every change from one state to another, sorted. The orders database refuses to
// record any other (CHECK order_timeline_transition).
func Transitions() []Transition {
	var out []Transition
	for from, cells := range table {
		for _, rule := range cells {
			if t := (Transition{from, rule.To}); rule.To != "" && rule.To != from && !slices.Contains(out, t) {
				out = append(out, t)
			}
		}
	}
	slices.SortFunc(out, func(a, b Transition) int {
		return slices.Compare([]string{string(a.From), string(a.To)}, []string{string(b.From), string(b.To)})
	})
	return out
}

// ImpossibleError reports an input that the table does not have in a state: a defect of the workflow.
type ImpossibleError struct {
	State State
	Input Input
}

func (e *ImpossibleError) Error() string {
	return fmt.Sprintf("%q cannot happen to an order that is %q", e.Input, e.State)
}
