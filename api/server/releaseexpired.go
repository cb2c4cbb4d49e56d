package server

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/httpx"
	"holdfast/internal/problem"
	"holdfast/inventory/inventoryapi"
	"holdfast/workflows/orderflow"
)

const (
	// maxReleases is how many reservations one request releases at most. It is also in the contract.
	maxReleases = 1000
	// releaseTime is how long a request takes up workflows and waits for them. The gateway gives it 15 s.
	releaseTime = 8 * time.Second
	// releaseCallers is how many workflows a request looks at at once.
	releaseCallers = 16
	// releasePoll is how often a request looks whether the workflows have released the stock.
	releasePoll = 250 * time.Millisecond
)

// ReleaseExpired has the workflows release the reservations whose deadline has passed. A workflow that runs does that
// by its timer; ReleaseExpired starts the others again, and waits for all of them.
func (h *handlers) ReleaseExpired(c *gin.Context, params orderapi.ReleaseExpiredParams) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), releaseTime)
	defer cancel()
	limit := cmp.Or(params.Limit, maxReleases)
	due, err := h.overdue(ctx, limit+1)
	if err != nil {
		h.log.WarnContext(ctx, "cannot list the overdue reservations", "error", err)
		httpx.Fail(c, orderapi.Table.New(problem.Unavailable, "inventory does not answer; send the same request again"))
		return
	}

	out := orderapi.ReleasedReservations{DryRun: params.DryRun, More: len(due) > limit}
	due = due[:min(len(due), limit)]
	out.Due = len(due)
	if !params.DryRun {
		waitFor := h.takeUpAll(ctx, due, &out)
		out.UnderWay = h.awaitReleased(ctx, waitFor, limit)
		out.Released = len(waitFor) - out.UnderWay
		h.log.InfoContext(c.Request.Context(), "an operator has released the overdue reservations",
			"actor", auth.From(c).Subject, "due", out.Due, "released", out.Released, "taken_up", out.TakenUp,
			"under_way", out.UnderWay, "without_workflow", out.WithoutWorkflow, "failed", out.Failed)
	}
	c.JSON(http.StatusOK, out)
}

// overdue lists up to limit reservations past their deadline, the earliest deadline first.
func (h *handlers) overdue(ctx context.Context, limit int) (out []inventoryapi.OverdueReservation, err error) {
	var page inventoryapi.Page
	for {
		page.Limit = min(limit-len(out), inventoryapi.MaxPage)
		list, err := h.inventory.Overdue(ctx, page)
		if err != nil {
			return nil, err
		}
		out = append(out, list.Items...)
		if page.Cursor = list.NextCursor; page.Cursor == "" || len(out) >= limit {
			return out, nil
		}
	}
}

// takeUpAll starts the workflows of the reservations that have none running, counts them, and returns the reservations
// that have a workflow now.
func (h *handlers) takeUpAll(
	ctx context.Context, due []inventoryapi.OverdueReservation, out *orderapi.ReleasedReservations,
) map[uuid.UUID]bool {
	var mu sync.Mutex // guards out and running
	running := map[uuid.UUID]bool{}
	var callers errgroup.Group
	callers.SetLimit(releaseCallers)
	for _, r := range due {
		callers.Go(func() error {
			started, err := h.takeUp(ctx, r)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, orderflow.ErrForgotten), errors.Is(err, orderflow.ErrNoRow):
				out.WithoutWorkflow++
			case err != nil:
				out.Failed++
				h.log.ErrorContext(ctx, "cannot take up the workflow of an overdue reservation",
					"reservation_id", r.ReservationID, "workflow_id", r.WorkflowID, "error", err)
			default:
				running[r.ReservationID] = true
				if started {
					out.TakenUp++
				}
			}
			return nil
		})
	}
	_ = callers.Wait() // no caller returns an error
	return running
}

// takeUp starts the workflow of a reservation again and reports true, unless it runs.
func (h *handlers) takeUp(ctx context.Context, r inventoryapi.OverdueReservation) (bool, error) {
	if r.OwnerKind != inventoryapi.OwnerOrder {
		return h.workflows.TakeUpReservation(ctx, r.ReservationID)
	}
	in, err := h.store.Input(ctx, r.OwnerID)
	if err != nil {
		return false, err
	}
	if r.Number != max(in.ReservationNumber, 1) { // of a change of lines that never ended; the adoption expires it
		return false, orderflow.ErrForgotten
	}
	return h.workflows.TakeUpOrder(ctx, in)
}

// awaitReleased waits until none of the reservations is overdue, or ctx ends, and returns how many still are. They have
// the earliest deadlines, so the list's first rows have those that are left.
func (h *handlers) awaitReleased(ctx context.Context, waitFor map[uuid.UUID]bool, limit int) (left int) {
	left = len(waitFor)
	for left > 0 {
		if due, err := h.overdue(ctx, limit); err == nil {
			left = 0
			for _, r := range due {
				if waitFor[r.ReservationID] {
					left++
				}
			}
		}
		select {
		case <-ctx.Done():
			return left
		case <-time.After(releasePoll):
		}
	}
	return 0
}
