// Package stripe is the payment provider Stripe behind the platform's port, with Stripe's own library. A payment is a
// PaymentIntent with manual capture. Its metadata has the caller's key, by which the package finds it again.
package stripe

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"time"

	stripego "github.com/stripe/stripe-go/v85"

	"holdfast/internal/payment"
)

// Options says how Stripe is reached.
type Options struct {
	SecretKey string
	BaseURL   string // empty: Stripe's own
	// ReturnURL is where Stripe sends a customer after an action, if the authorisation names no other address. Without
	// one, Stripe gives no address at which an action can be completed.
	ReturnURL string
	HTTP      *http.Client
}

// timeout bounds one call, which may be several requests; the timeout of the activity that makes the call is longer.
const timeout = 10 * time.Second

// Provider takes money through Stripe. It implements payment.Provider.
type Provider struct {
	api       *stripego.Client
	returnURL string
	refs      *refs
}

var _ payment.Provider = (*Provider)(nil)

// New returns a provider. The library's own repetitions are off: the caller repeats a call.
func New(o Options) *Provider {
	backend := &stripego.BackendConfig{
		HTTPClient:        o.HTTP,
		MaxNetworkRetries: stripego.Int64(0),
		EnableTelemetry:   stripego.Bool(false),
		LeveledLogger:     &stripego.LeveledLogger{Level: stripego.LevelNull}, // the caller logs errors
	}
	if o.BaseURL != "" {
		backend.URL = stripego.String(o.BaseURL)
	}
	return &Provider{
		api:       stripego.NewClient(o.SecretKey, stripego.WithBackends(stripego.NewBackendsWithConfig(backend))),
		returnURL: o.ReturnURL,
		refs:      &refs{},
	}
}

// Name returns "stripe".
func (p *Provider) Name() string { return "stripe" }

// The metadata of a PaymentIntent and a refund.
const (
	metaKey       = "payment_key"
	metaMethod    = "method"    // as the caller has sent it
	metaReference = "reference" // the order's id
	metaBarred    = "barred"    // of a PaymentIntent that takes no money: it only uses up the key
	metaRefundKey = "refund_key"
)

// expandCharge makes Stripe answer with the charge, which has the refunds' sum and the end of the authorisation.
const expandCharge = "latest_charge"

// validKey is what fits into a search of Stripe without quoting.
var validKey = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

// authoriseKey is the idempotency key of an authorisation. bar uses the same key for another request.
func authoriseKey(key string) string { return "authorise-" + key }

// Authorise implements payment.Provider.
func (p *Provider) Authorise(ctx context.Context, a payment.Authorisation) (payment.Payment, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if !validKey.MatchString(a.Key) {
		return payment.Payment{}, &payment.RefusedError{Code: payment.InvalidKey}
	}
	amount, ok := toStripe(a.Amount)
	if !ok {
		return payment.Payment{}, &payment.RefusedError{Code: payment.InvalidAmount}
	}
	params := &stripego.PaymentIntentCreateParams{
		Amount:             stripego.Int64(amount.units),
		Currency:           stripego.String(amount.currency),
		CaptureMethod:      stripego.String(stripego.PaymentIntentCaptureMethodManual),
		Confirm:            stripego.Bool(true),
		PaymentMethod:      stripego.String(a.Method),
		PaymentMethodTypes: stripego.StringSlice([]string{"card"}),
		Description:        stripego.String("Order " + a.Reference),
		Metadata:           map[string]string{metaKey: a.Key, metaMethod: a.Method, metaReference: a.Reference},
	}
	if returnURL := a.ReturnURL; returnURL != "" || p.returnURL != "" {
		if returnURL == "" {
			returnURL = p.returnURL
		}
		params.ReturnURL = stripego.String(returnURL)
	}
	params.AddExpand(expandCharge)
	params.SetIdempotencyKey(authoriseKey(a.Key))

	intent, err := p.api.V1PaymentIntents.Create(ctx, params)
	if err != nil {
		return p.notAuthorised(ctx, a, err)
	}
	p.refs.add(a.Key, intent.ID)
	if replayed(intent.LastResponse) { // the answer is that of the first request: the payment may have changed since
		return p.current(ctx, a)
	}
	out, err := toPayment(intent)
	if err != nil {
		return payment.Payment{}, err
	}
	return out.Answer()
}

