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
	"holdfast/workflows/orderflow"
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

// errEnded says that the workflow ended before it gave the update an outcome, or that there is no such workflow.
var errEnded = errors.New("the workflow has ended")

// update asks a workflow and waits for the outcome. The error is errUnderWay when the update is accepted and will be
// carried out later, a *refusalError when the workflow refused it, and errEnded when no workflow will answer it. After
// any other error the outcome is unknown, and the same update id asks again without acting twice.
func (h *handlers) update(ctx context.Context, o client.UpdateWorkflowOptions, out any) error {
	wait, cancel := context.WithTimeout(ctx, updateBudget)
	defer cancel()
	o.WaitForStage = client.WorkflowUpdateStageCompleted
	handle, err := h.temporal.UpdateWorkflow(wait, o)
	if err == nil {
		err = handle.Get(wait, out)
	}
	if err == nil || !timedOut(err) {
		return outcome(err)
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

// acceptedThenClosed is the type of the failure that the Temporal server gives to an update which a workflow had
// accepted when it was closed from outside, by a termination for example.
const acceptedThenClosed = "AcceptedUpdateCompletedWorkflow"

// refusalError is a workflow's own answer that it does not do what was asked. kind is one of the codes in
// orderapi.Table or an error type of orderflow's; detail is written for clients.
type refusalError struct{ kind, detail string }

func (e *refusalError) Error() string { return e.kind + ": " + e.detail }

// outcome sorts the error of an update into refusals, errEnded, and the rest, which leaves the outcome open. Only
// refusals carry words that a client may read.
func outcome(err error) error {
	var failed *temporal.ApplicationError
	var gone *serviceerror.NotFound
	switch {
	case errors.As(err, &gone):
		return fmt.Errorf("%w: %w", errEnded, err)
	case !errors.As(err, &failed):
		return err
	case failed.Type() == acceptedThenClosed:
		return fmt.Errorf("%w: %w", errEnded, err)
	case failed.Type() == orderflow.ErrRecordImpossible, failed.Type() == orderflow.ErrRecordConflict:
		return &refusalError{kind: string(orderapi.OrderRejected), detail: "the order cannot be recorded and was undone: nothing is held and nothing is taken; place it anew, under another key"}
	case refuses(failed.Type()):
		return &refusalError{kind: failed.Type(), detail: failed.Message()}
	}
	return err
}

// refuses reports whether our workflows refuse an update with this type of error. All others come from the SDK or
// the server.
func refuses(kind string) bool {
	switch kind {
	case orderflow.ErrReservationClosed, orderflow.ErrReservationExpired, orderflow.ErrReservationRefused:
		return true
	}
	_, listed := orderapi.Table[problem.Code(kind)]
	return listed
}

// refusedAs returns the kind of the workflow's refusal, or "" where err is none.
func refusedAs(err error) string {
	var refused *refusalError
	if errors.As(err, &refused) {
		return refused.kind
	}
	return ""
}

// unknown reports whether err leaves the outcome of an update open.
func unknown(err error) bool {
	return err != nil && !errors.Is(err, errUnderWay) && !errors.Is(err, errEnded) && refusedAs(err) == ""
}

// answerOrder answers what became of an update to an order, by the order's row as it stands then.
// result turns the update's own result into a problem, or nil for 200.
func (h *handlers) answerOrder(c *gin.Context, id uuid.UUID, input order.Input, err error, result func(orderstore.Order) error) {
	if unknown(err) {
		h.log.WarnContext(c.Request.Context(), "an update was not accepted", "order_id", id, "input", input, "error", err)
		again := "send it again"
		if input != order.Cancel { // which takes no key, and is idempotent by itself
			again += ", with the same Idempotency-Key if you gave one"
		}
		httpx.Fail(c, orderapi.Table.New(problem.Unavailable, "it is not known whether the request was accepted; %s", again))
		return
	}
	row, rerr := h.row(c, id)
	if rerr != nil {
		h.fail(c, rerr)
		return
	}
	var refused *refusalError
	switch {
	case errors.Is(err, errUnderWay):
		c.Header("Location", orderLocation(id))
		c.JSON(http.StatusAccepted, wireOrder(row))
		return
	case errors.As(err, &refused):
		err = forOrder(problem.Code(refused.kind), refused.detail, row)
	case err != nil:
		err = afterTheEnd(row, input)
	default:
		err = result(row)
	}
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	c.JSON(http.StatusOK, wireOrder(row))
}

// afterTheEnd is the answer to a request that no workflow will answer. For an order that has ended it follows the
// table by which the workflow would have answered. An order that is still open has lost its workflow: an operator
// terminated or deleted it.
func afterTheEnd(row orderstore.Order, input order.Input) error {
	state := order.State(row.State)
	if order.Decide(state, order.Cancel).To != "" { // it can still be called off, so it has not ended
		p := stopped(row.OrderID)
		p.CurrentStatus = row.State
		return p
	}
	rule := order.Decide(state, input)
	switch {
	case rule.Repeated:
		return nil
	case rule.Refusal == order.Overdue:
		return forOrder(orderapi.OrderExpired, "the order has expired; place a new one", row)
	}
	return forOrder(orderapi.InvalidState, fmt.Sprintf("the order is %s and its processing has ended", row.State), row)
}

// stopped is the answer for an order that has not ended and has no running workflow, or that has no row and will not get
// one. Whether a payment that was under way set money aside is not known here, so the text promises nothing about it.
func stopped(id uuid.UUID) *problem.Problem {
	p := orderapi.Table.New(orderapi.OrderStopped, "the shop has stopped the processing of this order; this request was not carried out; ask the shop, naming order %s", id)
	p.OrderID = id.String()
	return p
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
