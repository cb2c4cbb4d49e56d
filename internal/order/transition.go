package order

import (
	"fmt"
	"slices"
)

// Input is an input of an order's workflow: a client's request, the deadline, or the outcome of one of the workflow's
// own steps.
type Input string

// The inputs. A request can come in every state and always has an answer. Any other input comes only in the states that
// have a cell for it; otherwise the workflow has a defect.
const (
	Pay         Input = "pay"
	Cancel      Input = "cancel" // by the customer, an operator, or Temporal's own cancellation
	Extend      Input = "extend"
	Edit        Input = "edit"
	CancelLines Input = "cancel_lines"
	Hold        Input = "hold"
	Unhold      Input = "unhold"
	Approve     Input = "approve"
	Pick        Input = "pick" // pack, report a short pick, or ship: what a hold stops
	Carry       Input = "carry"
	Return      Input = "return" // request, approve, reject, cancel or receive one

	Create         Input = "create"          // the api inserts the order
	DeadlinePassed Input = "deadline_passed" // inventory confirms it or does not answer

	StockDelayed     Input = "stock_delayed" // inventory has not answered in time; the reserve goes on
	StockHeld        Input = "stock_held"
	StockAwaited     Input = "stock_awaited" // inventory has put the order on the waiting list
	ReviewNeeded     Input = "review_needed" // the stock is held, and an operator must approve the order
	StockRefused     Input = "stock_refused"
	PaymentCaptured  Input = "payment_captured"
	PaymentDeclined  Input = "payment_declined"
	PaymentAbandoned Input = "payment_abandoned" // the provider gave no answer in time; the payment is voided
	GaveUp           Input = "gave_up"           // the result of a step means that the order cannot go on
	AllDelivered     Input = "all_delivered"     // no shipment is open, and at least one was delivered
	NoneDelivered    Input = "none_delivered"    // no shipment is open, and none was delivered
	ReturnOverdue    Input = "return_overdue"    // an approved return has not arrived in time
	AllReturned      Input = "all_returned"      // the customer has all of the money back
)

// meanings describe each input for the page in docs.
var meanings = map[Input]string{
	Pay: "a client asks to pay the order",
	Cancel: "the customer or an operator cancels the order; " +
		"while it is being paid, the cancel takes effect once the authorisation's outcome is known, " +
		"and the money is refunded if the capture has begun; " +
		"refused as `already_shipped` once a shipment has left",
	Extend: "a client asks to hold the stock for longer",
	Edit: "the customer or an operator changes the lines; inventory replaces the reservation, and a refusal leaves the " +
		"order as it was",
	CancelLines: "the customer or an operator cancels a part of a paid order; refused as `already_shipped` for what " +
		"has left",
	Hold:    "an operator stops the fulfilment; money stays where it is",
	Unhold:  "an operator lets the fulfilment go on",
	Approve: "an operator approves an order that waits for review",
	Pick: "the warehouse packs or ships a shipment, or reports that units are missing or damaged; refused as " +
		"`order_on_hold` while the fulfilment is held",
	Carry: "the carrier or an operator reports that a shipment was delivered or lost",
	Return: "a return of delivered units is requested, approved, rejected, cancelled or received, " +
		"or money is given back without one",
	Create: "the api inserts the order's row, before the workflow starts",
	DeadlinePassed: "the timer has fired, and inventory says that the deadline has passed or does not answer; " +
		"or the stock was not decided within the order's time to live",
	StockDelayed:     "inventory has not answered in time; the reserve goes on",
	StockHeld:        "inventory has reserved every line, at once or from the waiting list",
	StockAwaited:     "inventory has too little stock, and the order waits for it, first come, first served",
	ReviewNeeded:     "inventory has reserved every line, and a rule wants an operator to look at the order",
	StockRefused:     "a line falls short, or inventory finds the request wrong",
	PaymentCaptured:  "the provider has captured the payment",
	PaymentDeclined:  "the provider has declined the payment; the client may pay again with another method",
	PaymentAbandoned: "the provider gave no answer in time; the workflow voids the payment",
	GaveUp: "the result of a step means that the order cannot go on: " +
		"the third decline, the tenth payment, a reservation that is gone, a capture that is refused",
	AllDelivered:  "each shipment is delivered, cancelled or lost, and at least one is delivered",
	ReturnOverdue: "an approved return has not arrived in time; it lapses",
	AllReturned:   "everything was returned or given up, and the customer gets all of the money back",
	NoneDelivered: "each shipment is cancelled or lost: all units were missing, damaged or lost, and the money goes " +
		"back",
}

