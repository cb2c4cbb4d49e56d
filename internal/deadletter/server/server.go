// Package server is the HTTP side of the administration of dead messages: routes generated from openapi.yaml, and
// handlers that only translate.
package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/internal/auth"
	"holdfast/internal/cursor"
	"holdfast/internal/deadletter"
	"holdfast/internal/deadletter/deadletterapi"
	"holdfast/internal/httpx"
	"holdfast/internal/problem"
)

// Store is what the handlers need of the table of dead messages.
type Store interface {
	List(
		ctx context.Context, status string, f deadletter.Filter, after deadletter.Position, limit int,
	) ([]deadletter.Message, error)
	Get(ctx context.Context, id uuid.UUID) (deadletter.Message, []deadletter.Action, error)
	Count(ctx context.Context) (map[string]int64, error)
	CountMatching(ctx context.Context, f deadletter.Filter) (int64, error)
	RedriveOne(ctx context.Context, id uuid.UUID, actor string) error
	Redrive(ctx context.Context, f deadletter.Filter, actor string, limit int) (int, error)
	Discard(ctx context.Context, id uuid.UUID, actor, reason string) error
}

// Queues says how many messages wait in the dead-letter queues, and when they were counted.
type Queues interface {
	Queued() (messages int, asOf time.Time)
}

// Register adds the contract's routes, which need a caller that guard admits.
func Register(router gin.IRouter, store Store, queues Queues, guard *auth.Guard) error {
	contract, err := httpx.ReadContract(deadletter.OpenAPI)
	if err != nil {
		return fmt.Errorf("dead messages: %w", err)
	}
	private := router.Group("", guard.Require, contract.Validate)
	RegisterHandlersWithOptions(private, &handlers{store, queues}, GinServerOptions{ErrorHandler: failParameter})
	return nil
}

// parameter finds the parameter's name in the message of the generated code, which passes the name in no other way.
var parameter = regexp.MustCompile(`parameter ([\w-]+)|for ([\w-]+), got`)

func failParameter(c *gin.Context, err error, _ int) {
	field := ""
	if m := parameter.FindStringSubmatch(err.Error()); m != nil {
		field = m[1] + m[2]
	}
	httpx.Fail(c, problem.Invalid(field, "%s is missing or malformed; see the contract for its format", field))
}

type handlers struct {
	store  Store
	queues Queues
}

const (
	// defaultPage is the size of a page if the client asks for none.
	defaultPage = 50
	// retryBatch is how many messages one transaction sends, and maxRetries how many one call sends.
	retryBatch = 100
	maxRetries = 1000
	// warnAbove is the number of dead messages above which operators are warned.
	warnAbove = 10
)

type position struct {
	DiedAt time.Time `json:"died_at"`
	ID     uuid.UUID `json:"id"`
}

// ListDeadMessages answers one page.
func (h *handlers) ListDeadMessages(c *gin.Context, params deadletterapi.ListDeadMessagesParams) {
	status := string(params.Status)
	if status == "" {
		status = deadletter.Dead
	}
	limit := params.Limit
	if limit == 0 {
		limit = defaultPage
	}
	list, after := "dead_messages_"+status, deadletter.First
	if params.Cursor != "" {
		k, err := cursor.Decode[position](list, params.Cursor)
		if err != nil || k.ID == uuid.Nil || k.DiedAt.IsZero() {
			httpx.Fail(c, problem.Invalid("cursor", "use the next_cursor of the same list's page before"))
			return
		}
		after = deadletter.Position(k)
	}

	filter := deadletter.Filter{Queue: params.Queue, EventType: params.EventType}
	rows, err := h.store.List(c.Request.Context(), status, filter, after, limit+1)
	if err != nil {
		fail(c, err)
		return
	}
	rows, next := cursor.Cut(list, rows, limit, func(m deadletter.Message) position {
		return position{m.DiedAt.UTC(), m.DeadMessageID}
	})
	out := deadletterapi.DeadMessageList{Items: make([]deadletterapi.DeadMessage, len(rows)), NextCursor: next}
	for i, m := range rows {
		out.Items[i] = wire(m)
	}
	c.JSON(http.StatusOK, out)
}

// CountDeadMessages counts the table and the queues. A message is in one of them; while it is moved, it may be in both.
func (h *handlers) CountDeadMessages(c *gin.Context) {
	byQueue, err := h.store.Count(c.Request.Context())
	if err != nil {
		fail(c, err)
		return
	}
	queued, asOf := h.queues.Queued()
	out := deadletterapi.DeadMessageCount{Queues: byQueue, Queued: int64(queued)}
	if !asOf.IsZero() {
		out.QueuedAsOf = asOf.UTC()
	}
	for _, n := range byQueue {
		out.Dead += n
	}
	out.Count = out.Dead + out.Queued
	out.Warning = out.Count > warnAbove
	c.JSON(http.StatusOK, out)
}

