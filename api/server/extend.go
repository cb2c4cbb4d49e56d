package server

import (
	"fmt"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/correlation"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/workflows/orderflow"
)

// ExtendOrder asks the order's workflow to hold the stock for longer.
func (h *handlers) ExtendOrder(c *gin.Context, id uuid.UUID, params orderapi.ExtendOrderParams) {
	var body orderapi.Extend
	key, ok := h.begin(c, id, &body, params.IdempotencyKey)
	if !ok {
		return
	}
	res, err := h.workflows.Extend(c.Request.Context(), id, key, orderflow.ExtendInput{
		TTLSeconds: body.TTLSeconds, Actor: auth.From(c).Subject, CorrelationID: correlation.From(c.Request.Context()),
	})

	h.answerOrder(c, id, order.Extend, err, func(row orderstore.Order) error {
		if res.TTLSeconds != body.TTLSeconds {
			return keyReused(id)
		}
		switch res.Outcome {
		case orderflow.ExtendTooLate:
			return forOrder(orderapi.OrderExpired, "the order had expired; place a new one", row)
		case orderflow.ExtendUnavailable:
			detail := "inventory did not answer; look at expires_at and try again, with a new key if you gave one"
			p := forOrder(orderapi.InventoryUnavailable, detail, row)
			p.Retryable = params.IdempotencyKey == "" // the outcome of a key is final
			return p
		case orderflow.ExtendClosed:
			return forOrder(orderapi.InvalidState, row.Reason, row)
		case orderflow.Extended:
			return nil
		default:
			return fmt.Errorf("the workflow of order %s answered an unknown outcome %q", id, res.Outcome)
		}
	})
}
