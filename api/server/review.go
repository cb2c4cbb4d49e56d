package server

import (
	"context"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/correlation"
	"holdfast/internal/httpx"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/workflows/orderflow"
)

// ApproveOrder approves an order that waits for review.
func (h *handlers) ApproveOrder(c *gin.Context, id uuid.UUID) {
	var body orderapi.ApproveOrder
	if _, err := httpx.DecodeOptionalJSON(c, &body); err != nil {
		httpx.Fail(c, err)
		return
	}
	in := orderflow.ApproveInput{
		Actor: auth.From(c).Subject, Reason: body.Reason, CorrelationID: correlation.From(c.Request.Context()),
	}
	h.changePaid(c, id, order.Approve, "", func(ctx context.Context, key string) error {
		_, err := h.workflows.Approve(ctx, id, key, in)
		return err
	})
}

// RejectOrder cancels an order that waits for review. Stock goes back; nothing was paid.
func (h *handlers) RejectOrder(c *gin.Context, id uuid.UUID) {
	var body orderapi.RejectOrder
	if err := httpx.DecodeJSON(c, &body); err != nil {
		httpx.Fail(c, err)
		return
	}
	row, ok := h.owned(c, id)
	if !ok {
		return
	}
	if row.State != order.InReview && row.State != order.Cancelled {
		httpx.Fail(c, forOrder(orderapi.InvalidState, "the order does not wait for review; cancel it instead", row))
		return
	}
	_, err := h.workflows.Cancel(c.Request.Context(), id, orderflow.CancelInput{
		Actor: auth.From(c).Subject, Reason: body.Reason, CorrelationID: correlation.From(c.Request.Context()),
	})
	h.answerOrder(c, id, order.Cancel, err, func(orderstore.Order) error { return nil })
}
