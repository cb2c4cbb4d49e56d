package stripe

import (
	"context"
	"errors"

	stripego "github.com/stripe/stripe-go/v85"

	"holdfast/internal/money"
	"holdfast/internal/payment"
)

// Refund implements payment.Provider. Stripe forgets an idempotency key after a day, so Refund first looks for a refund
// that has the key in its metadata.
func (p *Provider) Refund(ctx context.Context, key, refundKey string, amountMinor int64) (payment.Payment, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if amountMinor <= 0 || !validKey.MatchString(refundKey) {
		return payment.Payment{}, &payment.RefusedError{Code: payment.InvalidRefund}
	}
	paid, intent, err := p.get(ctx, key)
	switch {
	case err != nil:
		return payment.Payment{}, err
	case paid.State != payment.Captured:
		return payment.Payment{}, &payment.RefusedError{Code: payment.NotCaptured}
	}
	amount, ok := toStripe(money.Amount{Minor: amountMinor, Currency: paid.Amount.Currency})
	if !ok {
		return payment.Payment{}, &payment.RefusedError{Code: payment.InvalidRefund}
	}

	known, err := p.findRefund(ctx, intent, refundKey)
	switch {
	case err == nil && known.AmountMinor != amountMinor:
		return payment.Payment{}, payment.ErrKeyUsed
	case err == nil:
		return p.refunded(ctx, key, known)
	case !errors.Is(err, payment.ErrUnknown):
		return payment.Payment{}, err
	case amountMinor > paid.CapturedMinor-paid.RefundedMinor:
		return payment.Payment{}, &payment.RefusedError{Code: payment.MoreThanCaptured}
	}

	made, err := p.createRefund(ctx, key, intent.ID, refundKey, amount.units)
	if err != nil {
		return p.notRefunded(ctx, key, amountMinor, err)
	}
	return p.refunded(ctx, key, toRefund(made))
}

// refunded answers with the payment, unless the bank has sent the refund back.
func (p *Provider) refunded(ctx context.Context, key string, r payment.Refund) (payment.Payment, error) {
	if r.State == payment.RefundFailed {
		return payment.Payment{}, &payment.RefusedError{Code: payment.RefundSentBack}
	}
	return p.Get(ctx, key)
}

// createRefund asks for a refund in Stripe's units. The error is the library's.
func (p *Provider) createRefund(
	ctx context.Context, key, ref, refundKey string, units int64,
) (*stripego.Refund, error) {
	params := &stripego.RefundCreateParams{
		PaymentIntent: stripego.String(ref),
		Amount:        stripego.Int64(units),
		Metadata:      map[string]string{metaKey: key, metaRefundKey: refundKey},
	}
	params.SetIdempotencyKey("refund-" + refundKey)
	return p.api.V1Refunds.Create(ctx, params)
}

// notRefunded returns what an error of a refund means.
func (p *Provider) notRefunded(
	ctx context.Context, key string, amountMinor int64, err error,
) (payment.Payment, error) {
	var e *stripego.Error
	switch {
	case errors.As(err, &e) && e.Type == stripego.ErrorTypeIdempotency:
		return payment.Payment{}, payment.ErrKeyUsed
	case !isRefusal(err):
		return payment.Payment{}, unknown("refund", err)
	}
	paid, err := p.Get(ctx, key)
	switch {
	case err != nil:
		return payment.Payment{}, err
	case amountMinor > paid.CapturedMinor-paid.RefundedMinor: // other refunds were faster
		return payment.Payment{}, &payment.RefusedError{Code: payment.MoreThanCaptured}
	}
	return payment.Payment{}, &payment.RefusedError{Code: payment.RequestInvalid}
}

// GetRefund implements payment.Provider.
func (p *Provider) GetRefund(ctx context.Context, key, refundKey string) (payment.Refund, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	intent, err := p.find(ctx, key)
	if err != nil {
		return payment.Refund{}, err
	}
	return p.findRefund(ctx, intent, refundKey)
}

// findRefund returns a refund of the payment by its key, or ErrUnknown. A list of refunds is never behind.
func (p *Provider) findRefund(
	ctx context.Context, intent *stripego.PaymentIntent, refundKey string,
) (payment.Refund, error) {
	params := &stripego.RefundListParams{
		ListParams:    stripego.ListParams{Limit: stripego.Int64(pageSize)},
		PaymentIntent: stripego.String(intent.ID),
	}
	for refund, err := range p.api.V1Refunds.List(ctx, params).All(ctx) {
		if err != nil {
			return payment.Refund{}, unknown("list refunds", err)
		}
		if refund.Metadata[metaRefundKey] == refundKey {
			return toRefund(refund), nil
		}
	}
	return payment.Refund{}, payment.ErrUnknown
}

func toRefund(r *stripego.Refund) payment.Refund {
	out := payment.Refund{
		Key:         r.Metadata[metaRefundKey],
		ProviderRef: r.ID,
		AmountMinor: fromStripe(r.Amount, r.Currency).Minor,
		State:       payment.RefundPending,
	}
	switch r.Status {
	case stripego.RefundStatusSucceeded:
		out.State = payment.RefundSucceeded
	case stripego.RefundStatusFailed, stripego.RefundStatusCanceled:
		out.State = payment.RefundFailed
	case stripego.RefundStatusPending, stripego.RefundStatusRequiresAction:
	}
	return out
}
