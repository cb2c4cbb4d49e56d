package sandbox

import (
	"encoding/json"
	"net/http"

	"holdfast/internal/payment"
	"holdfast/internal/webhook"
)

// Webhooks reads the webhooks of the sandbox. It implements payment.Webhooks.
type Webhooks struct {
	Keys webhook.Keys
}

var _ payment.Webhooks = Webhooks{}

// ReadWebhook implements payment.Webhooks.
func (w Webhooks) ReadWebhook(header http.Header, body []byte) (payment.Event, error) {
	message, err := w.Keys.Verify(header, body)
	if err != nil {
		return payment.Event{}, err
	}
	var in WebhookBody
	if err := json.Unmarshal(message.Body, &in); err != nil || in.Data.Payment.Key == "" {
		return payment.Event{}, webhook.Table.New(webhook.CodeContentInvalid, "the body is no event of the payment sandbox")
	}
	return payment.Event{
		ID:      message.ID,
		Type:    in.Type,
		At:      in.Timestamp,
		Payment: in.Data.Payment,
		Refund:  in.Data.Refund,
	}, nil
}
