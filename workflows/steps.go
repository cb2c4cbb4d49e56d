package workflows

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"holdfast/workflows/orderflow"
)

// One typed helper per activity. They run inside recorded histories: changing an activity's name or
// its argument's type breaks replay. Add a workflow.GetVersion branch and a new history first.

// reserveStock holds lines, all or nothing, within the given time; 0 means without limit. A reserve that gave up
// may still take effect. onSlow is called when inventory did not answer at once and the workflow has to wait for it.
// Refusals: ErrOutOfStock, ErrReservationClosed, ErrReservationRefused.
func reserveStock(
	ctx workflow.Context,
	in orderflow.ReserveInput,
	within time.Duration,
	onSlow func(),
) (orderflow.ReservationResult, error) {
	return execute[orderflow.ReservationResult](ctx, step{
		activity: orderflow.ReserveStock,
		summary:  unitsName("reserve", in.Lines),
		within:   within,
		onSlow:   onSlow,
	}, in)
}

// reserveOrWait is reserveStock, except that the lines wait for stock if inventory has too few. The result's status is
// then ReservationWaiting. A repeat answers how it stands by now.
func reserveOrWait(
	ctx workflow.Context,
	in orderflow.ReserveInput,
	onSlow func(),
) (orderflow.ReservationResult, error) {
	return execute[orderflow.ReservationResult](ctx, step{
		activity: orderflow.ReserveOrWait,
		summary:  unitsName("reserve, or wait for,", in.Lines),
		onSlow:   onSlow,
	}, in)
}

// replaceReservation reserves lines in place of an earlier reservation of the order, which inventory releases in the
// same transaction. It is a regular activity from the start, because it ends a reservation; see below. Refusals:
// ErrOutOfStock and ErrReservationRefused, after which the earlier reservation is as it was; ErrReservationClosed and
// ErrReservationExpired, if the earlier one has ended; ErrNumberUsed.
func replaceReservation(ctx workflow.Context, in orderflow.ReserveInput) (orderflow.ReservationResult, error) {
	return execute[orderflow.ReservationResult](ctx, step{
		activity: orderflow.ReplaceReservation,
		summary:  "hold the stock of the new lines in place of the old",
		noFast:   true,
	}, in)
}

// extendReservation moves the deadline to at least in.ExpiresAt, within the given time. Refusals:
// ErrReservationExpired, ErrReservationClosed.
func extendReservation(
	ctx workflow.Context,
	in orderflow.ReservationInput,
	within time.Duration,
	onSlow func(),
) (orderflow.ReservationResult, error) {
	return execute[orderflow.ReservationResult](ctx, step{
		activity: orderflow.ExtendReservation,
		summary:  "extend the reservation",
		within:   within,
		onSlow:   onSlow,
	}, in)
}

// confirmReservation takes the held stock off the shelf count. Refusals: ErrReservationExpired,
// ErrReservationClosed.
func confirmReservation(
	ctx workflow.Context,
	in orderflow.ReservationInput,
	onSlow func(),
) (orderflow.ReservationResult, error) {
	return execute[orderflow.ReservationResult](ctx, step{
		activity: orderflow.ConfirmReservation,
		summary:  "confirm the reservation",
		onSlow:   onSlow,
	}, in)
}

// A step that ends a reservation is a regular activity from the start. A local activity could act on a decision of a
// workflow task that is then lost and decided differently: it would release stock for a cancellation, and the payment
// that arrived together with the cancellation would then come first and find the stock gone. The expiry at the deadline
// is the exception: inventory's clock decides it, not the order of what the workflow learns.

// releaseStock gives held stock back. Inventory refuses a reservation that it has never seen from then on; for a
// reservation that is closed already it answers the status.
func releaseStock(
	ctx workflow.Context,
	in orderflow.ReservationInput,
	brief bool,
) (orderflow.ReservationResult, error) {
	return execute[orderflow.ReservationResult](ctx, step{
		activity: orderflow.ReleaseStock,
		summary:  "release the reservation",
		brief:    brief,
		noFast:   true,
	}, in)
}

// expireReservation asks for the expiry of a reservation that is due. With brief set it gives up soon. Only an expiry
// at the deadline may be fast: inventory's clock decides it the same way whenever the question comes again. Refusal:
// ErrNotDue with the deadline. Any other error means that the answer is not known.
func expireReservation(
	ctx workflow.Context,
	in orderflow.ReservationInput,
	brief, fast bool,
) (orderflow.ReservationResult, error) {
	return execute[orderflow.ReservationResult](ctx, step{
		activity: orderflow.ExpireReservation,
		summary:  "expire the reservation",
		brief:    brief,
		noFast:   !fast,
	}, in)
}

// returnStock puts confirmed stock back.
func returnStock(
	ctx workflow.Context,
	in orderflow.ReservationInput,
	brief bool,
) (orderflow.ReservationResult, error) {
	return execute[orderflow.ReservationResult](ctx, step{
		activity: orderflow.ReturnStock,
		summary:  "return the confirmed stock",
		brief:    brief,
		noFast:   true,
	}, in)
}

// recordOrder brings the order's row up to date. A record may be fast only if the workflow task that calls it has not
// decided the recorded events, or would decide them the same way again. onSlow is called when the database did not
// answer the fast attempt, or when there was no fast attempt. Refusals: ErrRecordConflict, ErrRecordImpossible.
func recordOrder(
	ctx workflow.Context,
	in orderflow.RecordInput,
	fast bool,
	onSlow func(),
) (orderflow.RecordResult, error) {
	return execute[orderflow.RecordResult](ctx, step{
		activity: orderflow.RecordOrder,
		summary:  "record " + eventNames(in.Entries),
		noFast:   !fast,
		onSlow:   onSlow,
	}, in)
}

