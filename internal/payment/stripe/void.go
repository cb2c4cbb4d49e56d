package stripe

import (
	"context"
	"errors"

	stripego "github.com/stripe/stripe-go/v85"

	"holdfast/internal/payment"
)

// Void implements payment.Provider. Stripe takes no free text as a reason, so reason is not sent.
func (p *Provider) Void(ctx context.Context, key, _ string) (payment.Payment, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if !validKey.MatchString(key) {
		return payment.Payment{}, &payment.RefusedError{Code: payment.InvalidKey}
	}
	ref, err := p.ref(ctx, key)
	if errors.Is(err, payment.ErrUnknown) {
		ref, err = p.bar(ctx, key)
	}
	if err != nil {
		return payment.Payment{}, err
	}

	params := &stripego.PaymentIntentCancelParams{
		CancellationReason: stripego.String(stripego.PaymentIntentCancellationReasonAbandoned),
	}
	params.AddExpand(expandCharge)
	intent, err := p.api.V1PaymentIntents.Cancel(ctx, ref, params)
	if err == nil {
		return toPayment(intent)
	}
	if !isRefusal(err) {
		return payment.Payment{}, unknown("void", err)
	}
	out, _, err := p.get(ctx, key)
	switch {
	case err != nil:
		return payment.Payment{}, err
	case out.State == payment.Captured:
		return payment.Payment{}, payment.ErrCaptured
	case out.State == payment.Voided || out.State == payment.Declined:
		return out, nil
	}
	return payment.Payment{}, errors.New("stripe refuses to void a payment that is " + string(out.State) + "; ask again")
}

// bar makes sure that a key that Stripe does not know is never authorised: it uses up the idempotency key of the
// authorisation with a PaymentIntent that is never confirmed, so it takes no money. An authorisation that arrives later
// gets an idempotency error. If the authorisation was faster, bar gets that error and returns the payment.
//
// Stripe keeps an idempotency key for at least 24 hours. No authorisation is under way for so long.
func (p *Provider) bar(ctx context.Context, key string) (ref string, err error) {
	params := &stripego.PaymentIntentCreateParams{
		Amount:             stripego.Int64(100), // never charged; Stripe demands an amount
		Currency:           stripego.String(stripego.CurrencyUSD),
		CaptureMethod:      stripego.String(stripego.PaymentIntentCaptureMethodManual),
		PaymentMethodTypes: stripego.StringSlice([]string{"card"}),
		Description:        stripego.String("Voided before it was authorised; takes no money"),
		Metadata:           map[string]string{metaKey: key, metaBarred: "true"},
	}
	params.SetIdempotencyKey(authoriseKey(key))
	intent, err := p.api.V1PaymentIntents.Create(ctx, params)
	var e *stripego.Error
	switch {
	case err == nil:
		p.refs.add(key, intent.ID)
		return intent.ID, nil
	case errors.As(err, &e) && e.Type == stripego.ErrorTypeIdempotency:
		intent, err := p.find(ctx, key)
		if err != nil {
			return "", errors.New("stripe knows the key but finds no payment yet; ask again")
		}
		return intent.ID, nil
	}
	return "", unknown("bar a key", err)
}
