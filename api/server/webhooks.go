package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"holdfast/api/orderapi"
	"holdfast/internal/correlation"
	"holdfast/internal/httpx"
	"holdfast/internal/orderstore"
	"holdfast/internal/payment"
	"holdfast/internal/problem"
	"holdfast/internal/webhook"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

// PaymentWebhookPath is where the payment provider sends its events. The route is public: the provider signs. It is no
// part of the contract in openapi.yaml, because the provider says what its body is.
const PaymentWebhookPath = "/webhooks/payments"

// paymentWebhooks receives the events of the payment provider.
type paymentWebhooks struct {
	*handlers
	provider payment.Webhooks
	sentBack prometheus.Counter
}

func newPaymentWebhooks(h *handlers, reg prometheus.Registerer) *paymentWebhooks {
	w := &paymentWebhooks{handlers: h, sentBack: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "payment_refunds_sent_back_total",
		Help: "Webhooks of the payment provider about a refund that the bank has sent back.",
	})}
	reg.MustRegister(w.sentBack)
	return w
}

// receive answers 200 for an event that was processed or that concerns no order, so that the provider stops. For any
// other answer the provider sends the event again.
func (h *paymentWebhooks) receive(c *gin.Context) {
	body, err := webhook.ReadBody(c.Request, webhook.MaxBody)
	var event payment.Event
	if err == nil {
		event, err = h.provider.ReadWebhook(c.Request.Header, body)
	}
	if errors.Is(err, payment.ErrOtherEvent) {
		c.Status(http.StatusOK)
		return
	}
	if err != nil {
		httpx.Fail(c, err)
		return
	}

	err = webhook.Once(c.Request.Context(), h.store, "payments", event.ID, func(ctx context.Context) error {
		return h.process(ctx, event)
	})
	switch {
	case err == nil, errors.Is(err, webhook.ErrReplayed):
		c.Status(http.StatusOK)
	default:
		h.log.ErrorContext(c.Request.Context(), "an event of the payment provider was not processed",
			"event_id", event.ID, "type", event.Type, "payment_key", event.Payment.Key, "error", err)
		httpx.Fail(c, orderapi.Table.New(problem.Unavailable, "the event was not processed; send it again"))
	}
}

// process brings an event to the order's workflow, if the workflow does not know it already. An event never decides
// anything: the workflow looks the payment up. So events may come early, late, twice and in any order.
//
//   - An order that waits for an action of the customer is told that there is news.
//   - Money that is set aside or taken for an order that has ended without it is a payment that came too late. The
//     order's workflow is started again; it voids or refunds every payment that did not pay for the order.
//   - A refund that the bank has sent back is a matter for a person: it is counted for an alert, and logged. The audit
//     reports the order as long as it asks the provider about it.
//   - Every other event is an echo of the workflow's own calls.
func (h *paymentWebhooks) process(ctx context.Context, event payment.Event) error {
	id, ok := orderflow.OrderOfPayment(event.Payment.Key)
	if !ok {
		return nil
	}
	row, err := h.store.Get(ctx, id)
	if errors.Is(err, orderstore.ErrNotFound) {
		h.log.WarnContext(ctx, "the payment provider tells of a payment of no order", "payment_key", event.Payment.Key)
		return nil
	}
	switch {
	case err != nil:
		return err
	case event.Type == payment.EventRefundFailed:
		h.sentBack.Inc()
		about := []any{"order_id", id, "order_number", row.Number, "payment_key", event.Payment.Key}
		if r := event.Refund; r != nil {
			about = append(about, "refund_key", r.Key, "provider_ref", r.ProviderRef, "amount_minor", r.AmountMinor)
		}
		h.log.ErrorContext(ctx, "the bank has sent a refund back; pay the customer by other means", about...)
		return nil
	case row.ActionURL != "":
		return h.tellOfPayment(ctx, id, event)
	case row.State.Closed() && tookMoney(event.Type) && !h.knows(row, event):
		h.log.WarnContext(ctx, "a payment came after its order had ended; it is given back",
			"order_id", id, "payment_key", event.Payment.Key, "type", event.Type)
		_, err := h.workflows.TakeUpOrder(ctx, orderstore.InputOf(row))
		return err
	}
	return nil
}

// tellOfPayment tells an order that the provider has news. An order that waits no longer needs none.
func (h *paymentWebhooks) tellOfPayment(ctx context.Context, id uuid.UUID, event payment.Event) error {
	err := h.workflows.PaymentChanged(ctx, id, event.ID, orderflow.PaymentChangedInput{
		PaymentKey: event.Payment.Key, CorrelationID: correlation.From(ctx),
	})
	if orderclient.RefusalKind(err) != "" || errors.Is(err, orderclient.ErrEnded) {
		return nil
	}
	return err
}

// tookMoney reports whether the event says that money of the customer is set aside or taken.
func tookMoney(t payment.EventType) bool {
	return t == payment.EventAuthorised || t == payment.EventCaptured
}

// knows reports whether the order has recorded how the payment ended.
func (h *paymentWebhooks) knows(row orderstore.Order, event payment.Event) bool {
	for _, p := range row.Payments {
		if orderflow.PaymentKey(row.OrderID, p.Attempt) == event.Payment.Key && p.State != orderflow.PaymentAuthorised {
			return true
		}
	}
	return false
}
