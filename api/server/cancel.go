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
	if row.Waits() { // the workflow must run to cancel the order
		ctx, cancel := context.WithTimeout(c.Request.Context(), createTimeout)
		defer cancel()
		if err := h.starter.Hurry(ctx, id); err != nil && !errors.Is(err, orderstore.ErrNotFound) {
			h.log.WarnContext(ctx, "cannot start an order to cancel it", "order_id", id, "error", err)
		}
	}

	_, err := h.workflows.Cancel(c.Request.Context(), id, orderflow.CancelInput{
		Actor: auth.From(c).Subject, Reason: body.Reason, CorrelationID: correlation.From(c.Request.Context()),
	})
	h.answerOrder(c, id, order.Cancel, err, func(row orderstore.Order) error {
		if row.State != order.Cancelled { // the workflow was reset, and its earlier run had settled the order
			return afterTheEnd(row, order.Cancel)
		}
		return nil
	})
}
