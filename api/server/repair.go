package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/cursor"
	"holdfast/internal/httpx"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
	"holdfast/workflows/orderflow"
)

// repairTime is how long a request waits for what a repair does. The gateway gives it 15 s.
const repairTime = 12 * time.Second

// repaired is how a repair ended, or how far it has come.
type repaired struct {
	outcome orderstore.RepairOutcome
	code    problem.Code // of a refusal
	detail  string
}

func done(format string, args ...any) (repaired, error) {
	return repaired{outcome: orderstore.RepairDone, detail: fmt.Sprintf(format, args...)}, nil
}

func notApplicable(format string, args ...any) (repaired, error) {
	return repaired{orderstore.RepairRefused, orderapi.RepairNotApplicable, fmt.Sprintf(format, args...)}, nil
}

// RepairOrder carries out an operator's repair of an order, and records it.
func (h *handlers) RepairOrder(c *gin.Context, id uuid.UUID, params orderapi.RepairOrderParams) {
	var body orderapi.RepairRequest
	if err := httpx.DecodeJSON(c, &body); err != nil {
		httpx.Fail(c, err)
		return
	}
	row, ok := h.owned(c, id)
	if !ok {
		return
	}
	asked := orderstore.Repair{OrderID: id}
	h.repair(c, asked, body, params.IdempotencyKey, func(ctx context.Context, r orderstore.Repair) (repaired, error) {
		switch body.Action {
		case orderflow.RepairRetryNow:
			return h.retryNow(ctx, r, orderflow.OrderWorkflowID(id))
		case orderflow.RepairSkipStep:
			return h.skipStep(ctx, r, row)
		case orderflow.RepairForceRelease:
			return h.forceRelease(ctx, r, row)
		default:
			return h.adoptOrder(ctx, r, row)
		}
	})
}

// RepairReservation carries out an operator's repair of a reservation without an order, and records it.
func (h *handlers) RepairReservation(c *gin.Context, id uuid.UUID, params orderapi.RepairReservationParams) {
	var body orderapi.RepairRequest
	if err := httpx.DecodeJSON(c, &body); err != nil {
		httpx.Fail(c, err)
		return
	}
	if body.Action == orderflow.RepairSkipStep {
		httpx.Fail(c, problem.Invalid("action", "a reservation without an order has no step that may be skipped"))
		return
	}
	held, ok := h.ownedReservation(c, id)
	if !ok {
		return
	}
	asked := orderstore.Repair{ReservationID: id}
	h.repair(c, asked, body, params.IdempotencyKey, func(ctx context.Context, r orderstore.Repair) (repaired, error) {
		if body.Action == orderflow.RepairRetryNow {
			return h.retryNow(ctx, r, orderflow.ReservationWorkflowID(id))
		}
		return h.repairHold(ctx, r, held)
	})
}

// repair records a repair before it acts and its outcome afterwards. If the outcome is not known, the record stays
// open, and a repeat under the same key acts again: every repair is idempotent.
func (h *handlers) repair(
	c *gin.Context, asked orderstore.Repair, body orderapi.RepairRequest, givenKey string,
	act func(context.Context, orderstore.Repair) (repaired, error),
) {
	key, err := idempotencyKey(givenKey)
	if err == nil {
		err = checkRepair(body)
	}
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	who := auth.From(c)
	asked.ID = uuid.New()
	asked.Action, asked.Step, asked.Reference, asked.Reason = string(body.Action), body.Step, body.Reference, body.Reason
	asked.AmountMinor, asked.Attempt = body.AmountMinor, body.Attempt
	asked.Issuer, asked.Actor, asked.Key = who.Issuer, who.Subject, key

	ctx, cancel := context.WithTimeout(c.Request.Context(), repairTime)
	defer cancel()
	begun, err := h.store.BeginRepair(ctx, asked)
	switch {
	case err != nil:
		h.fail(c, err)
		return
	case !begun.Same(asked):
		httpx.Fail(c, orderapi.Table.New(orderapi.IdempotencyKeyReused,
			"the Idempotency-Key %s was already used for a different repair; send a new key", key))
		return
	case begun.EndedAt != nil:
		answerRepair(c, begun)
		return
	}

	out, err := act(ctx, begun)
	if err != nil {
		h.log.WarnContext(ctx, "the outcome of a repair is not known", "repair_id", begun.ID, "action", begun.Action,
			"order_id", asked.OrderID, "reservation_id", asked.ReservationID, "actor", asked.Actor, "error", err)
		httpx.Fail(c, orderapi.Table.New(problem.Unavailable,
			"it is not known whether the repair took effect; send it again with Idempotency-Key %s", key))
		return
	}
	// The outcome is recorded also if the operator has left.
	endCtx, cancelEnd := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancelEnd()
	ended, err := h.store.EndRepair(endCtx, begun.ID, out.outcome, string(out.code), out.detail)
	if errors.Is(err, orderstore.ErrNotFound) { // another request under the same key was faster
		ended, err = h.store.BeginRepair(endCtx, asked)
	}
	if err != nil {
		h.fail(c, err)
		return
	}
	about := []any{
		"repair_id", ended.ID, "action", ended.Action, "actor", ended.Actor, "outcome", ended.Outcome, "detail", ended.Detail,
	}
	if asked.OrderID != uuid.Nil {
		about = append(about, "order_id", asked.OrderID)
	} else {
		about = append(about, "reservation_id", asked.ReservationID)
	}
	h.log.InfoContext(ctx, "an operator's repair", about...)
	answerRepair(c, ended)
}

