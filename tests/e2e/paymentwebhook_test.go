package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/payment"
	"holdfast/internal/payment/sandbox"
	"holdfast/internal/webhook"
	"holdfast/tests/platform"
	"holdfast/workflows/orderflow"
)

// TestPaymentWebhooks runs the platform with a payment sandbox that sends its events to the api.
func TestPaymentWebhooks(t *testing.T) {
	s := platform.Start(t)
	s.TellOfPayments()
	for name, test := range map[string]func(*testing.T, *platform.Platform){
		"the customer confirms at the bank": confirmsAtTheBank,
		"the customer refuses at the bank":  refusesAtTheBank,
		"a payment that comes too late":     paymentTooLate,
		"a refund that the bank sends back": refundSentBack,
		"webhooks of others":                webhooksOfOthers,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s.For(t))
		})
	}
}

// toConfirm pays an order with a method that the customer must confirm, and returns the address for that.
func toConfirm(t *testing.T, s *platform.Platform) (id, address string) {
	t.Helper()
	id = s.Place("alice", http.StatusCreated, platform.OneLine(s.Product(2), 1)).Str("order_id")
	paid := s.Pay("alice", id, "pm_action_required")
	require.Equal(t, http.StatusAccepted, paid.Status, paid.Raw)
	require.Equal(t, "paying", paid.Str("status"))
	action, _ := paid.Body["payment_action"].(map[string]any)
	require.NotEmpty(t, action["url"], paid.Raw)
	return id, action["url"].(string)
}

// decide sends the form of the bank's page.
func decide(t *testing.T, address, decision string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	form := url.Values{"decision": {decision}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewBufferString(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Less(t, res.StatusCode, 400)
}

func confirmsAtTheBank(t *testing.T, s *platform.Platform) {
	id, address := toConfirm(t, s)
	again := s.Pay("alice", id, "pm_ok")
	require.Equal(t, "payment_in_progress", again.Str("code"), again.Raw)
	decide(t, address, "approve")
	done := s.Await("alice", id, "confirmed", 15*time.Second)
	require.NotContains(t, done.Body, "payment_action")
	require.Contains(t, s.Events("alice", id), "action_required")
}

func refusesAtTheBank(t *testing.T, s *platform.Platform) {
	id, address := toConfirm(t, s)
	decide(t, address, "refuse")
	s.Await("alice", id, "reserved", 15*time.Second)
	require.Equal(t, http.StatusOK, s.Pay("alice", id, "pm_ok").Status, "the customer tries another card")
}

// paymentTooLate authorises a payment of an order that has ended, as a provider may that was slow. It is voided.
func paymentTooLate(t *testing.T, s *platform.Platform) {
	id := s.Place("alice", http.StatusCreated, platform.OneLine(s.Product(2), 1)).Str("order_id")
	require.Equal(t, http.StatusOK, s.Act("alice", id, "cancel", nil).Status)
	key := orderflow.PaymentKey(uuid.MustParse(id), 1)
	_, err := s.Provider.Authorise(t.Context(), payment.Authorisation{
		Key: key, Method: "pm_ok", Amount: platform.Price, Reference: id,
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		late, err := s.Provider.Get(t.Context(), key)
		return err == nil && late.State == payment.Voided
	}, 15*time.Second, 50*time.Millisecond, "the money of a payment that came too late goes back")
	s.AwaitIdle(uuid.MustParse(id))
	s.Await("alice", id, "cancelled", time.Second)
}

// refundSentBack tells of a refund that the bank has sent back. The order stays as it is, and the api logs an error.
func refundSentBack(t *testing.T, s *platform.Platform) {
	id := s.Place("alice", http.StatusCreated, platform.OneLine(s.Product(2), 1)).Str("order_id")
	require.Equal(t, http.StatusOK, s.Pay("alice", id, "pm_ok").Status)
	body := told(t, payment.EventRefundFailed, uuid.MustParse(id))
	header := signed(t, platform.WebhookSecret, uuid.NewString(), time.Now(), body)
	require.Equal(t, http.StatusOK, sendWebhook(t, s, header, body))
	require.Contains(t, s.Process("api").Log(), "the bank has sent a refund back")
	s.Await("alice", id, "confirmed", time.Second)
}

// told is the webhook about the first payment of an order.
func told(t *testing.T, event payment.EventType, order uuid.UUID) []byte {
	t.Helper()
	body, err := json.Marshal(sandbox.WebhookBody{
		Type:      event,
		Timestamp: time.Now(),
		Data:      sandbox.WebhookData{Payment: payment.Payment{Key: orderflow.PaymentKey(order, 1)}},
	})
	require.NoError(t, err)
	return body
}

func signed(t *testing.T, secret, id string, at time.Time, body []byte) http.Header {
	t.Helper()
	keys, err := webhook.ParseKeys([]string{secret})
	require.NoError(t, err)
	header, err := keys.Sign(id, at, body)
	require.NoError(t, err)
	return header
}

// sendWebhook returns the status of the answer.
func sendWebhook(t *testing.T, s *platform.Platform, header http.Header, body []byte) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Gateway+"/webhooks/payments", bytes.NewReader(body))
	require.NoError(t, err)
	req.Header = header
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res.StatusCode
}

// webhooksOfOthers sends webhooks that are not signed, signed by another key, or of no order.
func webhooksOfOthers(t *testing.T, s *platform.Platform) {
	body := told(t, payment.EventCaptured, uuid.New())
	send := func(header http.Header) int { return sendWebhook(t, s, header, body) }
	signed := func(secret, id string, at time.Time) http.Header { return signed(t, secret, id, at, body) }
	id := uuid.NewString()
	require.Equal(t, http.StatusBadRequest, send(http.Header{}))
	require.Equal(t, http.StatusUnauthorized, send(signed(webhook.NewSecret(), id, time.Now())))
	require.Equal(t, http.StatusUnauthorized, send(signed(platform.WebhookSecret, id, time.Now().Add(-time.Hour))))
	for range 2 { // of no order, and the same again
		require.Equal(t, http.StatusOK, send(signed(platform.WebhookSecret, id, time.Now())))
	}
}
