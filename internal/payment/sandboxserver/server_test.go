package sandboxserver

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/internal/config"
	"holdfast/internal/database"
	"holdfast/internal/httpx"
	"holdfast/internal/payment"
	"holdfast/internal/payment/paymenttest"
	"holdfast/internal/payment/sandbox"
	"holdfast/internal/telemetry"
	"holdfast/internal/webhook"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// subject is a sandbox on a new database with the client that the worker uses.
type subject struct {
	*sandbox.Client
	pool   *pgxpool.Pool
	server *server
	http   *http.Client
	url    string
}

// start runs a sandbox. cfg may name a receiver of webhooks; deliver is then run by the test.
func start(t *testing.T, cfg Config) subject {
	t.Helper()
	cfg.AuthorisedFor = 7 * 24 * time.Hour
	url := testenv.Database(t)
	_, err := database.Migrate(t.Context(), url, database.Sandbox)
	require.NoError(t, err)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)

	router := httpx.NewRouter(httpx.Options{
		Log:      slog.New(slog.NewTextHandler(io.Discard, nil)),
		Registry: telemetry.NewRegistry(),
		Health:   httpx.NewHealth(),
	})
	s, err := newServer(pool, cfg)
	require.NoError(t, err)
	s.register(router, []string{"a key"})
	served := httptest.NewServer(router)
	t.Cleanup(served.Close)

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return subject{
		Client: sandbox.New(served.URL, "a key", client),
		pool:   pool,
		server: s,
		http:   client,
		url:    served.URL,
	}
}

// conforming is the sandbox as the conformance suite wants it.
func conforming(s subject) paymenttest.Subject {
	return paymenttest.Subject{
		Provider: s.Client,
		Methods: paymenttest.Methods{
			OK:                sandbox.MethodOK,
			Declined:          sandbox.MethodDeclined,
			InsufficientFunds: sandbox.MethodInsufficientFunds,
			ActionRequired:    sandbox.MethodActionRequired,
			Unknown:           "pm_unknown",
		},
		Complete: func(t *testing.T, p payment.Payment, approve bool) {
			t.Helper()
			require.NoError(t, s.CompleteAction(t.Context(), p.Action.URL, approve))
		},
		Lapse: func(t *testing.T, p payment.Payment) {
			t.Helper()
			tag, err := s.pool.Exec(t.Context(),
				"UPDATE charges SET authorised_until = now() - interval '1 second' WHERE payment_key = $1", p.Key)
			require.NoError(t, err)
			require.EqualValues(t, 1, tag.RowsAffected())
		},
	}
}

// TestSandboxConforms: the sandbox passes the cases of every provider, with webhooks and without.
func TestSandboxConforms(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"without webhooks": {},
		"with webhooks":    {WebhookURL: "http://127.0.0.1:1", WebhookSecrets: []string{webhook.NewSecret()}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, cfg)
			t.Run("conformance", func(t *testing.T) { paymenttest.Conformance(t, conforming(s)) })

			var wrong int
			require.NoError(t, s.pool.QueryRow(t.Context(), `
				SELECT count(*) FROM charges c WHERE refunded_minor <>
					(SELECT coalesce(sum(amount_minor), 0) FROM refunds r WHERE r.payment_key = c.payment_key)`).Scan(&wrong))
			require.Zero(t, wrong, "the refunds of each charge sum up to what it says")
		})
	}
}

// TestFlaky: the first two requests of a payment by pm_flaky are answered 503, and the third gets the outcome.
func TestFlaky(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	a := paymenttest.New(sandbox.MethodFlaky)
	for range 2 {
		p, err := s.Authorise(t.Context(), a)
		require.ErrorContains(t, err, "flaky")
		require.Equal(t, payment.OutcomeUnknown, payment.OutcomeOf(p, err))
	}
	p, err := s.Authorise(t.Context(), a)
	require.NoError(t, err)
	require.Equal(t, payment.Authorised, p.State)
}

