// Package payment is the port to a payment provider: the calls of the platform, the outcomes that decide an order's
// next state, and the events that a provider sends by itself. It does no I/O; the packages below it implement
// providers, and paymenttest has the cases that every provider passes.
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
	RequiresAction State = "requires_action" // the customer has to act first; no money is set aside
	Authorised     State = "authorised"      // the money is set aside
	Declined       State = "declined"
	Captured       State = "captured" // the money is taken; a part or all of it may be refunded
	Voided         State = "voided"   // the money is no longer set aside, by a void or because its time is over
)

// Payment is one payment as the provider knows it.
type Payment struct {
	Key           string       `json:"payment_key"` // made by the caller; names the payment in every call
	ProviderRef   string       `json:"provider_ref"`
	Amount        money.Amount `json:"amount"`
	CapturedMinor int64        `json:"captured_minor"`
	RefundedMinor int64        `json:"refunded_minor"`
	State         State        `json:"state"`
	// AuthorisedUntil is when the provider lets go of money that is set aside. A capture must come before.
	AuthorisedUntil *time.Time `json:"authorised_until,omitempty"`
	DeclineCode     Code       `json:"decline_code,omitempty"` // of a declined payment
	Action          *Action    `json:"action,omitempty"`       // of a payment that requires one
}

// Action is what a customer does at the provider or the bank before a payment can be authorised, as in 3-D Secure.
type Action struct {
	URL string `json:"url"` // where the customer does it, in a browser
}

// Refund is money given back from a captured payment.
type Refund struct {
	Key         string      `json:"refund_key"` // made by the caller
	ProviderRef string      `json:"provider_ref"`
	AmountMinor int64       `json:"amount_minor"`
	State       RefundState `json:"state"`
}

// RefundState is the state of a refund at the provider.
type RefundState string

// The states of a refund.
const (
	RefundPending   RefundState = "pending" // the provider has accepted it
	RefundSucceeded RefundState = "succeeded"
	RefundFailed    RefundState = "failed" // the bank has sent the money back: a person must pay it out otherwise
)

// Authorisation asks to set an amount aside.
type Authorisation struct {
	Key       string       `json:"payment_key"`
	Method    string       `json:"method"`
	Amount    money.Amount `json:"amount"`
	Reference string       `json:"reference"` // shown to the customer and the bank: the order's id
	// ReturnURL is where the provider sends the customer after an action. Empty: the provider's configured address.
	ReturnURL string `json:"return_url,omitempty"`
}

// Provider takes money. Every call names its payment by a key that the caller has made. A call is idempotent under that
// key: a repeated call returns the payment's state and moves no money twice. Any error that is not an error of this
// package means that the outcome is unknown; the caller repeats the same call under the same key, or looks the payment
// up by it. A provider may forget a key a day after its first use: a caller that repeats a call later than that looks
// the payment up first.
type Provider interface {
	Name() string

	// Authorise sets the money aside. *DeclinedError: the bank or the provider refuses. *ActionRequiredError: the
	// customer has to act first; afterwards the same call, a look-up or an Event tells the outcome. *RefusedError: the
	// request is not possible. ErrVoided: the key was voided before, or the authorisation's time is over. ErrKeyUsed:
	// the key names another payment.
	Authorise(ctx context.Context, a Authorisation) (Payment, error)

	// Capture takes the whole authorised amount, once. *RefusedError: the money is not set aside, or no longer.
	// ErrUnknown: the provider has never received the key.
	Capture(ctx context.Context, key string) (Payment, error)

	// Void releases the authorised amount, and ends an action that the customer has not completed. A key that the
	// provider does not know can never be authorised afterwards. A declined payment stays declined. ErrCaptured: the
	// money is taken already, and only a refund gives it back.
	Void(ctx context.Context, key, reason string) (Payment, error)

	// Refund gives back a part or all of the captured amount, in minor units, once per refundKey. A payment can have
	// several refunds, in sum never more than was captured. *RefusedError: the amount is more than the rest that is
	// captured and not refunded yet, or the bank has sent this refund back (RefundSentBack). ErrKeyUsed: the refundKey
	// names a refund of another payment or amount. ErrUnknown: the provider has never received the payment's key.
	Refund(ctx context.Context, key, refundKey string, amountMinor int64) (Payment, error)

	// Get returns the payment, and so resolves an unknown outcome. ErrUnknown: the provider has never received the key.
	// The request may still be under way; after a Void it can do no harm.
	Get(ctx context.Context, key string) (Payment, error)

	// GetRefund returns a refund of the payment in any state. ErrUnknown: the provider has never received one of the two
	// keys.
	GetRefund(ctx context.Context, key, refundKey string) (Refund, error)
}

// Code is why a payment is declined or a request refused. It is stable, and the same for all providers.
type Code string

// Codes of declined payments.
const (
	CardDeclined         Code = "card_declined" // the bank names no reason, or one that a customer must not learn
	InsufficientFunds    Code = "insufficient_funds"
	ExpiredCard          Code = "expired_card"
	IncorrectCardDetails Code = "incorrect_card_details"
	AuthenticationFailed Code = "authentication_failed" // the customer did not complete the action, or refused it
	ProcessingError      Code = "processing_error"      // at the bank or the provider; a new payment may succeed
)

// Codes of refused requests.
const (
	InvalidKey           Code = "invalid_payment_key"
	UnknownMethod        Code = "unknown_payment_method"
	InvalidAmount        Code = "invalid_amount" // negative, or not possible in this currency at the provider
	InvalidReturnURL     Code = "invalid_return_url"
	NotAuthorised        Code = "payment_not_authorised" // nothing is set aside that could be captured
	AuthorisationExpired Code = "authorisation_expired"
	NotCaptured          Code = "payment_not_captured" // nothing is taken that could be refunded
	MoreThanCaptured     Code = "more_than_was_captured"
	InvalidRefund        Code = "invalid_refund"
	RefundSentBack       Code = "refund_sent_back"        // by the bank: a person must pay the money out otherwise
	RequestInvalid       Code = "payment_request_invalid" // the provider refuses the request for another reason
)

// Errors that are final.
var (
	ErrUnknown  = errors.New("the provider does not know this payment")
	ErrVoided   = errors.New("the payment was voided")
	ErrCaptured = errors.New("the payment is captured")
	ErrKeyUsed  = errors.New("the payment key names another payment")
)

// DeclinedError says that the customer's bank or the provider refuses the payment.
type DeclinedError struct {
	Code Code
}

func (e *DeclinedError) Error() string { return "payment declined: " + string(e.Code) }

// ActionRequiredError says that the customer has to act before the payment can be authorised.
type ActionRequiredError struct {
	Payment Payment // its Action is never nil
}

func (e *ActionRequiredError) Error() string { return "the payment requires an action of the customer" }

// RefusedError says that the provider finds the request itself impossible.
type RefusedError struct {
	Code Code
}

func (e *RefusedError) Error() string { return "payment request refused: " + string(e.Code) }
