package server

import (
	"context"
	"errors"

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

// CancelOrder asks the order's workflow to cancel the order. It needs no key to be idempotent: a repeated request finds
// the order cancelled.
func (h *handlers) CancelOrder(c *gin.Context, id uuid.UUID) {
	var body orderapi.CancelOrder
	if _, err := httpx.DecodeOptionalJSON(c, &body); err != nil {
		httpx.Fail(c, err)
		return
	}
	row, ok := h.owned(c, id)
	if !ok {
		return
	}
	in := orderflow.CancelInput{
		Actor: auth.From(c).Subject, Reason: body.Reason, CorrelationID: correlation.From(c.Request.Context()),
	}
	err := orderstore.ErrNotFound
	if row.Waits() { // the workflow starts with the cancellation, so that it takes no money first
		err = h.starter.Hurry(c.Request.Context(), id, func(ctx context.Context, placed orderflow.OrderInput) error {
			_, err := h.workflows.CancelNew(ctx, placed, in)
			return err
		})
	}
	if errors.Is(err, orderstore.ErrNotFound) {
		_, err = h.workflows.Cancel(c.Request.Context(), id, in)
	}
	h.answerOrder(c, id, order.Cancel, err, func(row orderstore.Order) error {
		if row.State != order.Cancelled { // the workflow was reset, and its earlier run had settled the order
			return afterTheEnd(row, order.Cancel)
		}
		return nil
	})
}
