package server

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"holdfast/internal/auth"
	"holdfast/internal/cursor"
	"holdfast/internal/merchantwebhook"
	"holdfast/internal/merchantwebhook/webhookapi"
)

// ListWebhookDeliveries answers one page.
func (h *handlers) ListWebhookDeliveries(c *gin.Context, params webhookapi.ListWebhookDeliveriesParams) {
	const list = "webhook_deliveries"
	limit, after := orPage(params.Limit), merchantwebhook.First
	if params.Cursor != "" {
		k, err := cursor.Decode[position](list, params.Cursor)
		if err != nil || k.ID == uuid.Nil || k.CreatedAt.IsZero() {
			failCursor(c)
			return
		}
		after = merchantwebhook.Position(k)
	}

	rows, err := h.store.Deliveries(c.Request.Context(), merchantwebhook.DeliveryFilter{
		SubscriptionID: params.WebhookID,
		Status:         string(params.Status),
		EventType:      params.EventType,
		From:           params.From,
		To:             params.To,
	}, after, limit+1)
	if err != nil {
		fail(c, err)
		return
	}
	rows, next := cursor.Cut(list, rows, limit, func(d merchantwebhook.Delivery) position {
		return position{d.CreatedAt.UTC(), d.DeliveryID}
	})
	out := webhookapi.WebhookDeliveryList{Items: make([]webhookapi.WebhookDelivery, len(rows)), NextCursor: next}
	for i, d := range rows {
		out.Items[i] = wireDelivery(d)
	}
	c.JSON(http.StatusOK, out)
}

// GetWebhookDelivery answers one delivery with its payload.
func (h *handlers) GetWebhookDelivery(c *gin.Context, id uuid.UUID) {
	d, body, err := h.store.Delivery(c.Request.Context(), id)
	if err != nil {
		fail(c, err)
		return
	}
	out := wireDelivery(d)
	out.Payload = body
	c.JSON(http.StatusOK, out)
}

// RedeliverWebhook sends one delivery again.
func (h *handlers) RedeliverWebhook(c *gin.Context, id uuid.UUID) {
	if err := h.store.Redeliver(c.Request.Context(), id, auth.From(c).Subject); err != nil {
		fail(c, err)
		return
	}
	h.GetWebhookDelivery(c, id)
}

// redeliverBatch is how many deliveries one transaction sends again, and maxRedeliveries how many one call.
const (
	redeliverBatch  = 500
	maxRedeliveries = 5000
)

// RedeliverWebhooks sends the deliveries of a range again, batch by batch, so that a failure loses no batch before it.
func (h *handlers) RedeliverWebhooks(c *gin.Context, id uuid.UUID, params webhookapi.RedeliverWebhooksParams) {
	ctx := c.Request.Context()
	if _, _, err := h.store.Get(ctx, id); err != nil {
		fail(c, err)
		return
	}
	statuses := []string{merchantwebhook.Failed, merchantwebhook.Held}
	if params.Status != "" {
		statuses = []string{string(params.Status)}
	}
	chosen := merchantwebhook.Range{
		SubscriptionID: id,
		Statuses:       statuses,
		EventType:      params.EventType,
		From:           params.From,
		To:             params.To,
		EndedBefore:    params.EndedBefore,
	}
	matched, before, err := h.store.CountRange(ctx, chosen)
	if err != nil {
		fail(c, err)
		return
	}
	chosen.EndedBefore = before
	out := webhookapi.RedeliverResult{
		DryRun:      params.DryRun,
		Matched:     matched,
		Remaining:   matched,
		EndedBefore: before.UTC(),
	}
	for n := redeliverBatch; !params.DryRun && n == redeliverBatch && out.Sent < maxRedeliveries; {
		if n, err = h.store.RedeliverRange(ctx, chosen, auth.From(c).Subject, redeliverBatch); err != nil {
			fail(c, err)
			return
		}
		out.Sent += n
	}
	if !params.DryRun {
		if out.Remaining, _, err = h.store.CountRange(ctx, chosen); err != nil {
			fail(c, err)
			return
		}
	}
	c.JSON(http.StatusOK, out)
}

func wireDelivery(d merchantwebhook.Delivery) webhookapi.WebhookDelivery {
	out := webhookapi.WebhookDelivery{
		DeliveryID:       d.DeliveryID,
		WebhookID:        d.SubscriptionID,
		EventID:          d.EventID,
		EventType:        d.EventType,
		AggregateID:      d.AggregateID,
		AggregateVersion: d.AggregateVersion,
		Status:           webhookapi.WebhookDeliveryStatus(d.Status),
		Attempts:         int(d.Attempts),
		Redeliveries:     int(d.Redeliveries),
		LastAttemptAt:    utc(d.LastAttemptAt),
		LastStatus:       int(d.LastStatus),
		LastError:        d.LastError,
		CreatedAt:        d.CreatedAt.UTC(),
		EndedAt:          utc(d.EndedAt),
	}
	if d.Status == merchantwebhook.Pending {
		out.NextAttemptAt = d.DueAt.UTC()
	}
	return out
}
