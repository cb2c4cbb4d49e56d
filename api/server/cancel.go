package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/correlation"
	"holdfast/internal/httpx"
	"holdfast/internal/money"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

// CancelOrder asks the order's workflow to cancel the order, or some of its units. The whole order needs no key: a
// repeated request finds it cancelled.
func (h *handlers) CancelOrder(c *gin.Context, id uuid.UUID, params orderapi.CancelOrderParams) {
	var body orderapi.CancelOrder
	if _, err := httpx.DecodeOptionalJSON(c, &body); err != nil {
		httpx.Fail(c, err)
		return
	}
	request, err := orderflow.RequestHash(body)
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	lines := orderflow.CancelLinesInput{
		Request:       request,
		Lines:         lineQuantities(body.Lines),
		Reason:        body.Reason,
		Key:           params.IdempotencyKey,
		Actor:         auth.From(c).Subject,
		CorrelationID: correlation.From(c.Request.Context()),
	}
	switch {
	case params.Preview:
		h.previewCancel(c, id, lines)
	case len(body.Lines) > 0:
		h.changePaid(c, id, order.CancelLines, params.IdempotencyKey, func(ctx context.Context, key string) error {
			out, err := h.workflows.CancelLines(ctx, id, key, lines)
			return sameRequest(request, out, err)
		})
	default:
		h.cancelWhole(c, id, orderflow.CancelInput{
			Actor: lines.Actor, Reason: lines.Reason, CorrelationID: lines.CorrelationID,
		})
	}
}

func (h *handlers) cancelWhole(c *gin.Context, id uuid.UUID, in orderflow.CancelInput) {
	row, ok := h.owned(c, id)
	if !ok {
		return
	}
	err := orderstore.ErrNotFound
	if row.Waits() { // the workflow starts with the cancellation, so that it takes no money first
		err = h.starter.Hurry(c.Request.Context(), id, func(ctx context.Context, placed orderflow.OrderInput) error {
			_, err := h.workflows.CancelNew(ctx, placed, in)
			return err
		})
	}
	if errors.Is(err, orderstore.ErrNotFound) {
		err = h.sendToPaid(c.Request.Context(), row, func(ctx context.Context) error {
			_, err := h.workflows.Cancel(ctx, id, in)
			return err
		})
	}
	h.answerOrder(c, id, order.Cancel, err, func(row orderstore.Order) error {
		if row.State != order.Cancelled { // the workflow was reset, and its earlier run had settled the order
			return forOrder(orderapi.InvalidState, fmt.Sprintf("the order is %s", row.State), row)
		}
		return nil
	})
}

// previewCancel answers the order with what a cancellation would do to it.
func (h *handlers) previewCancel(c *gin.Context, id uuid.UUID, in orderflow.CancelLinesInput) {
	row, ok := h.owned(c, id)
	if !ok {
		return
	}
	if row.Waits() { // nothing is reserved yet
		h.answerPreview(c, row, orderflow.CancelPreview{Status: order.Cancelled})
		return
	}
	preview, err := h.workflows.PreviewCancel(c.Request.Context(), id, in)
	switch {
	case errors.Is(err, orderclient.ErrEnded):
		httpx.Fail(c, afterTheEnd(row, order.Cancel))
	case err != nil:
		h.log.WarnContext(c.Request.Context(), "no preview of a cancellation",
			"order_id", id, "order_number", row.Number, "error", err)
		httpx.Fail(c, orderapi.Table.New(problem.Unavailable, "the order's processing did not answer; try again"))
	case preview.Refusal != "":
		httpx.Fail(c, forOrder(problem.Code(preview.Refusal), preview.Detail, row))
	default:
		h.answerPreview(c, row, preview)
	}
}

func (h *handlers) answerPreview(c *gin.Context, row orderstore.Order, preview orderflow.CancelPreview) {
	out := wireOrder(row)
	out.Preview = orderapi.CancelPreview{
		Status: orderapi.OrderStatus(preview.Status),
		Refund: money.Amount{Minor: preview.RefundMinor, Currency: row.Total.Currency},
		Lines:  []orderapi.LineQuantity{},
	}
	for _, l := range preview.Lines {
		out.Preview.Lines = append(out.Preview.Lines, orderapi.LineQuantity(l))
	}
	c.JSON(http.StatusOK, out)
}
