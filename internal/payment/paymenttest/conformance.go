// Package paymenttest has the cases that every payment provider passes.
package paymenttest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/await"
	"holdfast/internal/money"
	"holdfast/internal/payment"
)

// Methods are payment methods of a provider that behave in a known way.
type Methods struct {
	OK                string // authorised
	Declined          string // declined: card_declined
	InsufficientFunds string // declined: insufficient_funds
	ActionRequired    string // the customer has to act first
	Unknown           string // the provider knows no such method
}

// Subject is a provider under test.
type Subject struct {
	Provider payment.Provider
	Methods  Methods
	// Complete does what the customer does at the action's address: approve or refuse.
	Complete func(t *testing.T, p payment.Payment, approve bool)
	// Lapse ends the time of an authorisation, as waiting for it would.
	Lapse func(t *testing.T, p payment.Payment)
}

// Conformance tests a provider against its contract. Each case has payments of its own.
func Conformance(t *testing.T, s Subject) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Subject){
		"authorise":                      authorise,
		"amounts":                        amounts,
		"declined":                       declined,
		"refused":                        refused,
		"a key is one payment":           oneKeyOnePayment,
		"authorise at once":              authoriseAtOnce,
		"capture":                        capture,
		"capture at once":                captureAtOnce,
		"void":                           void,
		"void before authorise":          voidBeforeAuthorise,
		"void and authorise at once":     voidAndAuthoriseAtOnce,
		"void and capture at once":       voidAndCaptureAtOnce,
		"unknown":                        unknown,
		"the authorisation's time":       lapse,
		"refund":                         refund,
		"refund refused":                 refundRefused,
		"refund key is one refund":       oneKeyOneRefund,
		"refunds at once":                refundsAtOnce,
		"one refund at once":             oneRefundAtOnce,
		"action approved":                actionApproved,
		"action refused":                 actionRefused,
		"action voided":                  actionVoided,
		"action voided and done at once": actionVoidedAndDoneAtOnce,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

// New makes a request with a new key, of 12.50 EUR.
func New(method string) payment.Authorisation {
	return payment.Authorisation{
		Key:       uuid.NewString(),
		Method:    method,
		Amount:    money.Amount{Minor: 1250, Currency: "EUR"},
		Reference: uuid.NewString(),
	}
}

// certain repeats a call while its outcome is unknown, as every caller does.
func certain[T any](ctx context.Context, call func() (T, error)) (T, error) {
	var out T
	var err error
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if stopped := await.Until(ctx, 20*time.Millisecond, func() error {
		if out, err = call(); err != nil && !final(err) {
			return err
		}
		return nil
	}); stopped != nil {
		return out, stopped
	}
	return out, err
}

// final reports whether an error is one of package payment.
func final(err error) bool {
	var action *payment.ActionRequiredError
	return payment.CodeOf(err) != "" || errors.As(err, &action) || errors.Is(err, payment.ErrUnknown) ||
		errors.Is(err, payment.ErrVoided) || errors.Is(err, payment.ErrCaptured) || errors.Is(err, payment.ErrKeyUsed)
}

// twice makes a call two times; both succeed, with the same answer.
func twice(t *testing.T, call func() (payment.Payment, error)) payment.Payment {
	t.Helper()
	first, err := call()
	require.NoError(t, err)
	again, err := call()
	require.NoError(t, err)
	require.Equal(t, first, again)
	return again
}

// atOnce makes n calls at once and returns how many succeeded.
func atOnce(t *testing.T, n int, call func(i int) (payment.Payment, error)) int {
	t.Helper()
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			_, errs[i] = certain(t.Context(), func() (payment.Payment, error) { return call(i) })
		})
	}
	all.Wait()

	succeeded := 0
	for _, err := range errs {
		if err == nil {
			succeeded++
			continue
		}
		require.True(t, final(err), "%v", err)
	}
	return succeeded
}

// authorised returns a payment whose money is set aside.
func (s Subject) authorised(t *testing.T) payment.Payment {
	t.Helper()
	p, err := s.Provider.Authorise(t.Context(), New(s.Methods.OK))
	require.NoError(t, err)
	require.Equal(t, payment.Authorised, p.State)
	return p
}

// captured returns a payment whose money is taken.
func (s Subject) captured(t *testing.T) payment.Payment {
	t.Helper()
	p, err := s.Provider.Capture(t.Context(), s.authorised(t).Key)
	require.NoError(t, err)
	return p
}

// get looks a payment up.
func (s Subject) get(t *testing.T, key string) payment.Payment {
	t.Helper()
	p, err := s.Provider.Get(t.Context(), key)
	require.NoError(t, err)
	return p
}

func requireDeclined(t *testing.T, want payment.Code, err error) {
	t.Helper()
	var e *payment.DeclinedError
	require.ErrorAs(t, err, &e)
	require.Equal(t, want, e.Code)
}

func requireRefused(t *testing.T, want payment.Code, err error) {
	t.Helper()
	var e *payment.RefusedError
	require.ErrorAs(t, err, &e)
	require.Equal(t, want, e.Code)
}