// Inputs lists every input, requests first.
func Inputs() []Input {
	return []Input{
		Pay,
		Cancel,
		Extend,
		Edit,
		CancelLines,
		Hold,
		Unhold,
		Approve,
		Pick,
		Carry,
		Return,
		Create,
		DeadlinePassed,
		StockDelayed,
		StockHeld,
		StockAwaited,
		ReviewNeeded,
		StockRefused,
		PaymentCaptured,
		PaymentDeclined,
		PaymentAbandoned,
		GaveUp,
		AllDelivered,
		NoneDelivered,
		ReturnOverdue,
		AllReturned,
	}
}

// IsRequest reports whether the input is a request, whose client waits for an answer.
func (i Input) IsRequest() bool {
	switch i {
	case Pay, Cancel, Extend, Edit, CancelLines, Hold, Unhold, Approve, Pick, Carry, Return:
		return true
	case Create, DeadlinePassed, StockDelayed, StockHeld, StockAwaited, ReviewNeeded, StockRefused, PaymentCaptured,
		PaymentDeclined, PaymentAbandoned, GaveUp, AllDelivered, NoneDelivered, ReturnOverdue, AllReturned:
		return false
	}
	return false
}

// Refusal is the code under which a request is refused because of the order's state.
type Refusal string

// The refusals.
const (
	NotReady          Refusal = "order_not_ready"     // stock is not decided yet; try again
	PaymentInProgress Refusal = "payment_in_progress" // a payment has not finished; look again
	Overdue           Refusal = "order_expired"       // too late
	UnderReview       Refusal = "order_in_review"     // an operator has not approved it yet
	AwaitingStock     Refusal = "order_backordered"   // it waits for stock
	InvalidState      Refusal = "invalid_state"       // a later request is refused too

	// These two depend on the shipments of a paid order, which the table does not know. The workflow adds them.
	OnHold         Refusal = "order_on_hold"   // until an operator lets the fulfilment go on
	AlreadyShipped Refusal = "already_shipped" // the units have left; a return brings them back
)

// Rule is one cell of the table: what an input does to an order in a state. At most one of three forms applies: the
// order moves to a state (or stays in its state with an event), the input is refused, or the input had its effect
// before.
type Rule struct {
	To       State
	Event    Event // empty if the request itself names what happened
	Refusal  Refusal
	Repeated bool // the order has the requested state already: the answer is a success and nothing changes
}

// Impossible reports whether the input cannot come in this state.
func (r Rule) Impossible() bool { return r == Rule{} }

func moves(to State, event Event) Rule { return Rule{To: to, Event: event} }
func refused(why Refusal) Rule         { return Rule{Refusal: why} }

// named stands for the event that the request names.
const named Event = ""

