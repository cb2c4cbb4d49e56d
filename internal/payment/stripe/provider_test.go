package stripe

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	stripego "github.com/stripe/stripe-go/v85"
	"go.uber.org/goleak"

	"holdfast/internal/money"
	"holdfast/internal/payment"
	"holdfast/internal/payment/paymenttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secretKey = "sk_test_key"

func client() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
}

func start(t *testing.T) (*Provider, *double) {
	t.Helper()
	d, served := newDouble(t)
	return New(Options{
		SecretKey: secretKey,
		BaseURL:   served.URL,
		ReturnURL: "https://shop.example.org/paid",
		HTTP:      client(),
	}), d
}

// restarted is a provider that remembers nothing from one call to the next, as after a restart of the worker.
type restarted struct{ of *Provider }

func (r restarted) new() *Provider {
	return &Provider{api: r.of.api, returnURL: r.of.returnURL, refs: &refs{}}
}

func (r restarted) Name() string { return "stripe" }

func (r restarted) Authorise(ctx context.Context, a payment.Authorisation) (payment.Payment, error) {
	return r.new().Authorise(ctx, a)
}

func (r restarted) Capture(ctx context.Context, key string) (payment.Payment, error) {
	return r.new().Capture(ctx, key)
}

func (r restarted) Void(ctx context.Context, key, reason string) (payment.Payment, error) {
	return r.new().Void(ctx, key, reason)
}

func (r restarted) Refund(ctx context.Context, key, refundKey string, minor int64) (payment.Payment, error) {
	return r.new().Refund(ctx, key, refundKey, minor)
}

func (r restarted) Get(ctx context.Context, key string) (payment.Payment, error) {
	return r.new().Get(ctx, key)
}

func (r restarted) GetRefund(ctx context.Context, key, refundKey string) (payment.Refund, error) {
	return r.new().GetRefund(ctx, key, refundKey)
}

// TestStripeConforms: Stripe passes the cases of every provider, also if the worker has just started, and if Stripe's
// search is behind.
func TestStripeConforms(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ restarted, searchIsBehind bool }{
		"running":                         {},
		"restarted":                       {restarted: true},
		"restarted, and search is behind": {restarted: true, searchIsBehind: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, d := start(t)
			d.searchIsBehind = c.searchIsBehind
			subject := paymenttest.Subject{
				Provider: p,
				Methods: paymenttest.Methods{
					OK:                pmOK,
					Declined:          pmDeclined,
					InsufficientFunds: pmInsufficientFunds,
					ActionRequired:    pmActionRequired,
					Unknown:           "pm_none",
				},
				Complete: func(_ *testing.T, p payment.Payment, approve bool) { d.complete(p.ProviderRef, approve) },
				Lapse:    func(_ *testing.T, p payment.Payment) { d.lapse(p.ProviderRef) },
			}
			if c.restarted {
				subject.Provider = restarted{p}
			}
			paymenttest.Conformance(t, subject)
		})
	}
}

// TestRequests: the requests are those that Stripe documents for a payment with manual capture, and each that moves
// money has a key of the payment.
func TestRequests(t *testing.T) {
	t.Parallel()
	p, d := start(t)
	a := paymenttest.New(pmOK)
	paid, err := p.Authorise(t.Context(), a)
	require.NoError(t, err)
	_, err = p.Capture(t.Context(), a.Key)
	require.NoError(t, err)
	_, err = p.Refund(t.Context(), a.Key, "refund-1", 250)
	require.NoError(t, err)
	late := uuid.NewString()
	barred, err := p.Void(t.Context(), late, "test")
	require.NoError(t, err)

	created := d.received(t, http.MethodPost, "/v1/payment_intents")
	require.Len(t, created, 2)
	require.Equal(t, url.Values{
		"amount":                  {"1250"},
		"capture_method":          {"manual"},
		"confirm":                 {"true"},
		"currency":                {"eur"},
		"description":             {"Order " + a.Reference},
		"expand[0]":               {"latest_charge"},
		"metadata[payment_key]":   {a.Key},
		"metadata[method]":        {pmOK},
		"metadata[reference]":     {a.Reference},
		"payment_method":          {pmOK},
		"payment_method_types[0]": {"card"},
		"return_url":              {"https://shop.example.org/paid"},
	}, created[0].form)
	require.Equal(t, "authorise-"+a.Key, created[0].header.Get("Idempotency-Key"))
	require.Equal(t, "Bearer "+secretKey, created[0].header.Get("Authorization"))
	require.NotEmpty(t, created[0].header.Get("Stripe-Version"))
	require.Empty(t, created[0].header.Get("X-Stripe-Client-Telemetry"))

	captured := d.received(t, http.MethodPost, "/v1/payment_intents/"+paid.ProviderRef+"/capture")
	require.Equal(t, url.Values{"expand[0]": {"latest_charge"}}, captured[0].form, "the whole amount")
	refunded := d.received(t, http.MethodPost, "/v1/refunds")
	require.Equal(t, url.Values{
		"amount":                {"250"},
		"metadata[payment_key]": {a.Key},
		"metadata[refund_key]":  {"refund-1"},
		"payment_intent":        {paid.ProviderRef},
	}, refunded[0].form)
	require.Equal(t, "refund-refund-1", refunded[0].header.Get("Idempotency-Key"))

	require.Equal(t, "authorise-"+late, created[1].header.Get("Idempotency-Key"))
	require.NotContains(t, created[1].form, "confirm", "a key that is barred takes no money")
	require.NotContains(t, created[1].form, "payment_method")
	canceled := d.received(t, http.MethodPost, "/v1/payment_intents/"+barred.ProviderRef+"/cancel")
	require.Equal(t, "abandoned", canceled[0].form.Get("cancellation_reason"))
}

