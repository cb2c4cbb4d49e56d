package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"holdfast/workflows/orderflow"
)

// One typed helper per activity. They run inside recorded histories: changing an activity's name or
// its argument's type breaks replay. Add a workflow.GetVersion branch and a new history first.

// reserveStock holds lines, all or nothing, within the given time; 0 means without limit, and one that gave up
// may still take effect. onSlow is called when inventory did not answer at once and has to be waited for.
// Refusals: ErrOutOfStock, ErrReservationClosed, ErrReservationRefused.
func reserveStock(ctx workflow.Context, in orderflow.ReserveInput, within time.Duration, onSlow func()) (orderflow.ReservationResult, error) {
	return execute[orderflow.ReservationResult](ctx, step{activity: orderflow.ReserveStock, summary: "hold the stock", within: within, onSlow: onSlow}, in)
}

// extendReservation moves the deadline to at least in.ExpiresAt, within the given time. Refusals:
// ErrReservationExpired, ErrReservationClosed.
func extendReservation(ctx workflow.Context, in orderflow.ReservationInput, within time.Duration) (orderflow.ReservationResult, error) {
	return execute[orderflow.ReservationResult](ctx, step{activity: orderflow.ExtendReservation, summary: "keep the stock held", within: within}, in)
}

// confirmReservation takes the held stock off the shelf count. Refusals: ErrReservationExpired,
// ErrReservationClosed.
func confirmReservation(ctx workflow.Context, in orderflow.ReservationInput) (orderflow.ReservationResult, error) {
	return execute[orderflow.ReservationResult](ctx, step{activity: orderflow.ConfirmReservation, summary: "take the stock"}, in)
}

// What ends a reservation is a regular activity from the start. A local one could act on a decision that is
// taken otherwise when its workflow task is lost: stock would be released for a cancellation, and the payment that
// came with it would then be first and find it gone.

// releaseStock gives held stock back. A reservation that was never seen is refused from then on; one
// that is closed already answers with its status.
func releaseStock(ctx workflow.Context, in orderflow.ReservationInput, brief bool) (orderflow.ReservationResult, error) {
	return execute[orderflow.ReservationResult](ctx, step{activity: orderflow.ReleaseStock, summary: "give the stock back", brief: brief, noFast: true}, in)
}

// expireReservation asks for the expiry of a reservation that is due; brief, it asks once and quickly.
// Refusal: ErrNotDue with the deadline. Any other error means that the answer is not known.
func expireReservation(ctx workflow.Context, in orderflow.ReservationInput, brief bool) (orderflow.ReservationResult, error) {
	return execute[orderflow.ReservationResult](ctx, step{activity: orderflow.ExpireReservation, summary: "let the reservation expire", brief: brief, noFast: true}, in)
}

// returnStock puts stock back that was confirmed.
func returnStock(ctx workflow.Context, in orderflow.ReservationInput, brief bool) (orderflow.ReservationResult, error) {
	return execute[orderflow.ReservationResult](ctx, step{activity: orderflow.ReturnStock, summary: "put the stock back on the shelf", brief: brief, noFast: true}, in)
}

// recordOrder brings the order's row up to date. Only what the workflow task that calls it has not decided, or
// would decide again, may be recorded fast. Refusals: ErrRecordConflict, ErrRecordImpossible.
// onSlow is called when the database did not answer the fast attempt, or none was made.
func recordOrder(ctx workflow.Context, in orderflow.RecordInput, fast bool, onSlow func()) (orderflow.RecordResult, error) {
	return execute[orderflow.RecordResult](ctx, step{activity: orderflow.RecordOrder, summary: "record the order", noFast: !fast, onSlow: onSlow}, in)
}

// findOrder reads how the order is recorded, and whether this run of the workflow has recorded it.
func findOrder(ctx workflow.Context, in orderflow.FindOrderInput) (orderflow.FindOrderResult, error) {
	return execute[orderflow.FindOrderResult](ctx, step{activity: orderflow.FindOrder, summary: "read how the order is recorded"}, in)
}

// authorisePayment sets the money aside, within the given time. Refusals: ErrPaymentDeclined,
// ErrPaymentRefused, ErrPaymentKeyUsed. After any other error the outcome is unknown and must be voided.
func authorisePayment(ctx workflow.Context, in orderflow.PaymentInput, within time.Duration) (orderflow.PaymentResult, error) {
	return execute[orderflow.PaymentResult](ctx, step{activity: orderflow.AuthorisePayment, summary: "authorise the payment", queue: orderflow.PaymentsQueue, noFast: true, within: within}, in)
}

// capturePayment takes the money that was set aside. Refusal: ErrPaymentRefused.
func capturePayment(ctx workflow.Context, in orderflow.PaymentInput) (orderflow.PaymentResult, error) {
	return execute[orderflow.PaymentResult](ctx, step{activity: orderflow.CapturePayment, summary: "capture the payment", queue: orderflow.PaymentsQueue, noFast: true}, in)
}

// voidPayment frees money that was set aside. A payment that the provider never saw is refused from
// then on. With a limit it gives up after that time; 0 means without limit. Refusal: ErrPaymentCaptured.
func voidPayment(ctx workflow.Context, in orderflow.PaymentInput, within time.Duration) (orderflow.PaymentResult, error) {
	return execute[orderflow.PaymentResult](ctx, step{activity: orderflow.VoidPayment, summary: "void the payment", queue: orderflow.PaymentsQueue, noFast: true, within: within}, in)
}

// refundPayment gives back all that a payment took. Refusal: ErrPaymentRefused.
func refundPayment(ctx workflow.Context, in orderflow.PaymentInput) (orderflow.PaymentResult, error) {
	return execute[orderflow.PaymentResult](ctx, step{activity: orderflow.RefundPayment, summary: "refund the payment", queue: orderflow.PaymentsQueue, noFast: true}, in)
}
