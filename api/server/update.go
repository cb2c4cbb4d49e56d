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
	"holdfast/internal/httpx"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
)

const (
	// updateBudget is how long a request waits for the outcome of an update before it answers 202.
	updateBudget = 8 * time.Second
	// acceptBudget bounds the question whether the update is durable, once updateBudget is over.
	acceptBudget = time.Second
)

// errUnderWay says that an update is accepted, and so durable, but has no outcome yet.
var errUnderWay = errors.New("the update is under way")

// begin reads what every request to change an order begins with: its body into body, and its key. It
// reports false when it has answered, also because the caller may not see the order.
func (h *handlers) begin(c *gin.Context, id uuid.UUID, body any, given string) (key string, ok bool) {
	err := httpx.DecodeJSON(c, body)
	if err == nil {
		key, err = idempotencyKey(given)
	}
	if err != nil {
		httpx.Fail(c, err)
		return "", false
	}
	_, ok = h.owned(c, id)
	return key, ok
}

// update asks a workflow and waits for the outcome. errUnderWay: it will be carried out, later. A
// *temporal.ApplicationError is the workflow's refusal, *serviceerror.NotFound means that the workflow
// has ended; after any other error nobody knows, and the same update id asks again without acting twice.
func (h *handlers) update(ctx context.Context, o client.UpdateWorkflowOptions, out any) error {
	wait, cancel := context.WithTimeout(ctx, updateBudget)
	defer cancel()
	o.WaitForStage = client.WorkflowUpdateStageCompleted
	handle, err := h.temporal.UpdateWorkflow(wait, o)
	if err == nil {
		err = handle.Get(wait, out)
	}
	if err == nil || !timedOut(err) {
		return err
	}
	// Only an accepted update is in the history.
	ask, cancelAsk := context.WithTimeout(ctx, acceptBudget)
	defer cancelAsk()
	o.WaitForStage = client.WorkflowUpdateStageAccepted
	if _, aerr := h.temporal.UpdateWorkflow(ask, o); aerr == nil {
		return errUnderWay
	}
	return err
}

func timedOut(err error) bool {
	var timeout *client.WorkflowUpdateServiceTimeoutOrCanceledError
	var deadline *serviceerror.DeadlineExceeded
	return errors.As(err, &timeout) || errors.As(err, &deadline) || errors.Is(err, context.DeadlineExceeded)
}

// unknown reports whether err leaves open what became of an update.
func unknown(err error) bool {
	var refused *temporal.ApplicationError
	var gone *serviceerror.NotFound
	return err != nil && !errors.Is(err, errUnderWay) && !errors.As(err, &refused) && !errors.As(err, &gone)
}

// answerOrder answers what became of an update to an order, by the order's row as it stands then.
// outcome turns the update's own result into a problem, or nil for 200.
func (h *handlers) answerOrder(c *gin.Context, id uuid.UUID, input order.Input, err error, outcome func(orderstore.Order) error) {
	if unknown(err) {
		h.log.WarnContext(c.Request.Context(), "an update was not accepted", "order_id", id, "input", input, "error", err)
		httpx.Fail(c, orderapi.Table.New(problem.Unavailable, "it is not known whether the request was accepted; send it again with the same Idempotency-Key"))
		return
	}
	row, rerr := h.row(c, id)
	if rerr != nil {
		h.fail(c, rerr)
		return
	}
	var refused *temporal.ApplicationError
	switch {
	case errors.Is(err, errUnderWay):
		c.Header("Location", orderLocation(id))
		c.JSON(http.StatusAccepted, wireOrder(row))
		return
	case errors.As(err, &refused):
		err = forOrder(problem.Code(refused.Type()), refused.Message(), row)
	case err != nil:
		err = afterTheEnd(row, input)
	default:
		err = outcome(row)
	}
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	c.JSON(http.StatusOK, wireOrder(row))
}

// afterTheEnd is the answer to a request that came after the order's workflow had ended, by the same
// table by which the workflow would have answered.
func afterTheEnd(row orderstore.Order, input order.Input) error {
	rule := order.Decide(order.State(row.State), input)
	switch {
	case rule.Repeated:
		return nil
	case rule.Refusal == order.Overdue:
		return forOrder(orderapi.OrderExpired, "the order has expired; place a new one", row)
	case rule.Refusal == "":
		return forOrder(orderapi.InvalidState, "an operator has terminated the order's workflow, and can take it up again by a reset", row)
	}
	return forOrder(orderapi.InvalidState, fmt.Sprintf("the order is %s and its processing has ended", row.State), row)
}

func forOrder(code problem.Code, detail string, row orderstore.Order) *problem.Problem {
	p := orderapi.Table.New(code, "%s", detail)
	p.OrderID, p.CurrentStatus = row.OrderID.String(), row.State
	if code == orderapi.InvalidDuration {
		p.Field = "ttl_seconds" // the one duration of a request
	}
	if row.ExpiresAt != nil && order.State(row.State).Holding() {
		p.ExpiresAt = row.ExpiresAt.UTC().Format(time.RFC3339)
	}
	return p
}

func orderLocation(id uuid.UUID) string { return "/api/orders/" + id.String() }

// idempotencyKey is the given key, or a new one where none was given.
func idempotencyKey(given string) (string, error) {
	if given == "" {
		return uuid.NewString(), nil
	}
	for _, r := range given {
		if r <= ' ' || r > '~' {
			return "", problem.Invalid("Idempotency-Key", "use printable ASCII characters without spaces")
		}
	}
	return given, nil
}
