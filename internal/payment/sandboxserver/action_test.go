package sandboxserver

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/internal/payment"
	"holdfast/internal/payment/paymenttest"
	"holdfast/internal/payment/sandbox"
)

// begin authorises a payment that requires an action and returns it.
func (s subject) begin(t *testing.T, a payment.Authorisation) payment.Payment {
	t.Helper()
	_, err := s.Authorise(t.Context(), a)
	var required *payment.ActionRequiredError
	require.ErrorAs(t, err, &required)
	return required.Payment
}

// TestPageOfAnAction: a person sees the amount and two buttons, and afterwards that nothing is left to do.
func TestPageOfAnAction(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	a := paymenttest.New(sandbox.MethodActionRequired)
	a.Reference = "<script>alert(1)</script>"
	p := s.begin(t, a)

	page := func() string {
		res, err := s.http.Get(p.Action.URL)
		require.NoError(t, err)
		defer func() { _ = res.Body.Close() }()
		require.Equal(t, http.StatusOK, res.StatusCode)
		require.Equal(t, "text/html; charset=utf-8", res.Header.Get("Content-Type"))
		require.Contains(t, res.Header.Get("Content-Security-Policy"), "default-src 'none'")
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return string(body)
	}
	open := page()
	require.Contains(t, open, "12.50 EUR")
	require.Contains(t, open, `value="approve"`)
	require.NotContains(t, open, "<script>")

	require.NoError(t, s.CompleteAction(t.Context(), p.Action.URL, true))
	require.NoError(t, s.CompleteAction(t.Context(), p.Action.URL, false), "the first decision counts")
	require.Contains(t, page(), "the payment is authorised")
	require.NotContains(t, page(), "<button")
}

// TestCustomerReturns: after the action the browser goes back to the caller's address, which learns the key only.
func TestCustomerReturns(t *testing.T) {
	t.Parallel()
	s := start(t, Config{PublicURL: "https://pay.example.org/"})
	a := paymenttest.New(sandbox.MethodActionRequired)
	a.ReturnURL = "https://shop.example.org/orders/1?x=y"
	p := s.begin(t, a)
	path, public := strings.CutPrefix(p.Action.URL, "https://pay.example.org")
	require.True(t, public, p.Action.URL)

	browser := *s.http
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := browser.PostForm(s.url+path, url.Values{"decision": {"approve"}})
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusSeeOther, res.StatusCode)
	require.Equal(t, "https://shop.example.org/orders/1?payment_key="+a.Key+"&x=y", res.Header.Get("Location"))
}

// TestActionsAreGuarded: an action is found by its token only, and a decision is one of two.
func TestActionsAreGuarded(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	p := s.begin(t, paymenttest.New(sandbox.MethodActionRequired))
	require.ErrorContains(t, s.CompleteAction(t.Context(), s.url+"/action/"+p.Key, true), "404")

	res, err := s.http.PostForm(p.Action.URL, url.Values{"decision": {"perhaps"}})
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusBadRequest, res.StatusCode)
	got, err := s.Get(t.Context(), p.Key)
	require.NoError(t, err)
	require.Equal(t, payment.RequiresAction, got.State)

	a := paymenttest.New(sandbox.MethodActionRequired)
	a.ReturnURL = "javascript:alert(1)"
	_, err = s.Authorise(t.Context(), a)
	require.Equal(t, payment.InvalidReturnURL, payment.CodeOf(err))
}