// notAuthorised returns what an error of an authorisation means.
func (p *Provider) notAuthorised(ctx context.Context, a payment.Authorisation, err error) (payment.Payment, error) {
	var e *stripego.Error
	if !errors.As(err, &e) {
		return payment.Payment{}, unknown("authorise", err)
	}
	switch {
	case e.Type == stripego.ErrorTypeIdempotency:
		return p.current(ctx, a)
	case e.Type == stripego.ErrorTypeCard && e.PaymentIntent != nil:
		p.refs.add(a.Key, e.PaymentIntent.ID)
		if replayed(e.LastResponse) {
			return p.current(ctx, a)
		}
		return payment.Payment{}, &payment.DeclinedError{Code: declineCode(e)}
	case e.Type == stripego.ErrorTypeCard:
		return payment.Payment{}, &payment.DeclinedError{Code: declineCode(e)}
	case refuses(e):
		return payment.Payment{}, &payment.RefusedError{Code: refusalCode(e)}
	}
	return payment.Payment{}, unknown("authorise", err)
}

// current answers an authorisation whose key Stripe has seen before: from the payment as it is now, if it is the same.
func (p *Provider) current(ctx context.Context, a payment.Authorisation) (payment.Payment, error) {
	intent, err := p.find(ctx, a.Key)
	if errors.Is(err, payment.ErrUnknown) {
		return payment.Payment{}, errors.New("stripe knows the key but finds no payment yet; ask again")
	}
	if err != nil {
		return payment.Payment{}, err
	}
	out, err := toPayment(intent)
	switch {
	case err != nil:
		return payment.Payment{}, err
	case barred(intent):
		return payment.Payment{}, payment.ErrVoided
	case out.Amount != a.Amount || intent.Metadata[metaMethod] != a.Method:
		return payment.Payment{}, payment.ErrKeyUsed
	}
	return out.Answer()
}

// Capture implements payment.Provider. It sends no idempotency key of its own, because Stripe would repeat a refusal
// under it after the customer has completed an action. Stripe captures a PaymentIntent once.
func (p *Provider) Capture(ctx context.Context, key string) (payment.Payment, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ref, err := p.ref(ctx, key)
	if err != nil {
		return payment.Payment{}, err
	}
	params := &stripego.PaymentIntentCaptureParams{}
	params.AddExpand(expandCharge)
	intent, err := p.api.V1PaymentIntents.Capture(ctx, ref, params)
	if err == nil {
		return toPayment(intent)
	}
	if !isRefusal(err) {
		return payment.Payment{}, unknown("capture", err)
	}

	out, intent, err := p.get(ctx, key)
	switch {
	case err != nil:
		return payment.Payment{}, err
	case out.State == payment.Captured:
		return out, nil
	case lapsed(intent):
		return payment.Payment{}, &payment.RefusedError{Code: payment.AuthorisationExpired}
	case out.State == payment.Authorised:
		return payment.Payment{}, errors.New("stripe refuses to capture a payment that it calls authorised; ask again")
	}
	return payment.Payment{}, &payment.RefusedError{Code: payment.NotAuthorised}
}

// Get implements payment.Provider.
func (p *Provider) Get(ctx context.Context, key string) (payment.Payment, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out, _, err := p.get(ctx, key)
	return out, err
}

func (p *Provider) get(ctx context.Context, key string) (payment.Payment, *stripego.PaymentIntent, error) {
	intent, err := p.find(ctx, key)
	if err != nil {
		return payment.Payment{}, nil, err
	}
	out, err := toPayment(intent)
	return out, intent, err
}
