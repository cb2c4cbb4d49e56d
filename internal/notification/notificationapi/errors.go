// Package notificationapi is the contract of the administration of notifications: types generated from openapi.yaml,
// and the codes of its refusals.
package notificationapi

import (
	"net/http"

	"holdfast/internal/problem"
)

// The codes of this contract, beside the common ones.
const (
	NotificationNotFound problem.Code = "notification_not_found"
	NotificationPending  problem.Code = "notification_pending"
)

// Table has every code with its HTTP status, and whether the same request may succeed later.
var Table = problem.Common.Extend(problem.Table{
	NotificationNotFound: {Status: http.StatusNotFound, Title: "No such notification"},
	NotificationPending:  {Status: http.StatusConflict, Title: "The notification is pending", Retryable: true},
})