// TestAnswersLost: each call whose answer is lost has an unknown outcome, and its repetition under the same key moves
// no money twice.
func TestAnswersLost(t *testing.T) {
	t.Parallel()
	p, d := start(t)
	a := paymenttest.New(pmOK)
	for _, call := range []func() (payment.Payment, error){
		func() (payment.Payment, error) { return p.Authorise(t.Context(), a) },
		func() (payment.Payment, error) { return p.Capture(t.Context(), a.Key) },
		func() (payment.Payment, error) { return p.Refund(t.Context(), a.Key, "r", 250) },
	} {
		d.set(func(d *double) { d.loseAnswers = 1 })
		got, err := call()
		require.Error(t, err)
		require.Equal(t, payment.OutcomeUnknown, payment.OutcomeOf(got, err))
		_, err = call()
		require.NoError(t, err)
	}
	got, err := p.Get(t.Context(), a.Key)
	require.NoError(t, err)
	require.EqualValues(t, 1250, got.CapturedMinor)
	require.EqualValues(t, 250, got.RefundedMinor)
	require.Len(t, d.created, 1)
	require.Len(t, d.refunds, 1)
}

// TestRefundSentBack: the bank has sent a refund back. A repeat under its key is refused and says so, and the look-up
// finds it as failed.
func TestRefundSentBack(t *testing.T) {
	t.Parallel()
	p, d := start(t)
	a := paymenttest.New(pmOK)
	_, err := p.Authorise(t.Context(), a)
	require.NoError(t, err)
	_, err = p.Capture(t.Context(), a.Key)
	require.NoError(t, err)
	_, err = p.Refund(t.Context(), a.Key, "r", 250)
	require.NoError(t, err)
	d.sendBack("r")

	for _, p := range []payment.Provider{p, restarted{p}} {
		_, err = p.Refund(t.Context(), a.Key, "r", 250)
		require.Equal(t, payment.RefundSentBack, payment.CodeOf(err))
		found, err := p.GetRefund(t.Context(), a.Key, "r")
		require.NoError(t, err)
		require.Equal(t, payment.RefundFailed, found.State)
	}
	got, err := p.Get(t.Context(), a.Key)
	require.NoError(t, err)
	require.Zero(t, got.RefundedMinor)
}

// TestForgottenKeys: when Stripe has forgotten its idempotency keys, a repeated refund is still the same refund, and a
// second payment under one key is found and not guessed about.
func TestForgottenKeys(t *testing.T) {
	t.Parallel()
	p, d := start(t)
	d.set(func(d *double) { d.forgetful = true })
	a := paymenttest.New(pmOK)
	_, err := p.Authorise(t.Context(), a)
	require.NoError(t, err)
	_, err = p.Capture(t.Context(), a.Key)
	require.NoError(t, err)
	for range 2 {
		got, err := p.Refund(t.Context(), a.Key, "r", 250)
		require.NoError(t, err)
		require.EqualValues(t, 250, got.RefundedMinor)
	}

	_, err = p.Authorise(t.Context(), a)
	require.NoError(t, err)
	got, err := restarted{p}.Get(t.Context(), a.Key)
	require.ErrorIs(t, err, errTwice)
	require.Equal(t, payment.OutcomeUnknown, payment.OutcomeOf(got, err))
}

