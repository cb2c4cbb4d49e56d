package activities

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"go.temporal.io/sdk/temporal"

	"holdfast/internal/correlation"
	"holdfast/internal/payment"
	"holdfast/workflows/orderflow"
)

// Intents remembers which payments have begun.
type Intents interface {
	// BeginPayment remembers that the order's payment with this number may be made at the provider from now on. It is
	// idempotent. ErrOrderClosed: the order has ended, and no payment may begin. ErrNoRow: the order is not recorded.
	BeginPayment(ctx context.Context, order uuid.UUID, attempt int) error
}

// PaymentActivities are the steps that move money.
type PaymentActivities struct {
	provider payment.Provider
	intents  Intents
}

// NewPayment returns the activities on the given provider.
func NewPayment(provider payment.Provider, intents Intents) *PaymentActivities {
	return &PaymentActivities{provider: provider, intents: intents}
}

// AuthorisePayment sets an order's total aside. Temporal repeats it under the same key until the outcome is known; the
// provider answers a repeated key with the outcome of the first call.
//
// It may run in a workflow task that is lost afterwards, so that no history tells of it. Therefore it writes an intent
// into the orders database first: if the order ends otherwise, the record of that end returns the intent, and the
// workflow voids the payment. It refuses an order that has ended: ErrPaymentRefused.
//
// For a payment that requires an action of the customer it returns the address where the customer acts. If the order
// cannot wait for that (MayAct), it voids and refuses the payment.
func (a *PaymentActivities) AuthorisePayment(
	ctx context.Context, in orderflow.PaymentInput,
) (orderflow.PaymentResult, error) {
	ctx = correlation.WithDefault(ctx, in.CorrelationID)
	err := a.intents.BeginPayment(ctx, in.OrderID, in.Attempt)
	switch {
	case errors.Is(err, orderflow.ErrOrderClosed):
		return orderflow.PaymentResult{}, temporal.NewNonRetryableApplicationError(
			err.Error(), orderflow.ErrPaymentRefused, err, err.Error())
	case err != nil:
		return orderflow.PaymentResult{}, fmt.Errorf("begin payment %d of order %s: %w", in.Attempt, in.OrderID, err)
	}
	p, err := a.provider.Authorise(ctx, payment.Authorisation{
		Key: in.PaymentKey, Method: in.Method, Amount: in.Amount, Reference: in.OrderID.String(),
	})
	var action *payment.ActionRequiredError
	if errors.As(err, &action) && !in.MayAct {
		if _, voidErr := a.provider.Void(ctx, in.PaymentKey, actionRequired); voidErr != nil {
			return orderflow.PaymentResult{}, fmt.Errorf("void a payment that requires an action: %w", voidErr)
		}
		err = &payment.RefusedError{Code: actionRequired}
	}
	return a.result(p, "authorise", err)
}

// actionRequired is why a payment is refused that the customer would have to confirm at the bank.
const actionRequired = "action_required"

// CapturePayment takes the money that was set aside, once.
func (a *PaymentActivities) CapturePayment(
	ctx context.Context, in orderflow.PaymentInput,
) (orderflow.PaymentResult, error) {
	p, err := a.provider.Capture(correlation.WithDefault(ctx, in.CorrelationID), in.PaymentKey)
	return a.result(p, "capture", err)
}

// VoidPayment frees the money that was set aside. Afterwards the provider refuses an authorisation under this key, also
// when the key is new to it.
func (a *PaymentActivities) VoidPayment(
	ctx context.Context, in orderflow.PaymentInput,
) (orderflow.PaymentResult, error) {
	p, err := a.provider.Void(correlation.WithDefault(ctx, in.CorrelationID), in.PaymentKey, in.Reason)
	return a.result(p, "void", err)
}

// FindPayment looks a payment up and answers as AuthorisePayment would.
func (a *PaymentActivities) FindPayment(
	ctx context.Context, in orderflow.PaymentInput,
) (orderflow.PaymentResult, error) {
	p, err := a.provider.Get(correlation.WithDefault(ctx, in.CorrelationID), in.PaymentKey)
	if err == nil {
		p, err = p.Answer()
	}
	return a.result(p, "authorise", err)
}

// FindRefund finds a refund of a payment by the refund's key. Its result has the amount. It refuses a refund that the
// bank has sent back: the customer did not get the money.
func (a *PaymentActivities) FindRefund(
	ctx context.Context, in orderflow.PaymentInput,
) (orderflow.PaymentResult, error) {
	found, err := a.provider.GetRefund(correlation.WithDefault(ctx, in.CorrelationID), in.PaymentKey, in.RefundKey)
	if err == nil && found.State == payment.RefundFailed {
		err = &payment.RefusedError{Code: payment.RefundSentBack}
	}
	out, err := a.result(payment.Payment{ProviderRef: found.ProviderRef}, "find refund", err)
	out.RefundedMinor = found.AmountMinor
	return out, err
}

// RefundPayment gives back a part or all of what a payment took, once per refund key.
func (a *PaymentActivities) RefundPayment(
	ctx context.Context, in orderflow.PaymentInput,
) (orderflow.PaymentResult, error) {
	ctx = correlation.WithDefault(ctx, in.CorrelationID)
	p, err := a.provider.Refund(ctx, in.PaymentKey, in.RefundKey, in.Amount.Minor)
	return a.result(p, "refund", err)
}

func (a *PaymentActivities) result(p payment.Payment, action string, err error) (orderflow.PaymentResult, error) {
	var declined *payment.DeclinedError
	var refused *payment.RefusedError
	var waits *payment.ActionRequiredError
	switch {
	case errors.As(err, &waits):
		return orderflow.PaymentResult{
			Provider: a.provider.Name(), ProviderRef: waits.Payment.ProviderRef, ActionURL: waits.Payment.Action.URL,
		}, nil
	case err == nil:
		return orderflow.PaymentResult{
			Provider: a.provider.Name(), ProviderRef: p.ProviderRef, AuthorisedUntil: p.AuthorisedUntil,
		}, nil
	case errors.As(err, &declined):
		err = temporal.NewNonRetryableApplicationError(err.Error(), orderflow.ErrPaymentDeclined, err, string(declined.Code))
	case errors.As(err, &refused):
		err = temporal.NewNonRetryableApplicationError(err.Error(), orderflow.ErrPaymentRefused, err, string(refused.Code))
	case errors.Is(err, payment.ErrCaptured):
		err = temporal.NewNonRetryableApplicationError(err.Error(), orderflow.ErrPaymentCaptured, err)
	case errors.Is(err, payment.ErrKeyUsed), errors.Is(err, payment.ErrVoided) && action == "authorise":
		err = temporal.NewNonRetryableApplicationError(err.Error(), orderflow.ErrPaymentKeyUsed, err)
	case errors.Is(err, payment.ErrVoided), errors.Is(err, payment.ErrUnknown):
		err = temporal.NewNonRetryableApplicationError(err.Error(), orderflow.ErrPaymentRefused, err, err.Error())
	default:
		err = fmt.Errorf("%s payment: %w", action, err)
	}
	return orderflow.PaymentResult{}, err
}
