package notification_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/internal/config"
	"holdfast/internal/notification"
)

// TestConfiguration: the defaults send nothing, and every fault of a mail server's configuration is named.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	cfg, err := config.LoadFrom[notification.Config](map[string]string{})
	require.NoError(t, err)
	require.Equal(t, notification.ChannelLog, cfg.Channel)

	_, err = config.LoadFrom[notification.Config](map[string]string{
		"NOTIFY_CHANNEL": "smtp", "NOTIFY_LANGUAGE": "fr", "NOTIFY_WORKERS": "0", "SMTP_PORT": "70000",
		"SMTP_TLS": "none", "SMTP_USERNAME": "shop", "SMTP_FROM": "nobody", "SMTP_TIMEOUT": "2m",
	})
	for _, name := range []string{
		"NOTIFY_LANGUAGE", "NOTIFY_WORKERS", "SMTP_HOST", "SMTP_PORT", "SMTP_PASSWORD", "an encrypted connection",
		"SMTP_FROM", "SMTP_TIMEOUT",
	} {
		require.ErrorContains(t, err, name)
	}
	_, err = config.LoadFrom[notification.Config](map[string]string{"NOTIFY_CHANNEL": "pigeon"})
	require.ErrorContains(t, err, "it is log or smtp")
}
