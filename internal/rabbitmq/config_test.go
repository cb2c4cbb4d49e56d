package rabbitmq_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/rabbitmq"
)

// TestConfigIsChecked: every fault is named, and a faulty address does not put its password into the log.
func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	require.NoError(t, config("amqp://guest:guest@127.0.0.1:5672/").Validate())

	bad := rabbitmq.Config{URL: "http://user:secret@127.0.0.1/", Heartbeat: time.Millisecond}
	err := bad.Validate()
	for _, name := range []string{
		"AMQP_URL", "AMQP_HEARTBEAT", "AMQP_CONNECT_TIMEOUT", "AMQP_CONFIRM_TIMEOUT", "AMQP_RECONNECT_MAX",
	} {
		require.ErrorContains(t, err, name)
	}
	require.NotContains(t, err.Error(), "secret")
}
