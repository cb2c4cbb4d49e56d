package stripe

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	stripewebhook "github.com/stripe/stripe-go/v85/webhook"

	"holdfast/internal/payment"
	"holdfast/internal/problem"
	"holdfast/internal/webhook"
)

const endpointSecret = "whsec_of_the_endpoint"

// signed returns an event as Stripe sends it at the given time.
func signed(t *testing.T, kind string, object any, secret string, at time.Time) (http.Header, []byte) {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"id": "evt_1", "object": "event", "type": kind, "created": 1_700_000_000, "api_version": "2020-08-27",
		"data": map[string]any{"object": object},
	})
	require.NoError(t, err)
	s := stripewebhook.GenerateTestSignedPayload(&stripewebhook.UnsignedPayload{
		Payload:   body,
		Secret:    secret,
		Timestamp: at,
	})
	return http.Header{"Stripe-Signature": {s.Header}}, body
}

func intentObject(status string, more map[string]any) map[string]any {
	out := map[string]any{
		"id": "pi_1", "object": "payment_intent", "amount": 1250, "currency": "eur", "status": status,
		"created": 1_700_000_000, "latest_charge": "ch_1", "metadata": map[string]any{"payment_key": "k"},
	}
	for name, value := range more {
		out[name] = value
	}
	return out
}

// TestEventsOfStripe: Stripe's events about our payments become the port's; all others are let pass.
func TestEventsOfStripe(t *testing.T) {
	t.Parallel()
	w := Webhooks{Secrets: []string{endpointSecret}}
	refund := func(status string) map[string]any {
		return map[string]any{
			"id": "re_1", "object": "refund", "amount": 250, "currency": "eur", "status": status, "payment_intent": "pi_1",
			"metadata": map[string]any{"payment_key": "k", "refund_key": "r"},
		}
	}
	for _, c := range []struct {
		kind   string
		object map[string]any
		want   payment.EventType // "": another event
	}{
		{"payment_intent.amount_capturable_updated", intentObject("requires_capture", nil), payment.EventAuthorised},
		{"payment_intent.succeeded", intentObject("succeeded", nil), payment.EventCaptured},
		{"payment_intent.canceled", intentObject("canceled", nil), payment.EventVoided},
		{"payment_intent.payment_failed", intentObject("requires_payment_method", map[string]any{
			"last_payment_error": map[string]any{"code": "card_declined", "decline_code": "insufficient_funds"},
		}), payment.EventFailed},
		{"refund.created", refund("succeeded"), payment.EventRefunded},
		{"refund.updated", refund("succeeded"), payment.EventRefunded},
		{"refund.failed", refund("failed"), payment.EventRefundFailed},
		{"refund.created", refund("pending"), ""},
		{"payment_intent.created", intentObject("requires_confirmation", nil), ""},
		{"payment_intent.succeeded", intentObject("succeeded", map[string]any{"metadata": map[string]any{}}), ""},
		{"payment_intent.canceled", intentObject("canceled", map[string]any{
			"metadata": map[string]any{"payment_key": "k", "barred": "true"},
		}), ""},
		{"customer.created", map[string]any{"id": "cus_1", "object": "customer"}, ""},
	} {
		header, body := signed(t, c.kind, c.object, endpointSecret, time.Now())
		got, err := w.ReadWebhook(header, body)
		if c.want == "" {
			require.ErrorIs(t, err, payment.ErrOtherEvent, c.kind)
			continue
		}
		require.NoError(t, err, c.kind)
		require.Equal(t, c.want, got.Type)
		require.Equal(t, "evt_1", got.ID)
		require.Equal(t, "k", got.Payment.Key)
		require.Equal(t, "pi_1", got.Payment.ProviderRef)
		require.Equal(t, time.Unix(1_700_000_000, 0).UTC(), got.At)
		switch c.want {
		case payment.EventFailed:
			require.Equal(t, payment.InsufficientFunds, got.Payment.DeclineCode)
		case payment.EventRefunded:
			require.Equal(t, "r", got.Refund.Key)
			require.EqualValues(t, 250, got.Refund.AmountMinor)
		default:
		}
	}
}

// TestForgedEvents: an event that is not signed by Stripe, or not now, is refused with a code.
func TestForgedEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // its clock stands still
		w := Webhooks{Secrets: []string{"whsec_of_an_earlier_endpoint", endpointSecret}}
		object := intentObject("succeeded", nil)
		for _, c := range []struct {
			secret string
			at     time.Duration
			code   problem.Code
		}{
			{endpointSecret, 0, ""},
			{endpointSecret, -webhook.Tolerance, ""},
			{endpointSecret, webhook.Tolerance, ""},
			{endpointSecret, -webhook.Tolerance - time.Second, webhook.CodeTooOld},
			{endpointSecret, webhook.Tolerance + time.Second, webhook.CodeTooNew},
			{"whsec_of_another", 0, webhook.CodeSignatureInvalid},
		} {
			header, body := signed(t, "payment_intent.succeeded", object, c.secret, time.Now().Add(c.at))
			_, err := w.ReadWebhook(header, body)
			requireCode(t, c.code, err)
		}

		header, body := signed(t, "payment_intent.succeeded", object, endpointSecret, time.Now())
		_, err := w.ReadWebhook(header, append(body, ' '))
		requireCode(t, webhook.CodeSignatureInvalid, err)
		_, err = Webhooks{}.ReadWebhook(header, body)
		requireCode(t, webhook.CodeSignatureInvalid, err)
		_, err = w.ReadWebhook(http.Header{}, body)
		requireCode(t, webhook.CodeHeaderMissing, err)
		_, err = w.ReadWebhook(http.Header{"Stripe-Signature": {"nonsense"}}, body)
		requireCode(t, webhook.CodeHeaderInvalid, err)
		for _, content := range []string{"no JSON", `{"object":"event"}`, `{}`} {
			s := stripewebhook.GenerateTestSignedPayload(&stripewebhook.UnsignedPayload{
				Payload:   []byte(content),
				Secret:    endpointSecret,
				Timestamp: time.Now(),
			})
			_, err = w.ReadWebhook(http.Header{"Stripe-Signature": {s.Header}}, []byte(content))
			requireCode(t, webhook.CodeContentInvalid, err)
		}
	})
}

func requireCode(t *testing.T, want problem.Code, err error) {
	t.Helper()
	if want == "" {
		require.NoError(t, err)
		return
	}
	var p *problem.Problem
	require.ErrorAs(t, err, &p)
	require.Equal(t, want, p.Code, fmt.Sprint(err))
}
