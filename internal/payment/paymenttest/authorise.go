package paymenttest

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/money"
	"holdfast/internal/payment"
)

// authorise: an approved payment is the same in every answer and look-up, and its money is set aside for some time.
func authorise(t *testing.T, s Subject) {
	a := New(s.Methods.OK)
	p := twice(t, func() (payment.Payment, error) { return s.Provider.Authorise(t.Context(), a) })
	require.Equal(t, payment.Authorised, p.State)
	require.Equal(t, a.Key, p.Key)
	require.Equal(t, a.Amount, p.Amount)
	require.NotEmpty(t, p.ProviderRef)
	require.Zero(t, p.CapturedMinor)
	require.Equal(t, payment.OutcomeApproved, payment.OutcomeOf(p, nil))

	require.NotNil(t, p.AuthorisedUntil)
	require.Greater(t, time.Until(*p.AuthorisedUntil), 24*time.Hour)
	require.Equal(t, p, s.get(t, a.Key))
}

// amounts: an amount is in minor units by ISO 4217 at every provider, whatever the provider counts in.
func amounts(t *testing.T, s Subject) {
	for _, amount := range []money.Amount{
		{Minor: 50, Currency: "EUR"},
		{Minor: 99_999_999, Currency: "EUR"},
		{Minor: 500, Currency: "JPY"},
		{Minor: 12_340, Currency: "KWD"},
		{Minor: 750, Currency: "ISK"},
		{Minor: 500_000, Currency: "MGA"},
	} {
		a := New(s.Methods.OK)
		a.Amount = amount
		p, err := s.Provider.Authorise(t.Context(), a)
		require.NoError(t, err, amount)
		require.Equal(t, amount, p.Amount)

		p, err = s.Provider.Capture(t.Context(), a.Key)
		require.NoError(t, err, amount)
		require.Equal(t, amount.Minor, p.CapturedMinor, amount)
		require.Equal(t, amount, p.Amount)
	}
}

// declined: a decline has a stable code in every answer and look-up, and nothing can be captured.
func declined(t *testing.T, s Subject) {
	for method, code := range map[string]payment.Code{
		s.Methods.Declined:          payment.CardDeclined,
		s.Methods.InsufficientFunds: payment.InsufficientFunds,
	} {
		a := New(method)
		for range 2 {
			p, err := s.Provider.Authorise(t.Context(), a)
			requireDeclined(t, code, err)
			require.Equal(t, payment.OutcomeDeclined, payment.OutcomeOf(p, err))
		}
		p := s.get(t, a.Key)
		require.Equal(t, payment.Declined, p.State)
		require.Equal(t, code, p.DeclineCode)
		require.Equal(t, payment.OutcomeDeclined, payment.OutcomeOf(p, nil))

		_, err := s.Provider.Capture(t.Context(), a.Key)
		requireRefused(t, payment.NotAuthorised, err)
		p, err = s.Provider.Void(t.Context(), a.Key, "test")
		require.NoError(t, err)
		require.Equal(t, payment.Declined, p.State)
	}
}

// refused: a request that is not possible is refused, and not declined.
func refused(t *testing.T, s Subject) {
	for code, spoil := range map[payment.Code]func(*payment.Authorisation){
		payment.UnknownMethod: func(a *payment.Authorisation) { a.Method = s.Methods.Unknown },
		payment.InvalidAmount: func(a *payment.Authorisation) { a.Amount.Minor = -1 },
	} {
		a := New(s.Methods.OK)
		spoil(&a)
		p, err := s.Provider.Authorise(t.Context(), a)
		requireRefused(t, code, err)
		require.Equal(t, payment.OutcomeRefused, payment.OutcomeOf(p, err))
	}

	a := New(s.Methods.OK)
	a.Amount.Currency = "XXX" // ISO 4217's code for no currency
	_, err := s.Provider.Authorise(t.Context(), a)
	requireRefused(t, payment.InvalidAmount, err)
}

// oneKeyOnePayment: a key never names a second payment.
func oneKeyOnePayment(t *testing.T, s Subject) {
	a := New(s.Methods.OK)
	_, err := s.Provider.Authorise(t.Context(), a)
	require.NoError(t, err)

	for _, spoil := range []func(*payment.Authorisation){
		func(a *payment.Authorisation) { a.Method = s.Methods.Declined },
		func(a *payment.Authorisation) { a.Amount.Minor++ },
		func(a *payment.Authorisation) { a.Amount.Currency = "USD" },
	} {
		other := a
		spoil(&other)
		p, err := s.Provider.Authorise(t.Context(), other)
		require.ErrorIs(t, err, payment.ErrKeyUsed)
		require.Equal(t, payment.OutcomeRefused, payment.OutcomeOf(p, err))
	}
	require.Equal(t, a.Amount, s.get(t, a.Key).Amount)
}

// authoriseAtOnce: 20 requests with one key are one payment.
func authoriseAtOnce(t *testing.T, s Subject) {
	a := New(s.Methods.OK)
	refs := make([]string, 20)
	n := atOnce(t, len(refs), func(i int) (payment.Payment, error) {
		p, err := s.Provider.Authorise(t.Context(), a)
		refs[i] = p.ProviderRef
		return p, err
	})
	require.Equal(t, len(refs), n)
	for _, ref := range refs {
		require.Equal(t, refs[0], ref)
	}
}

