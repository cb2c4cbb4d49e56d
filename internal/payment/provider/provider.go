// Package provider makes the payment provider that the configuration chooses. It alone knows all of them.
package provider

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"holdfast/internal/breaker"
	"holdfast/internal/payment"
	"holdfast/internal/payment/sandbox"
	"holdfast/internal/payment/stripe"
	"holdfast/internal/webhook"
)

// The providers.
const (
	Sandbox = "sandbox"
	Stripe  = "stripe"
)

// Config chooses the provider that takes money.
type Config struct {
	Name string `env:"PAYMENT_PROVIDER" envDefault:"sandbox"`
	// ReturnURL is where a customer comes back to after an action at the bank.
	ReturnURL       string `env:"PAYMENT_RETURN_URL"`
	SandboxURL      string `env:"PAYMENT_SANDBOX_URL" envDefault:"http://127.0.0.1:3003"`
	StripeSecretKey string `env:"STRIPE_SECRET_KEY"`
	StripeURL       string `env:"STRIPE_API_URL" envDefault:"https://api.stripe.com"`
	// Timeout limits one call, which may be several requests.
	Timeout time.Duration `env:"PAYMENT_TIMEOUT" envDefault:"10s"`
	Breaker breaker.Config
}

// Validate refuses an unknown provider, and one whose settings are missing or wrong.
func (c Config) Validate() error {
	var faults []error
	if c.Timeout <= 0 || c.Timeout > maxTimeout {
		faults = append(faults, fmt.Errorf("PAYMENT_TIMEOUT is %s; it must be more than 0 and at most %s",
			c.Timeout, maxTimeout))
	}
	addresses := map[string]string{}
	switch c.Name {
	case Sandbox:
		addresses["PAYMENT_SANDBOX_URL"] = c.SandboxURL
	case Stripe:
		addresses["STRIPE_API_URL"] = c.StripeURL
		addresses["PAYMENT_RETURN_URL"] = c.ReturnURL
		if c.StripeSecretKey == "" {
			faults = append(faults, errors.New("STRIPE_SECRET_KEY is not set, and PAYMENT_PROVIDER is stripe"))
		}
	default:
		faults = append(faults, unknown(c.Name))
	}
	for name, address := range addresses {
		if u, err := url.Parse(address); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			faults = append(faults, fmt.Errorf("%s is not an address that begins with http:// or https://", name))
		}
	}
	return errors.Join(faults...)
}

func unknown(name string) error {
	return fmt.Errorf("PAYMENT_PROVIDER is %q; it is %s or %s", name, Sandbox, Stripe)
}

// New returns the chosen provider for a process. serviceKey is what the sandbox asks for.
func New(c Config, process, serviceKey string, httpClient *http.Client) (payment.Provider, error) {
	switch c.Name {
	case Sandbox:
		return sandbox.New(c.SandboxURL, serviceKey, httpClient).ReturningTo(c.ReturnURL).From(process), nil
	case Stripe:
		return stripe.New(stripe.Options{
			SecretKey: c.StripeSecretKey,
			BaseURL:   c.StripeURL,
			ReturnURL: c.ReturnURL,
			HTTP:      httpClient,
		}), nil
	}
	return nil, unknown(c.Name)
}

// WebhookConfig says how the process that receives the provider's webhooks verifies them. It is apart from Config,
// because that process takes no money and needs no secret key.
type WebhookConfig struct {
	Name string `env:"PAYMENT_PROVIDER" envDefault:"sandbox"`
	// Secrets are those of the sandbox, each whsec_ and base64; several during a rotation.
	Secrets []string `env:"PAYMENT_WEBHOOK_SECRETS"`
	// StripeSecrets are those of the endpoint at Stripe; several during a rotation.
	StripeSecrets []string `env:"STRIPE_WEBHOOK_SECRET"`
}

// Configured reports whether there is a secret, so that webhooks can be received. Without webhooks an order looks its
// payment up at the end of the time that the customer has for an action.
func (c WebhookConfig) Configured() bool { return len(c.Secrets) > 0 || len(c.StripeSecrets) > 0 }

// NewWebhooks returns the reader of the chosen provider's webhooks. It fails without a secret.
func NewWebhooks(c WebhookConfig) (payment.Webhooks, error) {
	switch c.Name {
	case Sandbox:
		keys, err := webhook.ParseKeys(c.Secrets)
		if err != nil {
			return nil, fmt.Errorf("PAYMENT_WEBHOOK_SECRETS: %w", err)
		}
		return sandbox.Webhooks{Keys: keys}, nil
	case Stripe:
		if len(c.StripeSecrets) == 0 {
			return nil, errors.New("STRIPE_WEBHOOK_SECRET is not set, and PAYMENT_PROVIDER is stripe")
		}
		return stripe.Webhooks{Secrets: c.StripeSecrets}, nil
	}
	return nil, unknown(c.Name)
}
