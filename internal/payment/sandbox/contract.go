package sandbox

import (
	"net/http"
	"time"

	"holdfast/internal/money"
	"holdfast/internal/payment"
	"holdfast/internal/problem"
)

// The test methods that the sandbox knows.
const (
	MethodOK                = "pm_ok"
	MethodDeclined          = "pm_declined"           // declined: card_declined
	MethodInsufficientFunds = "pm_insufficient_funds" // declined: insufficient_funds
	MethodTimeout           = "pm_timeout"            // authorised, but the first request gets no answer
	MethodFlaky             = "pm_flaky"              // authorised, but the first two requests are answered 503
	MethodActionRequired    = "pm_action_required"    // authorised or declined by the customer at the action's address
)

// Codes of the sandbox's problem documents.
const (
	CodeDeclined problem.Code = "payment_declined" // detail: the code of the decline
	CodeVoided   problem.Code = "payment_voided"
	CodeCaptured problem.Code = "payment_captured"
	CodeKeyUsed  problem.Code = "payment_key_used"
	CodeRefused  problem.Code = "payment_refused" // detail: the code of the refusal
	CodeUnknown  problem.Code = "payment_unknown"
)

// Table is the sandbox's contract: code, HTTP status, retryable.
var Table = problem.Common.Extend(problem.Table{
	CodeDeclined: {Status: http.StatusPaymentRequired, Title: "The payment was declined"},
	CodeVoided:   {Status: http.StatusConflict, Title: "The payment was voided"},
	CodeCaptured: {Status: http.StatusConflict, Title: "The payment is captured"},
	CodeKeyUsed:  {Status: http.StatusUnprocessableEntity, Title: "The payment key names another payment"},
	CodeRefused:  {Status: http.StatusUnprocessableEntity, Title: "The payment request is not possible"},
	CodeUnknown:  {Status: http.StatusNotFound, Title: "No such payment"},
})

// RefundRequest asks to give money back.
type RefundRequest struct {
	RefundKey   string `json:"refund_key"`
	AmountMinor int64  `json:"amount_minor"`
}

// VoidRequest says why money is freed.
type VoidRequest struct {
	Reason string `json:"reason"`
}

// WebhookBody is the body of a webhook of the sandbox.
type WebhookBody struct {
	Type      payment.EventType `json:"type"`
	Timestamp time.Time         `json:"timestamp"`
	Data      WebhookData       `json:"data"`
}

// WebhookData is what has happened to which payment.
type WebhookData struct {
	Payment payment.Payment `json:"payment"`
	Refund  *payment.Refund `json:"refund,omitempty"`
}

// Operation is a call that a fault can spoil.
type Operation string

// The operations of the sandbox.
const (
	OperationAuthorise Operation = "authorise"
	OperationCapture   Operation = "capture"
	OperationVoid      Operation = "void"
	OperationRefund    Operation = "refund"
	OperationLookUp    Operation = "look_up" // of a payment or a refund
	OperationComplete  Operation = "complete_action"
)

// FaultKind is what goes wrong.
type FaultKind string

// The kinds of faults.
const (
	FaultSlow             FaultKind = "slow"              // the request is processed after the delay
	FaultDown             FaultKind = "down"              // 503, and nothing happens
	FaultAnswerLost       FaultKind = "answer_lost"       // the request is processed, then the connection breaks
	FaultDuplicateWebhook FaultKind = "duplicate_webhook" // the request's webhooks are delivered twice
	FaultLateWebhook      FaultKind = "late_webhook"      // they are delivered after the delay
)

// FaultHeader switches a fault on for one request: a kind, and for slow and late_webhook a delay, as in "slow 500ms".
const FaultHeader = "Sandbox-Fault"

// Fault is a fault that is switched on for the requests to come.
type Fault struct {
	Kind      FaultKind `json:"kind"`
	Operation Operation `json:"operation,omitempty"` // empty: every operation
	Times     int       `json:"times,omitempty"`     // requests that it spoils; 0: all until it is switched off
	DelayMS   int       `json:"delay_ms,omitempty"`  // of slow and late_webhook, in milliseconds; at most 60,000
}

// FaultList is what GET /v1/faults answers.
type FaultList struct {
	Items []Fault `json:"items"`
}

// Books is what the sandbox has taken and given back for one reference.
type Books struct {
	Reference  string          `json:"reference"`
	Currencies []CurrencyBooks `json:"currencies"`
}

// CurrencyBooks are the sums of one currency.
type CurrencyBooks struct {
	Captures   int64        `json:"captures"` // payments that were captured, refunded or not
	Authorised money.Amount `json:"authorised"`
	Captured   money.Amount `json:"captured"`
	Refunded   money.Amount `json:"refunded"`
	Net        money.Amount `json:"net"` // captured less refunded
	// Consistent is false if the refunds do not sum up to what the payments say was refunded.
	Consistent bool `json:"consistent"`
}
