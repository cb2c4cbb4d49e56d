package order

// Event names an entry of an order's timeline. Some events are also published to other systems.
type Event string

// The events of an order.
const (
	EventCreated          Event = "created" // by the api; every other event is the workflow's
	EventPending          Event = "pending"
	EventReserved         Event = "reserved"
	EventRejected         Event = "rejected"
	EventExtended         Event = "extended"
	EventLinesChanged     Event = "lines_changed"
	EventPaymentStarted   Event = "payment_started"
	EventPaymentDeclined  Event = "payment_declined"
	EventPaymentAbandoned Event = "payment_abandoned"
	EventConfirmed        Event = "confirmed"
	EventExpired          Event = "expired"
	EventCancelled        Event = "cancelled"
	EventFailed           Event = "failed"

	EventBackordered     Event = "backordered" // the order waits for stock
	EventInReview        Event = "in_review"
	EventApproved        Event = "approved"
	EventReviewEscalated Event = "review_escalated" // half of the time for the review is over

	// What happens to the shipments of a paid order.
	EventPacked           Event = "packed"
	EventShipped          Event = "shipped"
	EventDelivered        Event = "delivered"
	EventLost             Event = "lost"
	EventShortPicked      Event = "short_picked" // units were missing or damaged
	EventRerouted         Event = "rerouted"     // units come from another reservation, in a new shipment
	EventLinesCancelled   Event = "lines_cancelled"
	EventHeld             Event = "held"
	EventUnheld           Event = "unheld"
	EventCompleted        Event = "completed"
	EventNothingDelivered Event = "nothing_delivered"

	// What happens to the goods that a customer sends back.
	EventReturnRequested Event = "return_requested"
	EventReturnApproved  Event = "return_approved"
	EventReturnRejected  Event = "return_rejected"
	EventReturnCancelled Event = "return_cancelled"
	EventReturnReceived  Event = "return_received"
	EventReturnLapsed    Event = "return_lapsed"  // nothing has arrived in time
	EventRefundGranted   Event = "refund_granted" // an operator gives money back without a return
	EventAllReturned     Event = "all_returned"   // the customer has all of the money back

	// These events do not change the state.
	EventPaid               Event = "paid"
	EventActionRequired     Event = "action_required" // the customer must confirm the payment at the bank
	EventPaymentVoided      Event = "payment_voided"
	EventStockReleased      Event = "stock_released"
	EventPaymentRefunded    Event = "payment_refunded"
	EventCompensationFailed Event = "compensation_failed"

	// EventTakenUp leads from the state in which an earlier run of the workflow left the order to the state from which
	// a later run continues it. An operator starts the later run by a reset.
	EventTakenUp Event = "taken_up"

	// EventRepaired: an operator has repaired the order. The reason names how.
	EventRepaired Event = "repaired"
)

// The two decisions about each event: the name under which other systems receive it, and whether it is repeatable.
const (
	internal   = "" // no other system receives it
	repeatable = true
	tentative  = false
)

type eventRow struct {
	event      Event
	published  string
	repeatable bool
}

// events has one row for each event. The compiler refuses a row that lacks a decision.
var events = []eventRow{
	{EventCreated, "created", tentative},
	{EventPending, internal, tentative},
	{EventReserved, "reserved", repeatable},
	{EventRejected, "rejected", tentative},
	{EventExtended, internal, tentative},
	{EventLinesChanged, "lines_changed", tentative},
	{EventPaymentStarted, internal, repeatable},
	{EventPaymentDeclined, internal, repeatable},
	{EventPaymentAbandoned, internal, repeatable},
	{EventConfirmed, "confirmed", repeatable},
	{EventExpired, "expired", tentative},
	{EventCancelled, "cancelled", tentative},
	{EventFailed, "failed", tentative},
	{EventBackordered, "backordered", tentative},
	{EventInReview, "in_review", tentative},
	{EventApproved, internal, tentative},
	{EventReviewEscalated, internal, tentative},
	{EventPacked, internal, repeatable},
	{EventShipped, "shipped", tentative},
	{EventDelivered, internal, repeatable},
	{EventLost, internal, tentative},
	{EventShortPicked, internal, tentative},
	{EventRerouted, internal, tentative},
	{EventLinesCancelled, internal, tentative},
	{EventHeld, internal, repeatable},
	{EventUnheld, internal, repeatable},
	{EventCompleted, "completed", tentative},
	{EventNothingDelivered, internal, tentative},
	{EventReturnRequested, internal, tentative},
	{EventReturnApproved, internal, tentative},
	{EventReturnRejected, internal, tentative},
	{EventReturnCancelled, internal, tentative},
	{EventReturnReceived, internal, tentative},
	{EventReturnLapsed, internal, tentative},
	{EventRefundGranted, internal, tentative},
	{EventAllReturned, internal, tentative},
	{EventPaid, "paid", repeatable},
	{EventActionRequired, internal, tentative},
	{EventPaymentVoided, internal, tentative},
	{EventStockReleased, internal, tentative},
	{EventPaymentRefunded, "refunded", tentative},
	{EventCompensationFailed, internal, tentative},
	{EventTakenUp, internal, tentative},
	{EventRepaired, internal, tentative},
}

// Events lists every event.
func Events() []Event {
	out := make([]Event, len(events))
	for i, row := range events {
		out[i] = row.event
	}
	return out
}

// PublishedAs returns the name under which other systems receive the event, without the prefix "order.". It is empty if
// they do not receive it. The names are promised to consumers, so they must not change.
func (e Event) PublishedAs() string { return e.row().published }

// Repeatable reports whether the event comes out the same if Temporal loses the workflow task that decided it and
// executes the task again.
//
// An event that is repeatable follows from a step that succeeded or from the answer of a regular activity. The second
// execution gets the same answer. An event that is tentative may come out differently: a step that failed may now
// succeed, or another update may now come first.
//
// A repeatable event can still change if a dependency fails between the two executions. The record of the second
// execution then overwrites the record of the first (see orderstore).
//
// The workflow chooses by this how it records the event: changing it for an event breaks the replay of open orders.
// Add a workflow.GetVersion branch and a new history first.
func (e Event) Repeatable() bool { return e.row().repeatable }

func (e Event) row() eventRow {
	for _, row := range events {
		if row.event == e {
			return row
		}
	}
	return eventRow{}
}
