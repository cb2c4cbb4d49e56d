package stripe

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	stripego "github.com/stripe/stripe-go/v85"
	stripewebhook "github.com/stripe/stripe-go/v85/webhook"

	"holdfast/internal/payment"
	"holdfast/internal/webhook"
)

// headerSignature has the time and the signatures of a webhook.
const headerSignature = "Stripe-Signature"

// Webhooks reads the webhooks of Stripe, which are signed by Stripe's own scheme. It implements payment.Webhooks.
type Webhooks struct {
	Secrets []string // of the endpoint, several during a rotation
}

var _ payment.Webhooks = Webhooks{}

// ReadWebhook implements payment.Webhooks. Stripe tells a completed action only by its outcome: authorised or failed.
func (w Webhooks) ReadWebhook(header http.Header, body []byte) (payment.Event, error) {
	signed := header.Get(headerSignature)
	var event stripego.Event
	err := stripewebhook.ErrNoValidSignature
	for _, secret := range w.Secrets {
		got, refused := stripewebhook.ConstructEventWithOptions(body, signed, secret, stripewebhook.ConstructEventOptions{
			Tolerance:                webhook.Tolerance,
			IgnoreAPIVersionMismatch: true, // the members read below are the same in all versions
		})
		if refused == nil || !errors.Is(refused, stripewebhook.ErrNoValidSignature) {
			event, err = got, refused
		}
	}
	if err != nil {
		return payment.Event{}, asProblem(err)
	}
	if ahead(signed) {
		return payment.Event{}, webhook.Table.New(webhook.CodeTooNew,
			"%s is more than %s ahead; set the receiver's clock", headerSignature, webhook.Tolerance)
	}
	return toEvent(event)
}

// ahead reports whether the signature's time is too far in the future. Stripe's library checks only the past.
func ahead(signed string) bool {
	for pair := range strings.SplitSeq(signed, ",") {
		if text, found := strings.CutPrefix(pair, "t="); found {
			seconds, err := strconv.ParseInt(text, 10, 64)
			return err != nil || time.Until(time.Unix(seconds, 0)) > webhook.Tolerance
		}
	}
	return true // Stripe's library has verified a time, so there is one
}

func asProblem(err error) error {
	switch {
	case errors.Is(err, stripewebhook.ErrNotSigned):
		return webhook.Table.New(webhook.CodeHeaderMissing, "send %s", headerSignature)
	case errors.Is(err, stripewebhook.ErrInvalidHeader):
		return webhook.Table.New(webhook.CodeHeaderInvalid, "%s is not as Stripe sends it", headerSignature)
	case errors.Is(err, stripewebhook.ErrTooOld):
		return webhook.Table.New(webhook.CodeTooOld, "%s is more than %s ago", headerSignature, webhook.Tolerance)
	case errors.Is(err, stripewebhook.ErrNoValidSignature):
		return webhook.Table.New(webhook.CodeSignatureInvalid, "no secret is known that signs this webhook")
	}
	return webhook.Table.New(webhook.CodeContentInvalid, "the body is no event of Stripe")
}

// eventTypes are the events about a PaymentIntent that the port knows.
var eventTypes = map[stripego.EventType]payment.EventType{
	stripego.EventTypePaymentIntentAmountCapturableUpdated: payment.EventAuthorised,
	stripego.EventTypePaymentIntentSucceeded:               payment.EventCaptured,
	stripego.EventTypePaymentIntentCanceled:                payment.EventVoided,
	stripego.EventTypePaymentIntentPaymentFailed:           payment.EventFailed,
}

// toEvent returns the event, or ErrOtherEvent if it is not about a payment with a key.
func toEvent(event stripego.Event) (payment.Event, error) {
	out := payment.Event{ID: event.ID, At: time.Unix(event.Created, 0).UTC()}
	if event.Data == nil || event.ID == "" {
		return payment.Event{}, webhook.Table.New(webhook.CodeContentInvalid, "the body is no event of Stripe")
	}
	switch event.Type {
	case stripego.EventTypeRefundCreated, stripego.EventTypeRefundUpdated, stripego.EventTypeRefundFailed:
		return refundEvent(out, event)
	default:
	}
	kind, known := eventTypes[event.Type]
	if !known {
		return payment.Event{}, payment.ErrOtherEvent
	}
	var intent stripego.PaymentIntent
	if err := json.Unmarshal(event.Data.Raw, &intent); err != nil {
		return payment.Event{}, webhook.Table.New(webhook.CodeContentInvalid, "the event's object is no PaymentIntent")
	}
	if intent.Metadata[metaKey] == "" || barred(&intent) {
		return payment.Event{}, payment.ErrOtherEvent
	}
	p, err := toPayment(&intent)
	if err != nil {
		return payment.Event{}, webhook.Table.New(webhook.CodeContentInvalid, "%v", err)
	}
	out.Type, out.Payment = kind, p
	return out, nil
}

// refundEvent returns an event about a refund that has ended; one that is pending is told again when it ends. Stripe
// sends the refund alone, so the event's payment has only its key and Stripe's id.
func refundEvent(out payment.Event, event stripego.Event) (payment.Event, error) {
	var refund stripego.Refund
	if err := json.Unmarshal(event.Data.Raw, &refund); err != nil {
		return payment.Event{}, webhook.Table.New(webhook.CodeContentInvalid, "the event's object is no refund")
	}
	told := toRefund(&refund)
	switch {
	case refund.Metadata[metaKey] == "" || told.Key == "" || told.State == payment.RefundPending:
		return payment.Event{}, payment.ErrOtherEvent
	case told.State == payment.RefundFailed:
		out.Type = payment.EventRefundFailed
	default:
		out.Type = payment.EventRefunded
	}
	out.Refund = &told
	out.Payment.Key = refund.Metadata[metaKey]
	if refund.PaymentIntent != nil {
		out.Payment.ProviderRef = refund.PaymentIntent.ID
	}
	return out, nil
}
