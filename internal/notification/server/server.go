// Package server is the HTTP side of the administration of notifications: routes generated from openapi.yaml, and
// handlers that only translate.
package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/internal/auth"
	"holdfast/internal/cursor"
	"holdfast/internal/httpx"
	"holdfast/internal/notification"
	"holdfast/internal/notification/notificationapi"
	"holdfast/internal/problem"
)

// Store is what the handlers need of the table of notifications.
type Store interface {
	Get(ctx context.Context, id uuid.UUID) (notification.Notification, []notification.Action, error)
	ListOfOrder(
		ctx context.Context, order uuid.UUID, status string, after notification.Position, limit int,
	) ([]notification.Notification, error)
	ListByStatus(
		ctx context.Context, status string, after notification.Position, limit int,
	) ([]notification.Notification, error)
	SendAgain(ctx context.Context, id uuid.UUID, actor string) error
}

// Register adds the contract's routes, which need a caller that guard admits.
func Register(router gin.IRouter, store Store, guard *auth.Guard) error {
	contract, err := httpx.ReadContract(notification.OpenAPI)
	if err != nil {
		return fmt.Errorf("notifications: %w", err)
	}
	private := router.Group("", guard.Require, contract.Validate)
	RegisterHandlersWithOptions(private, &handlers{store}, GinServerOptions{ErrorHandler: failParameter})
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

type handlers struct{ store Store }

// defaultPage is the size of a page if the client asks for none.
const defaultPage = 50

type position struct {
	CreatedAt time.Time `json:"created_at"`
	ID        uuid.UUID `json:"id"`
}

// ListNotifications answers one page.
func (h *handlers) ListNotifications(c *gin.Context, params notificationapi.ListNotificationsParams) {
	status, limit := string(params.Status), params.Limit
	if status == "" && params.OrderID == uuid.Nil {
		status = notification.Refused
	}
	if limit == 0 {
		limit = defaultPage
	}
	list, after := "notifications_"+status+"_"+params.OrderID.String(), notification.First
	if params.Cursor != "" {
		k, err := cursor.Decode[position](list, params.Cursor)
		if err != nil || k.ID == uuid.Nil || k.CreatedAt.IsZero() {
			httpx.Fail(c, problem.Invalid("cursor", "use the next_cursor of the same list's page before"))
			return
		}
		after = notification.Position(k)
	}

	var rows []notification.Notification
	var err error
	if params.OrderID == uuid.Nil {
		rows, err = h.store.ListByStatus(c.Request.Context(), status, after, limit+1)
	} else {
		rows, err = h.store.ListOfOrder(c.Request.Context(), params.OrderID, status, after, limit+1)
	}
	if err != nil {
		fail(c, err)
		return
	}
	rows, next := cursor.Cut(list, rows, limit, func(n notification.Notification) position {
		return position{n.CreatedAt.UTC(), n.NotificationID}
	})
	out := notificationapi.NotificationList{Items: make([]notificationapi.Notification, len(rows)), NextCursor: next}
	for i, n := range rows {
		out.Items[i] = wire(n)
	}
	c.JSON(http.StatusOK, out)
}

// GetNotification answers one notification.
func (h *handlers) GetNotification(c *gin.Context, id uuid.UUID) { h.answer(c, http.StatusOK, id) }

// SendNotification makes a notification pending again.
func (h *handlers) SendNotification(c *gin.Context, id uuid.UUID) {
	if err := h.store.SendAgain(c.Request.Context(), id, auth.From(c).Subject); err != nil {
		fail(c, err)
		return
	}
	h.answer(c, http.StatusAccepted, id)
}

func (h *handlers) answer(c *gin.Context, status int, id uuid.UUID) {
	n, actions, err := h.store.Get(c.Request.Context(), id)
	if err != nil {
		fail(c, err)
		return
	}
	out := wire(n)
	for _, a := range actions {
		out.Actions = append(out.Actions, notificationapi.NotificationAction{Actor: a.Actor, At: a.At.UTC()})
	}
	c.JSON(status, out)
}

func fail(c *gin.Context, err error) {
	switch {
	case errors.Is(err, notification.ErrNotFound):
		err = notificationapi.Table.New(notificationapi.NotificationNotFound, "there is no such notification")
	case errors.Is(err, notification.ErrPending):
		err = notificationapi.Table.New(notificationapi.NotificationPending,
			"the notification still waits to be sent; its due_at says until when")
	default: // the cause is for the log
		err = fmt.Errorf("%w: %w", err, problem.Common.New(problem.Unavailable,
			"the orders database did not answer; send the same request again"))
	}
	httpx.Fail(c, err)
}

func wire(n notification.Notification) notificationapi.Notification {
	out := notificationapi.Notification{
		NotificationID: n.NotificationID,
		OrderID:        n.OrderID,
		EventID:        n.EventID,
		Kind:           n.Kind,
		Status:         notificationapi.NotificationStatus(n.Status),
		Channel:        n.Channel,
		Detail:         n.Detail,
		Attempts:       int(n.Attempts),
		Resends:        int(n.Resends),
		OccurredAt:     n.OccurredAt.UTC(),
		CreatedAt:      n.CreatedAt.UTC(),
	}
	if n.ResolvedAt == nil {
		out.DueAt = n.DueAt.UTC()
	} else {
		out.ResolvedAt = n.ResolvedAt.UTC()
	}
	return out
}
