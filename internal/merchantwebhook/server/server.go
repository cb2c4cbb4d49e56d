// Package server is the HTTP side of the administration of the merchants' webhooks: routes generated from openapi.yaml,
// and handlers that only translate.
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
	"holdfast/internal/httpx"
	"holdfast/internal/merchantwebhook"
	"holdfast/internal/merchantwebhook/webhookapi"
	"holdfast/internal/problem"
)

// Store is what the handlers need of the subscriptions and deliveries.
type Store interface {
	Create(ctx context.Context, w merchantwebhook.Wanted, actor string) (merchantwebhook.Subscription, error)
	Get(ctx context.Context, id uuid.UUID) (merchantwebhook.Subscription, []merchantwebhook.Action, error)
	List(
		ctx context.Context, enabled *bool, after merchantwebhook.Position, limit int,
	) ([]merchantwebhook.Subscription, error)
	Update(ctx context.Context, id uuid.UUID, c merchantwebhook.Change, actor string) error
	Rotate(
		ctx context.Context, id uuid.UUID, overlap time.Duration, actor string,
	) (merchantwebhook.Subscription, error)
	Delete(ctx context.Context, id uuid.UUID, actor string) error

	Deliveries(
		ctx context.Context, f merchantwebhook.DeliveryFilter, after merchantwebhook.Position, limit int,
	) ([]merchantwebhook.Delivery, error)
	Delivery(ctx context.Context, id uuid.UUID) (merchantwebhook.Delivery, []byte, error)
	Redeliver(ctx context.Context, id uuid.UUID, actor string) error
	CountRange(ctx context.Context, r merchantwebhook.Range) (int64, time.Time, error)
	RedeliverRange(ctx context.Context, r merchantwebhook.Range, actor string, limit int) (int, error)
}

// Addresses decides where webhooks may go.
type Addresses interface{ CheckURL(raw string) error }

// Register adds the contract's routes, which need a caller that guard admits.
func Register(router gin.IRouter, store Store, addresses Addresses, guard *auth.Guard) error {
	contract, err := httpx.ReadContract(merchantwebhook.OpenAPI)
	if err != nil {
		return fmt.Errorf("webhooks: %w", err)
	}
	private := router.Group("", guard.Require, contract.Validate)
	RegisterHandlersWithOptions(private, &handlers{store, addresses}, GinServerOptions{ErrorHandler: failParameter})
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
	store     Store
	addresses Addresses
}

// check refuses a URL or types that no webhook can have. Empty ones are not checked.
func (h *handlers) check(url string, types []string) error {
	if url != "" {
		var wrong *merchantwebhook.URLError
		if err := h.addresses.CheckURL(url); errors.As(err, &wrong) {
			return problem.Invalid("url", "%s", wrong.Why)
		} else if err != nil {
			return err
		}
	}
	var wrong *merchantwebhook.EventTypeError
	if err := merchantwebhook.CheckEventTypes(types); errors.As(err, &wrong) {
		return problem.Invalid(fmt.Sprintf("event_types[%d]", wrong.Index), "%s", wrong.Why)
	}
	return nil
}

// fail answers an error of the store.
func fail(c *gin.Context, err error) {
	switch {
	case errors.Is(err, merchantwebhook.ErrNotFound):
		err = webhookapi.Table.New(webhookapi.WebhookNotFound, "there is no such webhook")
	case errors.Is(err, merchantwebhook.ErrDeliveryNotFound):
		err = webhookapi.Table.New(webhookapi.DeliveryNotFound, "there is no such delivery")
	case errors.Is(err, merchantwebhook.ErrDisabled):
		err = webhookapi.Table.New(webhookapi.WebhookDisabled, "the webhook is switched off; switch it on first")
	case errors.Is(err, merchantwebhook.ErrPending):
		err = webhookapi.Table.New(webhookapi.DeliveryPending, "the delivery is still tried; look at next_attempt_at")
	default: // the cause is for the log
		err = fmt.Errorf("%w: %w", err, problem.Common.New(problem.Unavailable,
			"the orders database did not answer; send the same request again"))
	}
	httpx.Fail(c, err)
}

// defaultPage is the size of a page if the client asks for none.
const defaultPage = 50

type position struct {
	CreatedAt time.Time `json:"created_at"`
	ID        uuid.UUID `json:"id"`
}

// orPage returns the size of a page.
func orPage(limit int) int {
	if limit == 0 {
		return defaultPage
	}
	return limit
}

func failCursor(c *gin.Context) {
	httpx.Fail(c, problem.Invalid("cursor", "use the next_cursor of the same list's page before"))
}

// utc returns a time that is there, or the zero time.
func utc(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

func noContent(c *gin.Context) { c.Status(http.StatusNoContent) }
