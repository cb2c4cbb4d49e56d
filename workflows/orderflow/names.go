// Package orderflow is the contract of the order's workflow: names, ids, queues, payloads, error
// types and search attributes. The api starts workflows by it, the workflows call activities by it
// and the activities register under it, so that none of them imports another.
//
// Everything here is part of recorded histories. Names never change; fields are only added.
package orderflow

import (
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"

	"holdfast/internal/order"
)

// Where work is done.
const (
	Namespace      = "holdfast"
	OrdersQueue    = "orders"
	PaymentsQueue  = "payments"
	DeploymentName = "holdfast-orders"
)

// The types of our workflows.
const (
	OrderWorkflow       = "Order"
	ReservationWorkflow = "Reservation" // stock held from outside, without an order
)

// Updates and queries that our workflows answer.
const (
	// UpdatePlace waits until an order is recorded, or a reservation without an order is decided. For an order
	// this constant is the update id too.
	UpdatePlace   = "place"
	UpdatePay     = "pay"    // an order
	UpdateCancel  = "cancel" // an order
	UpdateExtend  = "extend"
	UpdateEdit    = "edit"    // an order: change its lines
	UpdateApprove = "approve" // an order that waits for review
	// UpdatePaymentChanged tells an order that the provider has news of a payment for whose action the order waits.
	UpdatePaymentChanged = "payment_changed"
	// UpdateStockGranted tells an order that waits for stock that inventory has reserved it.
	UpdateStockGranted = "stock_granted"
	// Of a paid order.
	UpdateCancelLines = "cancel_lines"
	UpdateHold        = "hold"
	UpdateUnhold      = "unhold"
	UpdatePack        = "pack"
	UpdateShip        = "ship"
	UpdateShortPick   = "short_pick"
	UpdateDeliver     = "deliver"
	UpdateLose        = "lose"
	// Of a paid order of which something was delivered.
	UpdateRequestReturn = "request_return"
	UpdateApproveReturn = "approve_return"
	UpdateRejectReturn  = "reject_return"
	UpdateCancelReturn  = "cancel_return"
	UpdateReceiveReturn = "receive_return"
	UpdateRefund        = "refund" // without a return
	// Of an order that an operator repairs.
	UpdateSkipStep   = "skip_step"
	UpdateNoteRepair = "note_repair"
	// Of a reservation without an order.
	UpdateConfirm = "confirm"
	UpdateRelease = "release"
	QueryState    = "state"
	// QueryPreviewCancel answers what a cancellation of an order would do.
	QueryPreviewCancel = "preview_cancel"
	// QueryPreviewReturn answers what a step of a return would do.
	QueryPreviewReturn = "preview_return"
)

// Activities, by the names they are registered under.
const (
	ReserveStock       = "ReserveStock"
	ReserveOrWait      = "ReserveOrWait"
	ReplaceReservation = "ReplaceReservation"
	ExtendReservation  = "ExtendReservation"
	ConfirmReservation = "ConfirmReservation"
	ReleaseStock       = "ReleaseStock"
	ExpireReservation  = "ExpireReservation"
	ReturnStock        = "ReturnStock"
	RecordOrder        = "RecordOrder"
	FindOrder          = "FindOrder"
	AuthorisePayment   = "AuthorisePayment"
	CapturePayment     = "CapturePayment"
	VoidPayment        = "VoidPayment"
	RefundPayment      = "RefundPayment"
	FindPayment        = "FindPayment"
	FindRefund         = "FindRefund"
	ReturnUnits        = "ReturnUnits"
	WriteOffStock      = "WriteOffStock"
)