// TestErrors: what Stripe answers about its own state leaves the outcome open, and no error repeats a secret.
func TestErrors(t *testing.T) {
	t.Parallel()
	invalid := func(members string) string { return `{"error":{"type":"invalid_request_error"` + members + `}}` }
	card := func(members string) string { return `{"error":{"type":"card_error",` + members + `}}` }
	for _, c := range []struct {
		status int
		body   string
		want   payment.Outcome
		code   payment.Code
	}{
		{401, invalid(`,"message":"Invalid API Key"`), payment.OutcomeUnknown, ""},
		{403, invalid(""), payment.OutcomeUnknown, ""},
		{409, invalid(`,"code":"idempotency_key_in_use"`), payment.OutcomeUnknown, ""},
		{429, invalid(`,"code":"rate_limit"`), payment.OutcomeUnknown, ""},
		{429, `{"error":{"type":"rate_limit","code":"rate_limit"}}`, payment.OutcomeUnknown, ""},
		{500, `{"error":{"type":"api_error","payment_intent":{"client_secret":"sekret"}}}`, payment.OutcomeUnknown, ""},
		{503, `a proxy's page`, payment.OutcomeUnknown, ""},
		{200, `{"id":"pi_1","status":"processing","client_secret":"sekret"}`, payment.OutcomeUnknown, ""},
		{200, `{"id":"pi_1","status":"requires_action","next_action":{"type":"x"}}`, payment.OutcomeUnknown, ""},
		{200, `{"id":"pi_1","status":"of_the_future"}`, payment.OutcomeUnknown, ""},
		{400, invalid(`,"param":"currency"`), payment.OutcomeRefused, payment.InvalidAmount},
		{400, invalid(""), payment.OutcomeRefused, payment.RequestInvalid},
		{402, card(`"code":"expired_card"`), payment.OutcomeDeclined, payment.ExpiredCard},
		{402, card(`"code":"incorrect_cvc"`), payment.OutcomeDeclined, payment.IncorrectCardDetails},
		{402, card(`"code":"card_declined","decline_code":"stolen_card"`), payment.OutcomeDeclined, payment.CardDeclined},
		{402, card(`"code":"processing_error"`), payment.OutcomeDeclined, payment.ProcessingError},
		{
			402, card(`"code":"card_declined","decline_code":"authentication_required"`),
			payment.OutcomeDeclined, payment.AuthenticationFailed,
		},
	} {
		served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.body))
		}))
		p := New(Options{SecretKey: secretKey, BaseURL: served.URL, HTTP: client()})
		got, err := p.Authorise(t.Context(), paymenttest.New(pmOK))
		served.Close()
		require.Error(t, err, c.body)
		require.Equal(t, c.want, payment.OutcomeOf(got, err), "%d %s: %v", c.status, c.body, err)
		require.Equal(t, c.code, payment.CodeOf(err), c.body)
		require.NotContains(t, err.Error(), "sekret")
		require.NotContains(t, err.Error(), secretKey)
	}
}

// TestAmounts: amounts reach Stripe in its own units, and come back in ISO 4217's.
func TestAmounts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		amount money.Amount
		units  int64 // -1: refused
	}{
		{money.Amount{Minor: 1250, Currency: "EUR"}, 1250},
		{money.Amount{Minor: 500, Currency: "JPY"}, 500},
		{money.Amount{Minor: 5120, Currency: "KWD"}, 5120},
		{money.Amount{Minor: 5124, Currency: "KWD"}, -1},
		{money.Amount{Minor: 5, Currency: "ISK"}, 500},
		{money.Amount{Minor: 500, Currency: "MGA"}, 5},
		{money.Amount{Minor: 501, Currency: "MGA"}, -1},
		{money.Amount{Minor: 1 << 62, Currency: "ISK"}, -1},
		{money.Amount{Minor: 500, Currency: "UGX"}, -1},
		{money.Amount{Minor: 500, Currency: "XXX"}, -1},
		{money.Amount{Minor: -1, Currency: "EUR"}, -1},
	} {
		got, ok := toStripe(c.amount)
		require.Equal(t, c.units >= 0, ok, c.amount)
		if ok {
			require.Equal(t, c.units, got.units, c.amount)
			require.Equal(t, c.amount, fromStripe(got.units, stripego.Currency(got.currency)))
		}
	}
}