// findOrder reads how the order is recorded, and whether this run of the workflow has recorded it.
func findOrder(
	ctx workflow.Context,
	in orderflow.FindOrderInput,
) (orderflow.FindOrderResult, error) {
	return execute[orderflow.FindOrderResult](ctx, step{
		activity: orderflow.FindOrder,
		summary:  "read how the order is recorded",
	}, in)
}

// authorisePayment sets the money aside, within the given time. Refusals: ErrPaymentDeclined,
// ErrPaymentRefused, ErrPaymentKeyUsed. After any other error the outcome is unknown and must be voided.
func authorisePayment(
	ctx workflow.Context,
	in orderflow.PaymentInput,
	within time.Duration,
	fast bool,
	onSlow func(),
) (orderflow.PaymentResult, error) {
	return execute[orderflow.PaymentResult](ctx, step{
		activity: orderflow.AuthorisePayment,
		summary:  paymentName("authorise", in),
		queue:    orderflow.PaymentsQueue,
		noFast:   !fast,
		within:   within,
		onSlow:   onSlow,
	}, in)
}

// capturePayment takes the money that was set aside. Refusal: ErrPaymentRefused.
func capturePayment(
	ctx workflow.Context,
	in orderflow.PaymentInput,
	fast bool,
	onSlow func(),
) (orderflow.PaymentResult, error) {
	return execute[orderflow.PaymentResult](ctx, step{
		activity: orderflow.CapturePayment,
		summary:  paymentName("capture", in),
		queue:    orderflow.PaymentsQueue,
		noFast:   !fast,
		onSlow:   onSlow,
	}, in)
}

// voidPayment frees money that was set aside. The provider refuses a payment that it has never seen from
// then on. With a limit it gives up after that time; 0 means without limit. Refusal: ErrPaymentCaptured.
func voidPayment(
	ctx workflow.Context,
	in orderflow.PaymentInput,
	within time.Duration,
) (orderflow.PaymentResult, error) {
	return execute[orderflow.PaymentResult](ctx, step{
		activity: orderflow.VoidPayment,
		summary:  paymentName("void", in),
		queue:    orderflow.PaymentsQueue,
		noFast:   true,
		byHand:   within == 0,
		within:   within,
	}, in)
}

// refundPayment gives back a part or all of what a payment took, once per refund key. Refusals: ErrPaymentRefused,
// ErrPaymentKeyUsed.
func refundPayment(
	ctx workflow.Context,
	in orderflow.PaymentInput,
) (orderflow.PaymentResult, error) {
	return execute[orderflow.PaymentResult](ctx, step{
		activity: orderflow.RefundPayment,
		summary:  paymentName("refund", in),
		queue:    orderflow.PaymentsQueue,
		noFast:   true,
		byHand:   true,
	}, in)
}

// findPayment looks a payment up. Refusals: ErrPaymentDeclined, ErrPaymentRefused, ErrPaymentKeyUsed (it was voided).
func findPayment(ctx workflow.Context, in orderflow.PaymentInput) (orderflow.PaymentResult, error) {
	return execute[orderflow.PaymentResult](ctx, step{
		activity: orderflow.FindPayment,
		summary:  paymentName("look up", in),
		queue:    orderflow.PaymentsQueue,
		noFast:   true,
		within:   patience,
	}, in)
}

// findRefund finds a refund by its key.
func findRefund(ctx workflow.Context, in orderflow.PaymentInput) (orderflow.PaymentResult, error) {
	return execute[orderflow.PaymentResult](ctx, step{
		activity: orderflow.FindRefund,
		summary:  paymentName("look up the refund of", in),
		queue:    orderflow.PaymentsQueue,
		noFast:   true,
	}, in)
}

// findRefundNow is findRefund, and gives up soon.
func findRefundNow(ctx workflow.Context, in orderflow.PaymentInput) (orderflow.PaymentResult, error) {
	return execute[orderflow.PaymentResult](ctx, step{
		activity: orderflow.FindRefund,
		summary:  paymentName("look up the refund of", in),
		queue:    orderflow.PaymentsQueue,
		noFast:   true,
		brief:    true,
	}, in)
}

// returnUnits puts confirmed units back, up to a number for each line, and returns how many came back now.
func returnUnits(ctx workflow.Context, in orderflow.ReturnUnitsInput) (int64, error) {
	out, err := execute[orderflow.ReservationResult](ctx, step{
		activity: orderflow.ReturnUnits,
		summary:  "put units back on the shelf",
		noFast:   true,
	}, in)
	return out.Returned, err
}

// writeOffStock makes inventory count nothing of a product as available at a location.
func writeOffStock(ctx workflow.Context, in orderflow.WriteOffInput) error {
	_, err := execute[orderflow.WriteOffResult](ctx, step{
		activity: orderflow.WriteOffStock,
		summary:  "write off what is not there",
		noFast:   true,
	}, in)
	return err
}

// The names of steps, as the Web UI shows them.

func paymentName(what string, in orderflow.PaymentInput) string {
	return fmt.Sprintf("%s payment %d of %s", what, in.Attempt, in.Amount)
}

func unitsName(what string, lines []orderflow.ReserveLine) string {
	var n int64
	for _, l := range lines {
		n += l.Quantity
	}
	return fmt.Sprintf("%s %d unit(s) on %d line(s)", what, n, len(lines))
}

// maxEventNames is how many events the name of a record has.
const maxEventNames = 4

func eventNames(entries []orderflow.TimelineEntry) string {
	var names []string
	for _, e := range entries[:min(len(entries), maxEventNames)] {
		names = append(names, string(e.Event))
	}
	text := strings.Join(names, ", ")
	if more := len(entries) - maxEventNames; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
