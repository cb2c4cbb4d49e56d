package server

import (
	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/correlation"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

// PayOrder asks the order's workflow to pay and waits for the outcome.
func (h *handlers) PayOrder(c *gin.Context, id uuid.UUID, params orderapi.PayOrderParams) {
	var body orderapi.PayOrder
	key, ok := h.begin(c, id, &body, params.IdempotencyKey)
	if !ok {
		return
	}
	res, err := h.workflows.Pay(c.Request.Context(), id, key, orderflow.PayInput{
		Method: body.PaymentMethod, Actor: auth.From(c).Subject, CorrelationID: correlation.From(c.Request.Context()),
	})

	if err == nil && res.Outcome == orderflow.PayActionRequired && res.Method == body.PaymentMethod {
		err = orderclient.ErrUnderWay
	}
	h.answerOrder(c, id, order.Pay, err, func(row orderstore.Order) error {
		if res.Method != body.PaymentMethod {
			return keyReused(id)
		}
		if res.Outcome == orderflow.PayCaptured {
			return nil
		}
		code, detail := unpaid(res)
		p := forOrder(code, detail, row)
		p.Retryable = p.Retryable && params.IdempotencyKey == "" // the outcome of a key is final
		return p
	})
}

// unpaid returns the problem of a payment that took nothing.
func unpaid(res orderflow.PayResult) (problem.Code, string) {
	switch res.Outcome {
	case orderflow.PayDeclined:
		if res.View.State == order.Failed {
			return orderapi.PaymentDeclined, "declined (" + res.Reason + ") for the last time; " +
				"the order has ended and nothing was taken"
		}
		return orderapi.PaymentDeclined, "declined (" + res.Reason + "); nothing was taken; " +
			"try another payment method before the order expires"
	case orderflow.PayExpired:
		return orderapi.OrderExpired, "the order expired before it was paid; nothing was taken; place a new order"
	case orderflow.PayCancelled:
		return orderapi.InvalidState, "the order was cancelled before it was paid; nothing was taken"
	case orderflow.PayUnavailable:
		if res.View.State.Closed() {
			return orderapi.OrderExpired, "the payment provider did not answer before the order expired; " +
				"nothing will be taken; place a new order"
		}
		return orderapi.PaymentUnavailable, "the payment provider did not answer; nothing was taken; try again"
	case orderflow.PayCaptured, orderflow.PayFailed, orderflow.PayActionRequired:
		return orderapi.PaymentFailed, res.Reason
	default:
		return orderapi.PaymentFailed, res.Reason
	}
}
