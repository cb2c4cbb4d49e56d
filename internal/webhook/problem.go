package webhook

import (
	"net/http"

	"holdfast/internal/problem"
)

// Codes of the problems that a receiver of webhooks answers.
const (
	CodeHeaderMissing    problem.Code = "webhook_header_missing"
	CodeHeaderInvalid    problem.Code = "webhook_header_invalid"
	CodeSignatureInvalid problem.Code = "webhook_signature_invalid"
	CodeTooOld           problem.Code = "webhook_too_old"
	CodeTooNew           problem.Code = "webhook_too_new"
	CodeContentInvalid   problem.Code = "webhook_content_invalid" // signed, but not what this receiver can read
)

// Table is a receiver's contract: code, HTTP status, retryable. A sender that retries signs the webhook again with the
// present time, so a webhook that is too old is retryable.
var Table = problem.Common.Extend(problem.Table{
	CodeHeaderMissing:    {Status: http.StatusBadRequest, Title: "The webhook is not signed"},
	CodeHeaderInvalid:    {Status: http.StatusBadRequest, Title: "A header of the webhook is not valid"},
	CodeSignatureInvalid: {Status: http.StatusUnauthorized, Title: "The webhook's signature is not valid"},
	CodeTooOld:           {Status: http.StatusUnauthorized, Retryable: true, Title: "The webhook is too old"},
	CodeTooNew:           {Status: http.StatusUnauthorized, Retryable: true, Title: "The webhook is from the future"},
	CodeContentInvalid:   {Status: http.StatusBadRequest, Title: "The webhook's content is not valid"},
})
