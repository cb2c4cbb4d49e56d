// Package webhookapi is the contract of the administration of the merchants' webhooks: types generated from
// openapi.yaml, and the codes of its refusals.
package webhookapi

import (
	"net/http"

	"holdfast/internal/problem"
)

// The codes of this contract, beside the common ones.
const (
	WebhookNotFound  problem.Code = "webhook_not_found"
	DeliveryNotFound problem.Code = "webhook_delivery_not_found"
	WebhookDisabled  problem.Code = "webhook_disabled"
	DeliveryPending  problem.Code = "webhook_delivery_pending"
)

// Table has every code with its HTTP status, and whether the same request may succeed later.
var Table = problem.Common.Extend(problem.Table{
	WebhookNotFound:  {Status: http.StatusNotFound, Title: "No such webhook"},
	DeliveryNotFound: {Status: http.StatusNotFound, Title: "No such webhook delivery"},
	WebhookDisabled:  {Status: http.StatusConflict, Title: "The webhook is disabled"},
	DeliveryPending:  {Status: http.StatusConflict, Title: "The webhook delivery is pending"},
})
