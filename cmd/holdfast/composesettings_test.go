package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"

	"holdfast/api/server"
	"holdfast/gateway"
	"holdfast/internal/codecserver"
	"holdfast/internal/config"
	"holdfast/internal/eventprocess"
	"holdfast/internal/payloadcodec"
	"holdfast/internal/payment/provider"
	"holdfast/internal/payment/sandboxserver"
	"holdfast/inventory"
	"holdfast/workers"
)

// productionConfigurations are what the processes make of the environments of their containers.
type productionConfigurations struct {
	gateway gateway.Config
	api     server.Config
	events  eventprocess.Config
	worker  workers.Config
	audit   auditProvider
}

// loadProduction reads the environment of each container of compose.prod.yml, with an operator's settings and with the
// files in dir as its secrets.
func loadProduction(t *testing.T, dir string, settings ...string) (out productionConfigurations) {
	t.Helper()
	project := composeWith(t, settings, productionFile)
	_ = loadContainer[inventory.Config](t, project, dir, "inventory")
	_ = loadContainer[sandboxserver.Config](t, project, dir, "payment-sandbox")
	_ = loadContainer[workers.Config](t, project, dir, "worker-previous")
	_ = loadContainer[auditConfig](t, project, dir, "audit")
	return productionConfigurations{
		gateway: loadContainer[gateway.Config](t, project, dir, "gateway"),
		api:     loadContainer[server.Config](t, project, dir, "api"),
		events:  loadContainer[eventprocess.Config](t, project, dir, "events"),
		worker:  loadContainer[workers.Config](t, project, dir, "worker"),
		audit:   loadContainer[auditProvider](t, project, dir, "audit"),
	}
}

func loadContainer[T any](t *testing.T, project *types.Project, dir, service string) T {
	t.Helper()
	vars := map[string]string{}
	for name, value := range project.Services[service].Environment {
		vars[name] = strings.Replace(*value, "/run/secrets", dir, 1)
	}
	out, err := config.LoadFrom[T](vars)
	require.NoError(t, err, service)
	return out
}

// TestComposeSettingsOfProduction: with the secrets of make-secrets.sh each process of compose.prod.yml has a valid
// configuration. An operator chooses Stripe, another login and mail by settings and secrets alone.
func TestComposeSettingsOfProduction(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script, err := filepath.Abs(root + "deploy/docker/make-secrets.sh")
	require.NoError(t, err)
	said, err := exec.CommandContext(t.Context(), "/bin/sh", script, dir).CombinedOutput()
	require.NoError(t, err, string(said))
	write := func(name, content string) {
		path := filepath.Join(dir, name)
		require.FileExists(t, path)
		require.NoError(t, os.Chmod(path, 0o600))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}

	first := loadProduction(t, dir)
	require.Equal(t, provider.Sandbox, first.worker.Payment.Name)
	require.Equal(t, "log", first.events.Notify.Channel)
	require.False(t, first.api.Webhooks.Configured())
	require.NotEmpty(t, first.gateway.Auth.Secret)

	write("jwt_secret", "")
	write("stripe_secret_key", "sk_example\n")
	write("stripe_webhook_secret", "whsec_example\n")
	write("smtp_password", "a password\n")
	write("temporal_payload_keys", payloadcodec.NewKey())
	own := loadProduction(t, dir,
		"PAYMENT_PROVIDER=stripe", "PAYMENT_RETURN_URL=https://shop.example/orders",
		"JWKS_URL=https://id.example/keys", "JWT_ISSUER=https://id.example/", "JWT_AUDIENCE=https://shop.example",
		"NOTIFY_CHANNEL=smtp", "NOTIFY_SHOP=Tea & Co", "SMTP_HOST=mail.example", "SMTP_PORT=465", "SMTP_TLS=implicit",
		"SMTP_USERNAME=shop", "SMTP_FROM=Tea & Co <orders@shop.example>",
	)
	require.Equal(t, own.worker.Payment, own.audit.Payment)
	require.Equal(t, provider.Stripe, own.worker.Payment.Name)
	require.Equal(t, "sk_example", own.worker.Payment.StripeSecretKey)
	_, err = provider.NewWebhooks(own.api.Webhooks)
	require.NoError(t, err)
	require.Equal(t, "https://id.example/keys", own.gateway.Auth.JWKSURL)
	require.Equal(t, "https://id.example/", own.gateway.Auth.Issuer)
	require.Equal(t, "https://shop.example", own.gateway.Auth.Audience)
	require.Equal(t, "smtp", own.events.Notify.Channel)
	require.Equal(t, 465, own.events.Notify.SMTP.Port)
	require.Equal(t, "a password", own.events.Notify.SMTP.Password)
	_ = loadContainer[codecserver.Config](t, composeWith(t, []string{
		"JWKS_URL=https://id.example/keys", "CODEC_ORIGINS=https://temporal.example",
	}, productionFile), dir, "codec")
}
