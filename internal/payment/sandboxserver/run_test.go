package sandboxserver

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/await"
	"holdfast/internal/database"
	"holdfast/internal/payment"
	"holdfast/internal/payment/paymenttest"
	"holdfast/internal/payment/sandbox"
	"holdfast/internal/service"
	"holdfast/internal/telemetry"
	"holdfast/internal/webhook"
	"holdfast/tests/testenv"
)

// TestProcess runs the process as it is configured in production: it answers, delivers its webhooks, and stops.
func TestProcess(t *testing.T) {
	t.Parallel()
	secret := webhook.NewSecret()
	keys, err := webhook.ParseKeys([]string{secret})
	require.NoError(t, err)
	r := &receiver{
		reader: sandbox.Webhooks{Keys: keys},
		bodies: map[string][]string{},
		answer: always(http.StatusOK),
	}
	receives := httptest.NewServer(r)
	defer receives.Close()
	cfg := Config{
		DatabaseURL:    testenv.Database(t),
		Listen:         "127.0.0.1:0",
		ServiceKeys:    []string{"a key"},
		AuthorisedFor:  time.Hour,
		WebhookURL:     receives.URL,
		WebhookSecrets: []string{secret},
		Pool:           database.Pool{MaxConns: 4, ConnectTimeout: 5 * time.Second},
	}
	_, err = database.Migrate(t.Context(), cfg.DatabaseURL, database.Sandbox)
	require.NoError(t, err)

	address := make(chan string, 1)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, cfg, service.Env{
			Log:      slog.New(slog.DiscardHandler),
			Registry: telemetry.NewRegistry(),
			OnListen: func(a net.Addr) { address <- a.String() },
		})
	}()
	client := sandbox.New("http://"+<-address, "a key", &http.Client{Transport: &http.Transport{DisableKeepAlives: true}})
	_, err = client.Authorise(t.Context(), paymenttest.New(sandbox.MethodOK))
	require.NoError(t, err)

	within, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, await.Until(within, 10*time.Millisecond, func() error {
		if len(r.got(t)) == 0 {
			return errWaiting
		}
		return nil
	}))
	require.Equal(t, payment.EventAuthorised, r.got(t)[0].Type)
	stop()
	require.NoError(t, <-ended)
}
