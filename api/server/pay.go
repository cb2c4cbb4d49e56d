package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/correlation"
	"holdfast/internal/httpx"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
	"holdfast/workflows/orderflow"
)

const (
	// payBudget is how long /pay waits for the outcome before it answers 202.
	payBudget = 8 * time.Second
	// acceptBudget bounds the question whether the payment is durable, once payBudget is over.
	acceptBudget = time.Second
)

// PayOrder asks the order's workflow to pay and waits for the outcome.
func (h *handlers) PayOrder(c *gin.Context, id uuid.UUID, params orderapi.PayOrderParams) {
	var body orderapi.PayOrder
	if err := httpx.DecodeJSON(c, &body); err != nil {
		httpx.Fail(c, err)
		return
	}
	key := params.IdempotencyKey
	if key == "" {
		key = uuid.NewString()
	}
	if !printable(key) {
		httpx.Fail(c, problem.Invalid("Idempotency-Key", "use printable ASCII characters without spaces"))
		return
	}
	if _, ok := h.owned(c, id); !ok {
		return
	}
	update := client.UpdateWorkflowOptions{
		WorkflowID: orderflow.OrderWorkflowID(id), UpdateID: "pay-" + key, UpdateName: orderflow.UpdatePay,
		Args: []any{orderflow.PayInput{
			Method: body.PaymentMethod, Actor: auth.From(c).Subject, CorrelationID: correlation.From(c.Request.Context()),
		}},
	}
	res, err := h.pay(c.Request.Context(), update)
	h.answerPaid(c, id, res, err)
}

// errUnderWay says that a payment is accepted, and so durable, but has no outcome yet.
var errUnderWay = errors.New("the payment is under way")

func (h *handlers) pay(ctx context.Context, update client.UpdateWorkflowOptions) (orderflow.PayResult, error) {
	var out orderflow.PayResult
	wait, cancel := context.WithTimeout(ctx, payBudget)
	defer cancel()
	update.WaitForStage = client.WorkflowUpdateStageCompleted
	handle, err := h.temporal.UpdateWorkflow(wait, update)
	if err == nil {
		err = handle.Get(wait, &out)
	}
	if err == nil || !timedOut(err) {
		return out, err
	}
	// Only an accepted update is in the history. The same id asks again without paying twice.
	ask, cancelAsk := context.WithTimeout(ctx, acceptBudget)
	defer cancelAsk()
	update.WaitForStage = client.WorkflowUpdateStageAccepted
	if _, aerr := h.temporal.UpdateWorkflow(ask, update); aerr == nil {
		return out, errUnderWay
	}
	return out, err
}

func timedOut(err error) bool {
	var timeout *client.WorkflowUpdateServiceTimeoutOrCanceledError
	var deadline *serviceerror.DeadlineExceeded
	return errors.As(err, &timeout) || errors.As(err, &deadline) || errors.Is(err, context.DeadlineExceeded)
}

func (h *handlers) answerPaid(c *gin.Context, id uuid.UUID, res orderflow.PayResult, err error) {
	var refused *temporal.ApplicationError
	var gone *serviceerror.NotFound
	if err != nil && !errors.Is(err, errUnderWay) && !errors.As(err, &refused) && !errors.As(err, &gone) {
		h.log.WarnContext(c.Request.Context(), "a payment was not accepted", "order_id", id, "error", err)
		httpx.Fail(c, orderapi.Table.New(problem.Unavailable, "the payment was not accepted; nothing was taken; try again"))
		return
	}
	row, rerr := h.store.Get(c.Request.Context(), id)
	if rerr != nil {
		h.fail(c, rerr)
		return
	}
	switch {
	case errors.Is(err, errUnderWay):
		c.Header("Location", "/api/orders/"+id.String())
		c.JSON(http.StatusAccepted, wireOrder(row))
	case refused != nil:
		httpx.Fail(c, forOrder(problem.Code(refused.Type()), refused.Message(), row))
	case gone != nil: // the workflow has ended, so the row is final
		code, detail := orderapi.InvalidState, fmt.Sprintf("the order is %s and cannot be paid", row.State)
		if row.State == string(order.Expired) {
			code, detail = orderapi.OrderExpired, "the order has expired; place a new one"
		}
		httpx.Fail(c, forOrder(code, detail, row))
	case res.Outcome == orderflow.PayCaptured:
		c.JSON(http.StatusOK, wireOrder(row))
	default:
		code, detail := unpaid(res)
		httpx.Fail(c, forOrder(code, detail, row))
	}
}

// unpaid names the problem of a payment that took nothing.
func unpaid(res orderflow.PayResult) (problem.Code, string) {
	switch res.Outcome {
	case orderflow.PayDeclined:
		if res.View.State == order.Failed {
			return orderapi.PaymentDeclined, "declined (" + res.Reason + ") for the last time; the order has ended and nothing was taken"
		}
		return orderapi.PaymentDeclined, "declined (" + res.Reason + "); nothing was taken; try another payment method before the order expires"
	case orderflow.PayExpired:
		return orderapi.OrderExpired, "the order expired before it was paid; nothing was taken; place a new one"
	case orderflow.PayUnavailable:
		return orderapi.PaymentUnavailable, "the payment provider did not answer; nothing was taken; try again"
	}
	return orderapi.PaymentFailed, res.Reason
}

func forOrder(code problem.Code, detail string, row orderstore.Order) error {
	p := orderapi.Table.New(code, "%s", detail)
	p.OrderID, p.CurrentStatus = row.OrderID.String(), row.State
	if row.ExpiresAt != nil {
		p.ExpiresAt = row.ExpiresAt.UTC().Format(time.RFC3339)
	}
	return p
}