// table lists the cells that differ from the default. By default a request is refused as InvalidState and any other
// input is impossible. A cancel in state paying takes effect once the outcome of the authorisation is known; it has no
// effect once the capture has begun.
var table = map[State]map[Input]Rule{
	New: {
		Create:       moves(Pending, EventCreated),
		Pay:          refused(NotReady),
		Cancel:       moves(Cancelled, EventCancelled),
		Extend:       refused(NotReady),
		Edit:         refused(NotReady),
		StockDelayed: moves(Pending, EventPending),
		StockHeld:    moves(Reserved, EventReserved),
		StockRefused: moves(Rejected, EventRejected),
		GaveUp:       moves(Failed, EventFailed),
	},
	Pending: {
		Pay:            refused(NotReady),
		Cancel:         moves(Cancelled, EventCancelled),
		Extend:         refused(NotReady),
		Edit:           refused(NotReady),
		CancelLines:    refused(NotReady),
		Hold:           refused(NotReady),
		Unhold:         refused(NotReady),
		Approve:        refused(NotReady),
		Pick:           refused(NotReady),
		Carry:          refused(NotReady),
		Return:         refused(NotReady),
		DeadlinePassed: moves(Expired, EventExpired),
		StockDelayed:   moves(Pending, EventPending),
		StockHeld:      moves(Reserved, EventReserved),
		StockAwaited:   moves(Backordered, EventBackordered),
		ReviewNeeded:   moves(InReview, EventInReview),
		StockRefused:   moves(Rejected, EventRejected),
		GaveUp:         moves(Failed, EventFailed),
	},
	Backordered: {
		Pay:            refused(AwaitingStock),
		Cancel:         moves(Cancelled, EventCancelled),
		Extend:         refused(AwaitingStock),
		Edit:           refused(AwaitingStock),
		DeadlinePassed: moves(Expired, EventExpired),
		StockHeld:      moves(Reserved, EventReserved),
		ReviewNeeded:   moves(InReview, EventInReview),
		GaveUp:         moves(Failed, EventFailed),
	},
	InReview: {
		Pay:            refused(UnderReview),
		Cancel:         moves(Cancelled, EventCancelled),
		Extend:         refused(UnderReview),
		Edit:           refused(UnderReview),
		Approve:        moves(Reserved, EventApproved),
		DeadlinePassed: moves(Expired, EventExpired),
		GaveUp:         moves(Failed, EventFailed),
	},
	Reserved: {
		Pay:            moves(Paying, EventPaymentStarted),
		Cancel:         moves(Cancelled, EventCancelled),
		Extend:         moves(Reserved, EventExtended),
		Edit:           moves(Reserved, EventLinesChanged),
		DeadlinePassed: moves(Expired, EventExpired),
		GaveUp:         moves(Failed, EventFailed),
	},
	Paying: {
		Pay:              refused(PaymentInProgress),
		Cancel:           moves(Cancelled, EventCancelled),
		Extend:           refused(PaymentInProgress),
		Edit:             refused(PaymentInProgress),
		DeadlinePassed:   moves(Expired, EventExpired),
		PaymentCaptured:  moves(Confirmed, EventConfirmed),
		PaymentDeclined:  moves(Reserved, EventPaymentDeclined),
		PaymentAbandoned: moves(Reserved, EventPaymentAbandoned),
		GaveUp:           moves(Failed, EventFailed),
	},
	Confirmed: {
		Cancel:      moves(Cancelled, EventCancelled),
		CancelLines: moves(Confirmed, EventLinesCancelled),
		Hold:        moves(Confirmed, EventHeld),
		Unhold:      moves(Confirmed, EventUnheld),
		Pick:        moves(Fulfilling, named),
	},
	Fulfilling: {
		Cancel:        moves(Cancelled, EventCancelled),
		CancelLines:   moves(Fulfilling, EventLinesCancelled),
		Hold:          moves(Fulfilling, EventHeld),
		Unhold:        moves(Fulfilling, EventUnheld),
		Pick:          moves(Fulfilling, named),
		Carry:         moves(Fulfilling, named),
		Return:        moves(Fulfilling, named),
		ReturnOverdue: moves(Fulfilling, EventReturnLapsed),
		AllDelivered:  moves(Completed, EventCompleted),
		NoneDelivered: moves(Refunded, EventNothingDelivered),
	},
	Completed: {
		Return:        moves(Completed, named),
		ReturnOverdue: moves(Completed, EventReturnLapsed),
		AllReturned:   moves(Refunded, EventAllReturned),
	},
	Expired:   {Pay: refused(Overdue), Extend: refused(Overdue), Edit: refused(Overdue)},
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

// InsteadOfEdit says in a state why the lines of an order cannot change, and what the client can do instead. It is
// empty in the states whose refusal says that already.
func (s State) InsteadOfEdit() string {
	switch s {
	case Backordered:
		return "the order waits for stock and keeps its lines; cancel it and place a new one"
	case InReview:
		return "an operator must approve the order first; change it then, or cancel it and place a new one"
	case Paying:
		return "a payment is under way; change the order if it fails, or cancel lines once it is paid"
	case Confirmed, Fulfilling:
		return "the order is paid; cancel lines of it, and place another order for what is to come in addition"
	case New, Pending, Reserved, Completed, Rejected, Expired, Cancelled, Failed, Refunded:
		return ""
	}
	return ""
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