// checkRepair refuses what a step needs and an action has not, and the other way round.
func checkRepair(body orderapi.RepairRequest) error {
	skips := body.Action == orderflow.RepairSkipStep
	switch {
	case skips && body.Step == "":
		return problem.Invalid("step", "name the step that was done by hand: %s",
			strings.Join(orderflow.SkippableSteps(), " or "))
	case skips && body.Reference == "":
		return problem.Invalid("reference", "say how the provider or the bank names what was done by hand")
	case !skips && body.Step != "":
		return problem.Invalid("step", "only skip_step names a step")
	case !skips && body.Reference != "":
		return problem.Invalid("reference", "only skip_step has a reference")
	}
	refunds, voids := skips && body.Step == orderflow.RefundPayment, skips && body.Step == orderflow.VoidPayment
	switch {
	case refunds != (body.AmountMinor != 0):
		return problem.Invalid("amount_minor", "say of a refund by hand, and of nothing else, how much was given back")
	case voids != (body.Attempt != 0):
		return problem.Invalid("attempt", "say of a void by hand, and of nothing else, which attempt of the payment it was")
	}
	if _, known := orderflow.RuleOfStep(body.Step); skips && !known {
		return problem.Invalid("step", "an order has no step %q; use %s", body.Step,
			strings.Join(orderflow.SkippableSteps(), " or "))
	}
	return nil
}

func answerRepair(c *gin.Context, r orderstore.Repair) {
	switch r.Outcome {
	case orderstore.RepairRefused:
		p := orderapi.Table.New(problem.Code(r.Code), "%s", r.Detail)
		if r.OrderID != uuid.Nil {
			p.OrderID = r.OrderID.String()
		}
		httpx.Fail(c, p)
	case orderstore.RepairDone:
		c.JSON(http.StatusOK, wireRepair(r))
	default:
		c.JSON(http.StatusAccepted, wireRepair(r))
	}
}

func wireRepair(r orderstore.Repair) orderapi.Repair {
	return orderapi.Repair{
		RepairID:      r.ID,
		OrderID:       r.OrderID,
		ReservationID: r.ReservationID,
		Action:        orderapi.RepairAction(r.Action),
		Step:          r.Step,
		Reference:     r.Reference,
		AmountMinor:   r.AmountMinor,
		Attempt:       r.Attempt,
		Reason:        r.Reason,
		Actor:         r.Actor,
		Outcome:       orderapi.RepairOutcome(r.Outcome),
		Code:          r.Code,
		Detail:        r.Detail,
		CreatedAt:     r.CreatedAt.UTC(),
		EndedAt:       orZero(r.EndedAt),
	}
}

// ListRepairs answers what operators did.
func (h *handlers) ListRepairs(c *gin.Context, params orderapi.ListRepairsParams) {
	if params.OrderID != uuid.Nil && params.ReservationID != uuid.Nil {
		httpx.Fail(c, problem.Invalid("reservation_id", "name an order or a reservation without an order, not both"))
		return
	}
	after, limit, err := page("repairs", params.Cursor, params.Limit)
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	filter := orderstore.RepairFilter{OrderID: params.OrderID, ReservationID: params.ReservationID}
	rows, err := h.store.Repairs(c.Request.Context(), filter, after, limit+1)
	if err != nil {
		h.fail(c, err)
		return
	}
	rows, next := cursor.Cut("repairs", rows, limit, func(r orderstore.Repair) position {
		return position{r.CreatedAt, r.ID}
	})
	out := orderapi.RepairList{Items: make([]orderapi.Repair, len(rows)), NextCursor: next}
	for i, r := range rows {
		out.Items[i] = wireRepair(r)
	}
	c.JSON(http.StatusOK, out)
}