// Types of the application errors that activities and updates raise. They are strings, not errors: workflows compare
// them with the type of an error. All are business answers, so they are never retried.
const (
	ErrOutOfStock         = "out_of_stock"        // details: []ShortLine
	ErrReservationExpired = "reservation_expired" // the deadline has passed, by inventory's clock
	ErrReservationClosed  = "reservation_closed"  // released, expired or confirmed already; details: its status
	ErrReservationRefused = "reservation_refused" // inventory finds the request itself wrong; details: Refusal
	// ErrNumberUsed: another run of the workflow has used the number of the new reservation, or its request was withdrawn.
	ErrNumberUsed        = "reservation_number_used"
	ErrNotDue            = "not_due"             // an expiry came early; details: the deadline
	ErrPaymentDeclined   = "payment_declined"    // details: the provider's reason
	ErrPaymentRefused    = "payment_refused"     // the provider finds the request itself wrong
	ErrPaymentKeyUsed    = "payment_key_used"    // an earlier run used the key for another payment, or voided it
	ErrPaymentCaptured   = "payment_captured"    // the money is taken already, so it cannot be set free
	ErrUnavailable       = "unavailable"         // no answer in time; try again
	ErrInvalidInput      = "invalid_input"       // the update's argument itself is wrong
	ErrInvalidDuration   = "invalid_duration"    // longer than stock may be held unpaid; details: the latest deadline
	ErrTooManyExtensions = "too_many_extensions" // the order or reservation has had all its extensions
	ErrTooManyEdits      = "too_many_edits"      // the lines of the order were changed too often
	ErrRecordConflict    = "record_conflict"     // the row belongs to another request
	ErrRecordImpossible  = "record_impossible"   // the orders database refuses the record for good
	ErrNotThisOrder      = "not_this_order"      // the workflow was started under an id that is not its order's
	ErrShipmentNotFound  = "shipment_not_found"  // the order has no shipment with this number
	ErrShipmentState     = "invalid_shipment_state"
	ErrReturnNotFound    = "return_not_found" // the order has no return with this number
	ErrReturnState       = "invalid_return_state"
	ErrKeyReused         = "idempotency_key_reused" // the key of the request names another one
	ErrNotReturnable     = "not_returnable"         // the units were not delivered, or are in another return
	ErrStepNotSkippable  = "step_not_skippable"     // the outcome of the step decides about stock or money
	ErrStepNotUnderWay   = "step_not_under_way"     // the order does not wait for the step
)

// RefusesUpdate reports whether kind is the type of an error by which our workflows refuse an update: an order.Refusal,
// because the order's state does not allow the request, or one of the types above. All other errors of an update come
// from the SDK or the server.
func RefusesUpdate(kind string) bool {
	switch kind {
	case string(order.NotReady), string(order.PaymentInProgress), string(order.Overdue), string(order.InvalidState),
		ErrInvalidInput, ErrInvalidDuration, ErrTooManyExtensions, ErrTooManyEdits, ErrUnavailable,
		string(order.OnHold), string(order.AlreadyShipped), string(order.UnderReview), string(order.AwaitingStock),
		ErrShipmentNotFound, ErrShipmentState,
		ErrReturnNotFound, ErrReturnState, ErrNotReturnable, ErrKeyReused,
		ErrStepNotSkippable, ErrStepNotUnderWay,
		ErrReservationClosed, ErrReservationExpired, ErrReservationRefused,
		ErrRecordConflict, ErrRecordImpossible:
		return true
	}
	return false
}

// Search attributes, typed. Opaque ids only: they are stored unencrypted.
var (
	AttrOrderStatus   = temporal.NewSearchAttributeKeyKeyword("OrderStatus")
	AttrCustomerID    = temporal.NewSearchAttributeKeyKeyword("CustomerId")
	AttrSKUs          = temporal.NewSearchAttributeKeyKeywordList("ProductSkus")
	AttrAmountMinor   = temporal.NewSearchAttributeKeyInt64("AmountMinor")
	AttrExpiresAt     = temporal.NewSearchAttributeKeyTime("ExpiresAt")
	AttrNeedsOperator = temporal.NewSearchAttributeKeyBool("NeedsOperator")
	AttrOrderNumber   = temporal.NewSearchAttributeKeyKeyword("OrderNumber")
	AttrCurrency      = temporal.NewSearchAttributeKeyKeyword("Currency")
	// AttrReviewReasons are the rules for which an operator must approve the order.
	AttrReviewReasons = temporal.NewSearchAttributeKeyKeywordList("ReviewReasons")
	// AttrReservationStatus is of a reservation without an order: as inventory names it, or ReservationRefused.
	AttrReservationStatus = temporal.NewSearchAttributeKeyKeyword("ReservationStatus")
)

// SearchAttributes lists what a namespace needs before an order can start in it.
func SearchAttributes() map[string]enumspb.IndexedValueType {
	out := map[string]enumspb.IndexedValueType{}
	for _, k := range []temporal.SearchAttributeKey{
		AttrOrderStatus,
		AttrCustomerID,
		AttrSKUs,
		AttrAmountMinor,
		AttrExpiresAt,
		AttrNeedsOperator,
		AttrOrderNumber,
		AttrCurrency,
		AttrReviewReasons,
		AttrReservationStatus,
	} {
		out[k.GetName()] = k.GetValueType()
	}
	return out
}
