// Package deadletterapi is the contract of the administration of dead messages: types generated from openapi.yaml, and
// the codes of its refusals.
package deadletterapi

import (
	"net/http"

	"holdfast/internal/problem"
)

// The codes of this contract, beside the common ones.
const (
	DeadMessageNotFound problem.Code = "dead_message_not_found"
	NotDead             problem.Code = "not_dead"
)

// Table has every code with its HTTP status, and whether the same request may succeed later.
var Table = problem.Common.Extend(problem.Table{
	DeadMessageNotFound: {Status: http.StatusNotFound, Title: "No such dead message"},
	NotDead:             {Status: http.StatusConflict, Title: "The message is not dead"},
})
