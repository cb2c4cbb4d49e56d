package stripe

import (
	"bufio"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	stripego "github.com/stripe/stripe-go/v85"

	"holdfast/internal/payment"
	"holdfast/internal/payment/paymenttest"
)

// startMock runs Stripe's own mock server, which checks each request against Stripe's specification and answers with
// examples. It keeps no state.
func startMock(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Stripe's mock server")
	}
	tool, err := filepath.Abs("../../../bin/tools/stripe-mock")
	require.NoError(t, err)
	require.FileExists(t, tool, "run make bin/tools/stripe-mock")
	// With -http-addr alone the server also listens for HTTPS, on a fixed port, and a second server would end there.
	cmd := exec.CommandContext(t.Context(), tool, "-http-addr", "127.0.0.1:0", "-https-addr", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})

	lines := bufio.NewScanner(out)
	address := regexp.MustCompile(`127\.0\.0\.1:\d+`)
	for lines.Scan() {
		if at := address.FindString(lines.Text()); at != "" {
			go func() { _, _ = io.Copy(io.Discard, out) }() // the server must not wait for a reader of its log
			return "http://" + at
		}
	}
	require.Fail(t, "stripe-mock does not say where it listens")
	return ""
}

// watched keeps the status of each answer.
type watched struct {
	http.RoundTripper
	mu   sync.Mutex
	seen map[string]int // status by method and path
}

func (w *watched) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := w.RoundTripper.RoundTrip(r)
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen[r.Method+" "+regexp.MustCompile(`/pi_\w+`).ReplaceAllString(r.URL.Path, "/pi")] = res.StatusCode
	}
	return res, err
}

// TestMockAcceptsEveryRequest: Stripe's specification accepts every request that the provider makes. The mock server
// has no state, so this test says nothing about outcomes: TestStripeConforms does.
func TestMockAcceptsEveryRequest(t *testing.T) {
	t.Parallel()
	w := &watched{RoundTripper: &http.Transport{DisableKeepAlives: true}, seen: map[string]int{}}
	p := New(Options{
		SecretKey: "sk_test_123",
		BaseURL:   startMock(t),
		ReturnURL: "https://shop.example.org/paid",
		HTTP:      &http.Client{Transport: w},
	})
	ctx := t.Context()
	a := paymenttest.New(pmOK)

	_, err := p.Authorise(ctx, a)
	require.NotErrorIs(t, err, payment.ErrKeyUsed)
	ref, known := p.refs.get(a.Key)
	require.True(t, known, "the mock's answer has an id")
	_, _ = p.Capture(ctx, a.Key)
	_, _ = p.Get(ctx, a.Key)
	_, _ = p.Void(ctx, a.Key, "test")
	_, err = p.createRefund(ctx, a.Key, ref, "refund", 250)
	require.NoError(t, err)
	_, err = p.findRefund(ctx, &stripego.PaymentIntent{ID: ref}, "refund")
	require.ErrorIs(t, err, payment.ErrUnknown)
	_, err = p.bar(ctx, "another-key")
	require.NoError(t, err)
	_, err = p.Get(ctx, "a-key-never-seen") // searches, then lists
	require.ErrorIs(t, err, payment.ErrUnknown)

	require.Equal(t, map[string]int{
		"POST /v1/payment_intents":            http.StatusOK,
		"POST /v1/payment_intents/pi/capture": http.StatusOK,
		"POST /v1/payment_intents/pi/cancel":  http.StatusOK,
		"GET /v1/payment_intents/pi":          http.StatusOK,
		"GET /v1/payment_intents/search":      http.StatusOK,
		"GET /v1/payment_intents":             http.StatusOK,
		"POST /v1/refunds":                    http.StatusOK,
		"GET /v1/refunds":                     http.StatusOK,
	}, w.seen)
}

// TestMockRefusesWhatStripeDoesNotKnow: the mock server does check requests, so that the test above can fail.
func TestMockRefusesWhatStripeDoesNotKnow(t *testing.T) {
	t.Parallel()
	p := New(Options{SecretKey: "sk_test_123", BaseURL: startMock(t), HTTP: client()})
	_, err := p.api.V1PaymentIntents.Create(t.Context(), &stripego.PaymentIntentCreateParams{
		Amount:        stripego.Int64(1),
		Currency:      stripego.String(stripego.CurrencyEUR),
		CaptureMethod: stripego.String("by hand"),
	})
	require.Error(t, err)
	require.True(t, isRefusal(err), strings.TrimSpace(err.Error()))
}
