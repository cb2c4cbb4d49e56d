package sandboxserver

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/internal/database"
	"holdfast/internal/httpx"
	"holdfast/internal/money"
	"holdfast/internal/payment"
	"holdfast/internal/payment/sandbox"
	"holdfast/internal/telemetry"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// start runs a sandbox on a new database and returns the client that the worker uses.
func start(t *testing.T) payment.Provider {
	t.Helper()
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
	register(router, pool, []string{"a key"})
	served := httptest.NewServer(router)
	t.Cleanup(served.Close)
	return sandbox.New(served.URL, "a key", &http.Client{Transport: &http.Transport{DisableKeepAlives: true}})
}

func by(method string) payment.Authorisation {
	return payment.Authorisation{
		Key:       uuid.NewString(),
		Method:    method,
		Amount:    money.Amount{Minor: 1250, Currency: "EUR"},
		Reference: "an order",
	}
}

// TestTestMethods: each test method behaves as documented.
func TestTestMethods(t *testing.T) {
	t.Parallel()
	p := start(t)
	ctx := t.Context()

	for _, c := range []struct{ method, reason string }{
		{sandbox.MethodDeclined, "card_declined"},
		{sandbox.MethodInsufficientFunds, "insufficient_funds"},
	} {
		var declined *payment.DeclinedError
		a := by(c.method)
		for range 2 { // a repeated request gets the same answer
			_, err := p.Authorise(ctx, a)
			require.ErrorAs(t, err, &declined, c.method)
			require.Equal(t, c.reason, declined.Reason)
		}
		_, err := p.Capture(ctx, a.Key)
		var refused *payment.RefusedError
		require.ErrorAs(t, err, &refused, "nothing was set aside")
	}

	flaky := by(sandbox.MethodFlaky)
	for range 2 {
		_, err := p.Authorise(ctx, flaky)
		require.Error(t, err)
		var declined *payment.DeclinedError
		require.NotErrorAs(t, err, &declined, "the outcome is unknown")
	}
	got, err := p.Authorise(ctx, flaky)
	require.NoError(t, err)
	require.Equal(t, payment.Authorised, got.State)

	_, err = p.Authorise(ctx, by("pm_unknown"))
	var refused *payment.RefusedError
	require.ErrorAs(t, err, &refused)
}

// TestAnswerIsWithheld: a payment by pm_timeout is authorised, but the first request gets no answer. A later request
// with the same key gets it.
func TestAnswerIsWithheld(t *testing.T) {
	t.Parallel()
	p := start(t)
	a := by(sandbox.MethodTimeout)
	_, err := p.Authorise(t.Context(), a)
	require.Error(t, err)

	got, err := p.Get(t.Context(), a.Key)
	require.NoError(t, err)
	require.Equal(t, payment.Authorised, got.State)
	_, err = p.Authorise(t.Context(), a)
	require.NoError(t, err)
}

// TestLifeOfAPayment takes one payment through every call, each twice.
func TestLifeOfAPayment(t *testing.T) {
	t.Parallel()
	p := start(t)
	ctx := t.Context()
	a := by(sandbox.MethodOK)
	twice := func(call func() (payment.Payment, error)) payment.Payment {
		t.Helper()
		first, err := call()
		require.NoError(t, err)
		again, err := call()
		require.NoError(t, err)
		require.Equal(t, first, again)
		return again
	}

	authorised := twice(func() (payment.Payment, error) { return p.Authorise(ctx, a) })
	require.Equal(t, payment.Authorised, authorised.State)
	captured := twice(func() (payment.Payment, error) { return p.Capture(ctx, a.Key) })
	require.EqualValues(t, 1250, captured.CapturedMinor)

	_, err := p.Void(ctx, a.Key, "too late")
	require.ErrorIs(t, err, payment.ErrCaptured)
	another := a
	another.Method = sandbox.MethodDeclined
	_, err = p.Authorise(ctx, another)
	require.ErrorIs(t, err, payment.ErrKeyUsed)

	refunded := twice(func() (payment.Payment, error) { return p.Refund(ctx, a.Key, "first", 250) })
	require.EqualValues(t, 250, refunded.RefundedMinor)
	refunded = twice(func() (payment.Payment, error) { return p.Refund(ctx, a.Key, "rest", 1000) })
	require.EqualValues(t, 1250, refunded.RefundedMinor)

	var refused *payment.RefusedError
	_, err = p.Refund(ctx, a.Key, "more", 1)
	require.ErrorAs(t, err, &refused)
	_, err = p.Get(ctx, "never seen")
	require.ErrorIs(t, err, payment.ErrUnknown)
}

// TestVoidedKeyStaysVoided: a voided key cannot be authorised or captured, also if the void was its first request.
func TestVoidedKeyStaysVoided(t *testing.T) {
	t.Parallel()
	p := start(t)
	for _, authorised := range []bool{true, false} {
		a := by(sandbox.MethodOK)
		if authorised {
			_, err := p.Authorise(t.Context(), a)
			require.NoError(t, err)
		}
		for range 2 {
			got, err := p.Void(t.Context(), a.Key, "called off")
			require.NoError(t, err)
			require.Equal(t, payment.Voided, got.State)
		}

		_, err := p.Authorise(t.Context(), a)
		require.ErrorIs(t, err, payment.ErrVoided)
		_, err = p.Capture(t.Context(), a.Key)
		var refused *payment.RefusedError
		require.ErrorAs(t, err, &refused)
	}
}

// TestRefundsAtOnce: of 20 concurrent refunds of a tenth of the payment, ten succeed.
func TestRefundsAtOnce(t *testing.T) {
	t.Parallel()
	p := start(t)
	a := by(sandbox.MethodOK)
	_, err := p.Authorise(t.Context(), a)
	require.NoError(t, err)
	_, err = p.Capture(t.Context(), a.Key)
	require.NoError(t, err)

	var made atomic.Int64
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := p.Refund(t.Context(), a.Key, uuid.NewString(), 125); err == nil {
				made.Add(1)
			}
		})
	}
	all.Wait()

	got, err := p.Get(t.Context(), a.Key)
	require.NoError(t, err)
	require.EqualValues(t, 10, made.Load())
	require.EqualValues(t, 1250, got.RefundedMinor)
}