// unknown: a key that the provider has never received is unknown to every call but Void.
func unknown(t *testing.T, s Subject) {
	key := uuid.NewString()
	p, err := s.Provider.Get(t.Context(), key)
	require.ErrorIs(t, err, payment.ErrUnknown)
	require.Equal(t, payment.OutcomeUnknown, payment.OutcomeOf(p, err), "the request may still be under way")

	_, err = s.Provider.Capture(t.Context(), key)
	require.ErrorIs(t, err, payment.ErrUnknown)
	_, err = s.Provider.Refund(t.Context(), key, uuid.NewString(), 1)
	require.ErrorIs(t, err, payment.ErrUnknown)
	_, err = s.Provider.GetRefund(t.Context(), key, uuid.NewString())
	require.ErrorIs(t, err, payment.ErrUnknown)
	_, err = s.Provider.GetRefund(t.Context(), s.captured(t).Key, uuid.NewString())
	require.ErrorIs(t, err, payment.ErrUnknown)
}

// lapse: money is no longer set aside once the authorisation's time is over.
func lapse(t *testing.T, s Subject) {
	p := s.authorised(t)
	s.Lapse(t, p)
	for range 2 {
		_, err := s.Provider.Capture(t.Context(), p.Key)
		requireRefused(t, payment.AuthorisationExpired, err)
	}
	require.Equal(t, payment.Voided, s.get(t, p.Key).State)

	paid := s.captured(t)
	s.Lapse(t, paid)
	require.Equal(t, payment.Captured, s.get(t, paid.Key).State, "what is taken stays taken")
}

// action authorises a payment that requires an action and returns it.
func (s Subject) action(t *testing.T) (payment.Authorisation, payment.Payment) {
	t.Helper()
	a := New(s.Methods.ActionRequired)
	var required *payment.ActionRequiredError
	for range 2 {
		p, err := s.Provider.Authorise(t.Context(), a)
		require.ErrorAs(t, err, &required)
		require.Equal(t, payment.OutcomeRequiresAction, payment.OutcomeOf(p, err))
	}
	require.NotNil(t, required.Payment.Action)
	require.Contains(t, required.Payment.Action.URL, "http")
	require.Equal(t, payment.RequiresAction, required.Payment.State)

	p := s.get(t, a.Key)
	require.Equal(t, required.Payment, p)
	require.Equal(t, payment.OutcomeRequiresAction, payment.OutcomeOf(p, nil))
	_, err := s.Provider.Capture(t.Context(), a.Key)
	requireRefused(t, payment.NotAuthorised, err)
	return a, p
}

// actionApproved: after the customer has approved, the payment is like any other.
func actionApproved(t *testing.T, s Subject) {
	a, p := s.action(t)
	s.Complete(t, p, true)
	p = s.get(t, a.Key)
	require.Equal(t, payment.Authorised, p.State)
	require.Nil(t, p.Action)
	require.NotNil(t, p.AuthorisedUntil)

	again, err := s.Provider.Authorise(t.Context(), a)
	require.NoError(t, err)
	require.Equal(t, p, again)
	p, err = s.Provider.Capture(t.Context(), a.Key)
	require.NoError(t, err)
	require.Equal(t, a.Amount.Minor, p.CapturedMinor)
}

// actionRefused: a customer who refuses declines the payment.
func actionRefused(t *testing.T, s Subject) {
	a, p := s.action(t)
	s.Complete(t, p, false)
	p = s.get(t, a.Key)
	require.Equal(t, payment.Declined, p.State)
	require.Equal(t, payment.AuthenticationFailed, p.DeclineCode)

	_, err := s.Provider.Authorise(t.Context(), a)
	requireDeclined(t, payment.AuthenticationFailed, err)
	_, err = s.Provider.Capture(t.Context(), a.Key)
	requireRefused(t, payment.NotAuthorised, err)
}

// actionVoided: a customer who acts after the void sets no money aside.
func actionVoided(t *testing.T, s Subject) {
	a, p := s.action(t)
	voided, err := s.Provider.Void(t.Context(), a.Key, "test")
	require.NoError(t, err)
	require.Equal(t, payment.Voided, voided.State)

	s.Complete(t, p, true)
	require.Equal(t, payment.Voided, s.get(t, a.Key).State)
	_, err = s.Provider.Authorise(t.Context(), a)
	require.ErrorIs(t, err, payment.ErrVoided)
}

// actionVoidedAndDoneAtOnce: whichever of void and customer is first, no money stays set aside.
func actionVoidedAndDoneAtOnce(t *testing.T, s Subject) {
	for range 5 {
		a, p := s.action(t)
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.Complete(t, p, true)
		}()
		_, err := certain(t.Context(), func() (payment.Payment, error) {
			return s.Provider.Void(t.Context(), a.Key, "test")
		})
		<-done
		require.NoError(t, err)
		require.Equal(t, payment.Voided, s.get(t, a.Key).State)
	}
}
