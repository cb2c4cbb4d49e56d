package server

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/internal/auth"
	"holdfast/internal/cursor"
	"holdfast/internal/httpx"
	"holdfast/internal/merchantwebhook"
	"holdfast/internal/merchantwebhook/webhookapi"
)

// ListWebhooks answers one page.
func (h *handlers) ListWebhooks(c *gin.Context, params webhookapi.ListWebhooksParams) {
	var enabled *bool
	if params.Enabled != "" {
		enabled = new(params.Enabled == "true")
	}
	limit := orPage(params.Limit)
	list, after := "webhooks_"+string(params.Enabled), merchantwebhook.First
	if params.Cursor != "" {
		k, err := cursor.Decode[position](list, params.Cursor)
		if err != nil || k.ID == uuid.Nil || k.CreatedAt.IsZero() {
			failCursor(c)
			return
		}
		after = merchantwebhook.Position(k)
	}

	rows, err := h.store.List(c.Request.Context(), enabled, after, limit+1)
	if err != nil {
		fail(c, err)
		return
	}
	rows, next := cursor.Cut(list, rows, limit, func(s merchantwebhook.Subscription) position {
		return position{s.CreatedAt.UTC(), s.SubscriptionID}
	})
	out := webhookapi.WebhookList{Items: make([]webhookapi.Webhook, len(rows)), NextCursor: next}
	for i, s := range rows {
		out.Items[i] = wire(s)
	}
	c.JSON(http.StatusOK, out)
}

// CreateWebhook adds a webhook and answers with its secret.
func (h *handlers) CreateWebhook(c *gin.Context) {
	var body webhookapi.NewWebhook
	if err := httpx.DecodeJSON(c, &body); err != nil {
		httpx.Fail(c, err)
		return
	}
	if err := h.check(body.URL, body.EventTypes); err != nil {
		httpx.Fail(c, err)
		return
	}
	s, err := h.store.Create(c.Request.Context(), merchantwebhook.Wanted{
		URL: body.URL, EventTypes: body.EventTypes, Description: body.Description,
	}, auth.From(c).Subject)
	if err != nil {
		fail(c, err)
		return
	}
	c.Header("Location", "/admin/webhooks/"+s.SubscriptionID.String())
	c.JSON(http.StatusCreated, withSecret(s))
}

// GetWebhook answers one webhook.
func (h *handlers) GetWebhook(c *gin.Context, id uuid.UUID) {
	s, actions, err := h.store.Get(c.Request.Context(), id)
	if err != nil {
		fail(c, err)
		return
	}
	out := wire(s)
	for _, a := range actions {
		out.Actions = append(out.Actions, webhookapi.WebhookAction{
			Action: a.Action, Actor: a.Actor, Detail: a.Detail, At: a.At.UTC(),
		})
	}
	c.JSON(http.StatusOK, out)
}

// ChangeWebhook changes what the body has.
func (h *handlers) ChangeWebhook(c *gin.Context, id uuid.UUID) {
	var body webhookapi.WebhookChange
	if err := httpx.DecodeJSON(c, &body); err != nil {
		httpx.Fail(c, err)
		return
	}
	url := ""
	if body.URL != nil {
		url = *body.URL
	}
	if err := h.check(url, body.EventTypes); err != nil {
		httpx.Fail(c, err)
		return
	}
	err := h.store.Update(c.Request.Context(), id, merchantwebhook.Change{
		URL:         body.URL,
		EventTypes:  body.EventTypes,
		Description: body.Description,
		Enabled:     body.Enabled,
	}, auth.From(c).Subject)
	if err != nil {
		fail(c, err)
		return
	}
	h.GetWebhook(c, id)
}

// DeleteWebhook deletes a webhook.
func (h *handlers) DeleteWebhook(c *gin.Context, id uuid.UUID) {
	if err := h.store.Delete(c.Request.Context(), id, auth.From(c).Subject); err != nil {
		fail(c, err)
		return
	}
	noContent(c)
}

// defaultOverlap is how long the old secret still signs if the operator does not say.
const defaultOverlap = 24 * time.Hour

// RotateWebhookSecret answers with the new secret.
func (h *handlers) RotateWebhookSecret(c *gin.Context, id uuid.UUID, params webhookapi.RotateWebhookSecretParams) {
	overlap := defaultOverlap
	if params.OverlapSeconds != nil {
		overlap = time.Duration(*params.OverlapSeconds) * time.Second
	}
	s, err := h.store.Rotate(c.Request.Context(), id, overlap, auth.From(c).Subject)
	if err != nil {
		fail(c, err)
		return
	}
	c.JSON(http.StatusOK, withSecret(s))
}

// wire leaves out the secrets.
func wire(s merchantwebhook.Subscription) webhookapi.Webhook {
	return webhookapi.Webhook{
		WebhookID:           s.SubscriptionID,
		URL:                 s.Url,
		EventTypes:          s.EventTypes,
		Description:         s.Description,
		Enabled:             s.Enabled,
		DisabledAt:          utc(s.DisabledAt),
		DisabledReason:      s.DisabledReason,
		FailingSince:        utc(s.FailingSince),
		LastError:           s.LastError,
		PreviousSecretUntil: utc(s.PreviousSecretUntil),
		CreatedAt:           s.CreatedAt.UTC(),
		UpdatedAt:           s.UpdatedAt.UTC(),
	}
}

func withSecret(s merchantwebhook.Subscription) webhookapi.Webhook {
	out := wire(s)
	out.Secret = s.Secret
	return out
}
