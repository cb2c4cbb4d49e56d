// Package payment is the port to a payment provider: what the platform asks of one, and the answers
// that decide an order's way. It is pure; providers live in packages below it.
package payment

import (
	"context"
	"errors"
	"time"

	"holdfast/internal/money"
)

// State is where a payment stands at the provider.
type State string

// The states of a payment.
const (
	Authorised State = "authorised" // the money is set aside
	Declined   State = "declined"
	Captured   State = "captured" // the money is taken
	Voided     State = "voided"   // what was set aside is free again
)

// Payment is one payment as the provider knows it.
type Payment struct {
	Key             string       `json:"payment_key"` // ours; names the payment in every call
	ProviderRef     string       `json:"provider_ref"`
	Amount          money.Amount `json:"amount"`
	CapturedMinor   int64        `json:"captured_minor"`
	RefundedMinor   int64        `json:"refunded_minor"`
	State           State        `json:"state"`
	AuthorisedUntil *time.Time   `json:"authorised_until,omitempty"`
}

// Authorisation asks to set an amount aside.
type Authorisation struct {
	Key       string       `json:"payment_key"`
	Method    string       `json:"method"`
	Amount    money.Amount `json:"amount"`
	Reference string       `json:"reference"` // shown to the customer and the bank: the order's id
}

// Provider takes money. Every call names its payment by a key that the caller made, and is idempotent
// under it: a repeated call answers how the payment stands and takes nothing twice. An error that is
// none of this package's means that the outcome is not known; the same call must be made again.
type Provider interface {
	Name() string
	// Authorise sets the money aside. *DeclinedError: it will not be. ErrVoided: the key was voided first.
	// ErrKeyUsed: the key names another payment.
	Authorise(ctx context.Context, a Authorisation) (Payment, error)
	// Capture takes all that was set aside, once. *RefusedError: it is no longer set aside.
	Capture(ctx context.Context, key string) (Payment, error)
	// Void frees what was set aside; an unknown key can never be authorised afterwards. ErrCaptured:
	// the money is taken already, and only a refund gives it back.
	Void(ctx context.Context, key, reason string) (Payment, error)
	// Refund gives back part or all of what was captured, once per refundKey. *RefusedError: it is more than
	// what was captured and not refunded yet.
	Refund(ctx context.Context, key, refundKey string, amountMinor int64) (Payment, error)
	// Get answers how a payment stands. ErrUnknown: the provider never saw the key.
	Get(ctx context.Context, key string) (Payment, error)
}

// Errors that are final.
var (
	ErrUnknown  = errors.New("the provider does not know this payment")
	ErrVoided   = errors.New("the payment was voided")
	ErrCaptured = errors.New("the payment is captured")
	ErrKeyUsed  = errors.New("the payment key names another payment")
)

// DeclinedError says that the customer's bank or the provider refuses the payment.
type DeclinedError struct {
	Reason string // the provider's code, as in card_declined
}

func (e *DeclinedError) Error() string { return "payment declined: " + e.Reason }

// RefusedError says that the provider finds the request itself impossible.
type RefusedError struct {
	Reason string
}

func (e *RefusedError) Error() string { return "payment request refused: " + e.Reason }
