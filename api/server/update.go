package server

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/api/orderapi"
	"holdfast/internal/httpx"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

// begin reads the body and the key of a request to change an order, and checks that the caller may see the order and
// that the order does not wait for its workflow. It reports false if it has answered the request.
func (h *handlers) begin(c *gin.Context, id uuid.UUID, body any, given string) (key string, ok bool) {
	err := httpx.DecodeJSON(c, body)
	if err == nil {
		key, err = idempotencyKey(given)
	}
	if err != nil {
		httpx.Fail(c, err)
		return "", false
	}
	row, ok := h.owned(c, id)
	if ok && row.Waits() {
		httpx.Fail(c, forOrder(problem.Code(order.NotReady), "the stock is not decided yet; try again shortly", row))
		return "", false
	}
	return key, ok
}

// answerOrder answers a request to update an order, by the order's row after the update. result turns the update's own
// result into a problem, or into nil for 200.
func (h *handlers) answerOrder(
	c *gin.Context, id uuid.UUID, input order.Input, err error, result func(orderstore.Order) error,
) {
	if orderclient.OutcomeUnknown(err) {
		h.log.WarnContext(c.Request.Context(), "an update was not accepted",
			"order_id", id, "input", input, "error", err)
		again := "send it again"
		if input != order.Cancel { // a cancellation takes no key, and is idempotent without one
			again += ", with the same Idempotency-Key if you gave one"
		}
		httpx.Fail(c, orderapi.Table.New(problem.Unavailable,
			"it is not known whether the request was accepted; %s", again))
		return
	}

	row, rerr := h.row(c, id)
	if rerr != nil {
		h.fail(c, rerr)
		return
	}

	var refused *orderclient.RefusedError
	switch {
	case errors.Is(err, orderclient.ErrUnderWay):
		c.Header("Location", orderLocation(id))
		c.JSON(http.StatusAccepted, wireOrder(row))
		return
	case errors.As(err, &refused):
		err = refusedOrder(refused, row)
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

// cannotRecord is the answer for an order that the orders database refuses for good.
const cannotRecord = "the order cannot be recorded and was undone: nothing is held and nothing is taken; " +
	"place it again under another key"

// refusedOrder returns the problem for a refusal of an order's workflow. The kind of a refusal is a code of the
// contract, except for the two kinds that concern the order as a whole.
func refusedOrder(refused *orderclient.RefusedError, row orderstore.Order) *problem.Problem {
	switch refused.Kind {
	case orderflow.ErrRecordConflict, orderflow.ErrRecordImpossible:
		return forOrder(orderapi.OrderRejected, cannotRecord, row)
	}
	return forOrder(problem.Code(refused.Kind), refused.Detail, row)
}

// afterTheEnd returns the answer to a request that no workflow will answer. What the table refuses it refuses with the
// workflow's answer. An order for which the table allows the request, or that is not decided yet, has lost its
// workflow: an operator terminated or deleted it.
func afterTheEnd(row orderstore.Order, input order.Input) error {
	state := row.State
	rule := order.Decide(state, input)
	if !state.Settled() || rule.To != "" { // a workflow would carry the request out, or will still decide the order
		p := stopped(row.OrderID)
		p.CurrentStatus = string(row.State)
		return p
	}

	switch {
	case rule.Repeated:
		return nil
	case rule.Refusal == order.Overdue:
		return forOrder(orderapi.OrderExpired, "the order has expired; place a new one", row)
	}
	return forOrder(orderapi.InvalidState, fmt.Sprintf("the order is %s and its processing has ended", row.State), row)
}

// stopped returns the answer for an order that has not ended and has no running workflow, or that has no row and will
// get none. The api does not know whether a payment under way set money aside, so the text makes no promise about it.
func stopped(id uuid.UUID) *problem.Problem {
	p := orderapi.Table.New(orderapi.OrderStopped, "the shop has stopped the processing of this order; "+
		"if the shop resumes it, this request may still be carried out; ask the shop, naming order %s", id)
	p.OrderID = id.String()
	return p
}

func forOrder(code problem.Code, detail string, row orderstore.Order) *problem.Problem {
	p := orderapi.Table.New(code, "%s", detail)
	p.OrderID, p.CurrentStatus = row.OrderID.String(), string(row.State)
	if code == orderapi.InvalidDuration {
		p.Field = "ttl_seconds" // the only duration in a request
	}
	if row.ExpiresAt != nil && row.State.Holding() {
		p.ExpiresAt = row.ExpiresAt.UTC().Format(time.RFC3339)
	}
	return p
}

func orderLocation(id uuid.UUID) string { return "/api/orders/" + id.String() }

// idempotencyKey returns the given key, or a new one if the request has none.
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
