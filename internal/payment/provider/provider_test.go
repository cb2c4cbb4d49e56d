package provider

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/internal/config"
	"holdfast/internal/webhook"
)

// TestProviderIsChosen: the configuration chooses the provider and its webhooks, and names what is missing.
func TestProviderIsChosen(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(key, []byte("sk_test_1\n"), 0o600))
	for _, c := range []struct {
		vars map[string]string
		want string
		lack []string
	}{
		{nil, "sandbox", nil},
		{map[string]string{"PAYMENT_SANDBOX_URL": "nowhere"}, "", []string{"PAYMENT_SANDBOX_URL"}},
		{map[string]string{"PAYMENT_PROVIDER": "stripe"}, "", []string{"STRIPE_SECRET_KEY", "PAYMENT_RETURN_URL"}},
		{map[string]string{
			"PAYMENT_PROVIDER": "stripe", "STRIPE_SECRET_KEY_FILE": key, "PAYMENT_RETURN_URL": "https://shop.example.org",
		}, "stripe", nil},
		{map[string]string{"PAYMENT_PROVIDER": "cash"}, "", []string{"PAYMENT_PROVIDER"}},
	} {
		if c.vars == nil {
			c.vars = map[string]string{}
		}
		cfg, err := config.LoadFrom[Config](c.vars)
		for _, name := range c.lack {
			require.ErrorContains(t, err, name)
		}
		if c.want == "" {
			continue
		}
		require.NoError(t, err)
		p, err := New(cfg, "worker", "a key", http.DefaultClient)
		require.NoError(t, err)
		require.Equal(t, c.want, p.Name())
	}
	_, err := New(Config{Name: "cash"}, "worker", "", nil)
	require.ErrorContains(t, err, "PAYMENT_PROVIDER")
}

// TestWebhooksAreChosen: without a secret no webhook could be trusted, so there is no reader.
func TestWebhooksAreChosen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg WebhookConfig
		ok  bool
	}{
		{WebhookConfig{Name: Sandbox}, false},
		{WebhookConfig{Name: Sandbox, Secrets: []string{"short"}}, false},
		{WebhookConfig{Name: Sandbox, Secrets: []string{webhook.NewSecret(), webhook.NewSecret()}}, true},
		{WebhookConfig{Name: Stripe}, false},
		{WebhookConfig{Name: Stripe, StripeSecrets: []string{"whsec_1"}}, true},
		{WebhookConfig{Name: "cash", StripeSecrets: []string{"whsec_1"}}, false},
	} {
		reader, err := NewWebhooks(c.cfg)
		require.Equal(t, c.ok, err == nil, "%+v", c.cfg)
		if c.ok {
			_, err = reader.ReadWebhook(http.Header{}, nil)
			require.ErrorContains(t, err, "webhook_header_missing")
		}
	}
}
