// Package payment is the port to a payment provider: the calls of the platform, and the answers that decide an order's
// next state. It is pure; the packages below it implement providers.
package payment

import (
	"context"
	"errors"
	"time"

	"holdfast/internal/money"
)

// State is the state of a payment at the provider.
type State string

// The states of a payment.
const (
	Authorised State = "authorised" // the money is set aside
	Declined   State = "declined"
	Captured   State = "captured" // the money is taken
	Voided     State = "voided"   // the money is no longer set aside
)

// Payment is one payment as the provider knows it.
type Payment struct {
	Key             string       `json:"payment_key"` // made by the caller; names the payment in every call
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

// Provider takes money. Every call names its payment by a key that the caller has made. A call is idempotent under that
// key: a repeated call returns the payment's state and moves no money twice. Any error that is not an error of this
// package means that the outcome is unknown; the caller must repeat the same call.
type Provider interface {
	Name() string

	// Authorise sets the money aside. *DeclinedError: the bank or the provider refuses. ErrVoided: the key was voided
	// before. ErrKeyUsed: the key names another payment.
	Authorise(ctx context.Context, a Authorisation) (Payment, error)

	// Capture takes the whole authorised amount, once. *RefusedError: the money is no longer set aside.
	Capture(ctx context.Context, key string) (Payment, error)

	// Void releases the authorised amount. A key that the provider does not know can never be authorised afterwards.
	// ErrCaptured: the money is taken already, and only a refund gives it back.
	Void(ctx context.Context, key, reason string) (Payment, error)

	// Refund gives back a part or all of the captured amount, once per refundKey. *RefusedError: the amount is more
	// than the rest that is captured and not refunded yet.
	Refund(ctx context.Context, key, refundKey string, amountMinor int64) (Payment, error)

	// Get returns the payment. ErrUnknown: the provider has never received the key.
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
