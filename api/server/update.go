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

// answerOrder answers what became of an update to an order, by the order's row as it stands then.
// result turns the update's own result into a problem, or nil for 200.
func (h *handlers) answerOrder(c *gin.Context, id uuid.UUID, input order.Input, err error, result func(orderstore.Order) error) {
	if orderclient.Open(err) {
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

// cannotRecord is what is told of an order that the orders database refuses for good.
const cannotRecord = "the order cannot be recorded and was undone: nothing is held and nothing is taken; place it anew, under another key"

// refusedOrder is the problem by which an order's workflow refused what was asked. The kinds of refusal are codes of
// the contract, but for those that concern the order as a whole.
func refusedOrder(refused *orderclient.RefusedError, row orderstore.Order) *problem.Problem {
	switch refused.Kind {
	case orderflow.ErrRecordConflict, orderflow.ErrRecordImpossible:
		return forOrder(orderapi.OrderRejected, cannotRecord, row)
	}
	return forOrder(problem.Code(refused.Kind), refused.Detail, row)
}

// afterTheEnd is the answer to a request that no workflow will answer. For an order that has ended it follows the
// table by which the workflow would have answered. An order that is still open has lost its workflow: an operator
// terminated or deleted it.
func afterTheEnd(row orderstore.Order, input order.Input) error {
	state := row.State
	if order.Decide(state, order.Cancel).To != "" { // it can still be called off, so it has not ended
		p := stopped(row.OrderID)
		p.CurrentStatus = string(row.State)
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
	p := orderapi.Table.New(orderapi.OrderStopped, "the shop has stopped the processing of this order; this request may still be carried out if the shop goes on with it; ask the shop, naming order %s", id)
	p.OrderID = id.String()
	return p
}

func forOrder(code problem.Code, detail string, row orderstore.Order) *problem.Problem {
	p := orderapi.Table.New(code, "%s", detail)
	p.OrderID, p.CurrentStatus = row.OrderID.String(), string(row.State)
	if code == orderapi.InvalidDuration {
		p.Field = "ttl_seconds" // the one duration of a request
	}
	if row.ExpiresAt != nil && row.State.Holding() {
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
