package activities

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/sdk/temporal"

	"holdfast/internal/correlation"
	"holdfast/internal/payment"
	"holdfast/workflows/orderflow"
)

// PaymentActivities are the steps that move money.
type PaymentActivities struct {
	provider payment.Provider
}

// NewPayment returns the activities on the given provider.
func NewPayment(provider payment.Provider) *PaymentActivities {
	return &PaymentActivities{provider: provider}
}

// AuthorisePayment sets an order's total aside. Temporal repeats it under the same key until the outcome is known; the
// provider answers a repeated key with the outcome of the first call.
func (a *PaymentActivities) AuthorisePayment(
	ctx context.Context, in orderflow.PaymentInput,
) (orderflow.PaymentResult, error) {
	ctx = correlation.With(ctx, in.CorrelationID)
	p, err := a.provider.Authorise(ctx, payment.Authorisation{
		Key: in.PaymentKey, Method: in.Method, Amount: in.Amount, Reference: in.OrderID.String(),
	})
	return a.result(p, "authorise", err)
}

// CapturePayment takes the money that was set aside, once.
func (a *PaymentActivities) CapturePayment(
	ctx context.Context, in orderflow.PaymentInput,
) (orderflow.PaymentResult, error) {
	p, err := a.provider.Capture(correlation.With(ctx, in.CorrelationID), in.PaymentKey)
	return a.result(p, "capture", err)
}

// VoidPayment frees the money that was set aside. Afterwards the provider refuses an authorisation under this key, also
// when the key is new to it.
func (a *PaymentActivities) VoidPayment(
	ctx context.Context, in orderflow.PaymentInput,
) (orderflow.PaymentResult, error) {
	p, err := a.provider.Void(correlation.With(ctx, in.CorrelationID), in.PaymentKey, in.Reason)
	return a.result(p, "void", err)
}

// RefundPayment gives back all that a payment took, once.
func (a *PaymentActivities) RefundPayment(
	ctx context.Context, in orderflow.PaymentInput,
) (orderflow.PaymentResult, error) {
	ctx = correlation.With(ctx, in.CorrelationID)
	p, err := a.provider.Refund(ctx, in.PaymentKey, in.RefundKey, in.Amount.Minor)
	return a.result(p, "refund", err)
}

func (a *PaymentActivities) result(p payment.Payment, action string, err error) (orderflow.PaymentResult, error) {
	var declined *payment.DeclinedError
	var refused *payment.RefusedError
	switch {
	case err == nil:
		return orderflow.PaymentResult{
			Provider: a.provider.Name(), ProviderRef: p.ProviderRef, AuthorisedUntil: p.AuthorisedUntil,
		}, nil
	case errors.As(err, &declined):
		err = temporal.NewNonRetryableApplicationError(err.Error(), orderflow.ErrPaymentDeclined, err, declined.Reason)
	case errors.As(err, &refused):
		err = temporal.NewNonRetryableApplicationError(err.Error(), orderflow.ErrPaymentRefused, err, refused.Reason)
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