// GetDeadMessage answers one message.
func (h *handlers) GetDeadMessage(c *gin.Context, id uuid.UUID) {
	m, actions, err := h.store.Get(c.Request.Context(), id)
	if err != nil {
		fail(c, err)
		return
	}
	out := wire(m)
	if json.Valid(m.Body) {
		out.Payload = m.Body
	} else {
		out.PayloadBase64 = base64.StdEncoding.EncodeToString(m.Body)
	}
	for _, a := range actions {
		out.Actions = append(out.Actions, deadletterapi.DeadMessageAction{
			Action: a.Action, Actor: a.Actor, Reason: a.Reason, At: a.At.UTC(),
		})
	}
	c.JSON(http.StatusOK, out)
}

// RetryDeadMessage sends one message again.
func (h *handlers) RetryDeadMessage(c *gin.Context, id uuid.UUID) {
	if err := h.store.RedriveOne(c.Request.Context(), id, auth.From(c).Subject); err != nil {
		fail(c, err)
		return
	}
	h.GetDeadMessage(c, id)
}

// RetryDeadMessages sends all messages that match again, batch by batch, so that a failure loses no batch before it.
func (h *handlers) RetryDeadMessages(c *gin.Context, params deadletterapi.RetryDeadMessagesParams) {
	ctx, filter := c.Request.Context(), deadletter.Filter{Queue: params.Queue, EventType: params.EventType}
	matched, err := h.store.CountMatching(ctx, filter)
	if err != nil {
		fail(c, err)
		return
	}
	out := deadletterapi.RetryResult{DryRun: params.DryRun, Matched: matched, Remaining: matched}
	for n := retryBatch; !params.DryRun && n == retryBatch && out.Sent < maxRetries; {
		if n, err = h.store.Redrive(ctx, filter, auth.From(c).Subject, retryBatch); err != nil {
			fail(c, err)
			return
		}
		out.Sent += n
	}
	if !params.DryRun {
		if out.Remaining, err = h.store.CountMatching(ctx, filter); err != nil {
			fail(c, err)
			return
		}
	}
	c.JSON(http.StatusOK, out)
}

// DiscardDeadMessage discards one message.
func (h *handlers) DiscardDeadMessage(c *gin.Context, id uuid.UUID) {
	var body deadletterapi.Discard
	if err := httpx.DecodeJSON(c, &body); err != nil {
		httpx.Fail(c, err)
		return
	}
	if err := h.store.Discard(c.Request.Context(), id, auth.From(c).Subject, body.Reason); err != nil {
		fail(c, err)
		return
	}
	h.GetDeadMessage(c, id)
}

func fail(c *gin.Context, err error) {
	switch {
	case errors.Is(err, deadletter.ErrNotFound):
		err = deadletterapi.Table.New(deadletterapi.DeadMessageNotFound, "there is no such dead message")
	case errors.Is(err, deadletter.ErrNotDead):
		err = deadletterapi.Table.New(deadletterapi.NotDead,
			"an operator has sent the message again or discarded it; look at its actions")
	default: // the cause is for the log
		err = fmt.Errorf("%w: %w", err, problem.Common.New(problem.Unavailable,
			"the orders database did not answer; send the same request again"))
	}
	httpx.Fail(c, err)
}

func wire(m deadletter.Message) deadletterapi.DeadMessage {
	out := deadletterapi.DeadMessage{
		DeadMessageID: m.DeadMessageID,
		Queue:         m.Queue,
		EventType:     m.EventType,
		CorrelationID: m.CorrelationID,
		Cause:         m.Cause,
		Error:         m.Error,
		Attempts:      int(m.Attempts),
		MaxAttempts:   int(m.MaxAttempts),
		Redrives:      int(m.Redrives),
		Status:        deadletterapi.DeadMessageStatus(m.Status),
		FirstDiedAt:   m.FirstDiedAt.UTC(),
		DiedAt:        m.DiedAt.UTC(),
	}
	if m.EventID != nil {
		out.EventID, out.AggregateID = *m.EventID, *m.AggregateID
	}
	if m.ResolvedAt != nil {
		out.ResolvedAt = m.ResolvedAt.UTC()
	}
	return out
}