// TestAnswerIsWithheld: a payment by pm_timeout is authorised, but the first request gets no answer. A look-up under
// the same key, or a later request with it, tells the outcome.
func TestAnswerIsWithheld(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	a := paymenttest.New(sandbox.MethodTimeout)
	p, err := s.Authorise(t.Context(), a)
	require.Error(t, err)
	require.Equal(t, payment.OutcomeUnknown, payment.OutcomeOf(p, err))

	got, err := s.Get(t.Context(), a.Key)
	require.NoError(t, err)
	require.Equal(t, payment.Authorised, got.State)
	_, err = s.Authorise(t.Context(), a)
	require.NoError(t, err)
}

// TestBooks: the books of an order say what was taken and given back for it, also over several payments.
func TestBooks(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	order := uuid.NewString()
	var keys []string
	for _, method := range []string{sandbox.MethodDeclined, sandbox.MethodOK, sandbox.MethodOK, sandbox.MethodOK} {
		a := paymenttest.New(method)
		a.Reference = order
		_, _ = s.Authorise(t.Context(), a)
		keys = append(keys, a.Key)
	}
	_, err := s.Capture(t.Context(), keys[1])
	require.NoError(t, err)
	_, err = s.Refund(t.Context(), keys[1], uuid.NewString(), 250)
	require.NoError(t, err)
	_, err = s.Void(t.Context(), keys[2], "test")
	require.NoError(t, err)

	books, err := s.Books(t.Context(), order)
	require.NoError(t, err)
	require.Len(t, books.Currencies, 1)
	b := books.Currencies[0]
	require.EqualValues(t, 1, b.Captures)
	require.EqualValues(t, 1250, b.Authorised.Minor)
	require.EqualValues(t, 1250, b.Captured.Minor)
	require.EqualValues(t, 250, b.Refunded.Minor)
	require.EqualValues(t, 1000, b.Net.Minor)
	require.True(t, b.Consistent)

	_, err = s.pool.Exec(t.Context(), "UPDATE charges SET refunded_minor = 1250 WHERE payment_key = $1", keys[1])
	require.NoError(t, err)
	books, err = s.Books(t.Context(), order)
	require.NoError(t, err)
	require.False(t, books.Currencies[0].Consistent, "the audit finds a refund without its row")

	books, err = s.Books(t.Context(), "another order")
	require.NoError(t, err)
	require.Empty(t, books.Currencies)
}

// TestOnlyServicesTakeMoney: every route but the customer's and the router's own needs a service key.
func TestOnlyServicesTakeMoney(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	stranger := sandbox.New(s.url, "no key", s.http)
	_, err := stranger.Authorise(t.Context(), paymenttest.New(sandbox.MethodOK))
	require.ErrorContains(t, err, "unauthenticated")
	_, err = stranger.Books(t.Context(), "x")
	require.ErrorContains(t, err, "unauthenticated")
	require.ErrorContains(t, stranger.SwitchOn(t.Context(), sandbox.Fault{Kind: sandbox.FaultDown}), "unauthenticated")
}

// TestConfiguration: a configuration that could not work is refused at the start.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	_, err := config.LoadFrom[Config](map[string]string{
		"SANDBOX_DATABASE_URL":   "postgres://x",
		"SERVICE_API_KEYS":       "k",
		"SANDBOX_PUBLIC_URL":     "pay.example.org",
		"SANDBOX_WEBHOOK_URL":    "http://127.0.0.1:3001/webhooks/payments",
		"SANDBOX_AUTHORISED_FOR": "0s",
	})
	for _, name := range []string{"SANDBOX_PUBLIC_URL", "SANDBOX_WEBHOOK_SECRETS", "SANDBOX_AUTHORISED_FOR"} {
		require.ErrorContains(t, err, name)
	}
	require.NotContains(t, err.Error(), "SANDBOX_WEBHOOK_URL")
}
