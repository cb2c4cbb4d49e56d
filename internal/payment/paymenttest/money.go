package paymenttest

import (
	"errors"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/payment"
)

// capture takes the whole amount, once, and a captured payment cannot be voided.
func capture(t *testing.T, s Subject) {
	p := s.authorised(t)
	got := twice(t, func() (payment.Payment, error) { return s.Provider.Capture(t.Context(), p.Key) })
	require.Equal(t, payment.Captured, got.State)
	require.Equal(t, p.Amount.Minor, got.CapturedMinor)
	require.Zero(t, got.RefundedMinor)

	_, err := s.Provider.Void(t.Context(), p.Key, "test")
	require.ErrorIs(t, err, payment.ErrCaptured)
	require.Equal(t, got, s.get(t, p.Key))
	require.Equal(t, payment.OutcomeApproved, payment.OutcomeOf(got, nil))
}

// captureAtOnce: 20 captures take the money once.
func captureAtOnce(t *testing.T, s Subject) {
	p := s.authorised(t)
	n := atOnce(t, 20, func(int) (payment.Payment, error) { return s.Provider.Capture(t.Context(), p.Key) })
	require.Equal(t, 20, n)
	require.Equal(t, p.Amount.Minor, s.get(t, p.Key).CapturedMinor)
}

// void frees the money for good.
func void(t *testing.T, s Subject) {
	a := New(s.Methods.OK)
	_, err := s.Provider.Authorise(t.Context(), a)
	require.NoError(t, err)
	got := twice(t, func() (payment.Payment, error) { return s.Provider.Void(t.Context(), a.Key, "test") })
	require.Equal(t, payment.Voided, got.State)

	p, err := s.Provider.Authorise(t.Context(), a)
	require.ErrorIs(t, err, payment.ErrVoided)
	require.Equal(t, payment.OutcomeRefused, payment.OutcomeOf(p, err))
	_, err = s.Provider.Capture(t.Context(), a.Key)
	requireRefused(t, payment.NotAuthorised, err)
	require.Equal(t, payment.Voided, s.get(t, a.Key).State)
}

// voidBeforeAuthorise: a void that overtakes its authorisation bars the key.
func voidBeforeAuthorise(t *testing.T, s Subject) {
	a := New(s.Methods.OK)
	for range 2 {
		p, err := s.Provider.Void(t.Context(), a.Key, "test")
		require.NoError(t, err)
		require.Equal(t, payment.Voided, p.State)
	}
	for range 2 {
		_, err := s.Provider.Authorise(t.Context(), a)
		require.ErrorIs(t, err, payment.ErrVoided)
	}
	_, err := s.Provider.Capture(t.Context(), a.Key)
	requireRefused(t, payment.NotAuthorised, err)
	require.Equal(t, payment.Voided, s.get(t, a.Key).State)
}

// voidAndAuthoriseAtOnce: whichever is first, no money stays set aside after the void was answered.
func voidAndAuthoriseAtOnce(t *testing.T, s Subject) {
	for range 10 {
		a := New(s.Methods.OK)
		var both sync.WaitGroup
		var authErr, voidErr error
		both.Go(func() {
			_, authErr = certain(t.Context(), func() (payment.Payment, error) {
				return s.Provider.Authorise(t.Context(), a)
			})
		})
		both.Go(func() {
			_, voidErr = certain(t.Context(), func() (payment.Payment, error) {
				return s.Provider.Void(t.Context(), a.Key, "test")
			})
		})
		both.Wait()

		require.NoError(t, voidErr)
		if authErr != nil {
			require.ErrorIs(t, authErr, payment.ErrVoided)
		}
		require.Equal(t, payment.Voided, s.get(t, a.Key).State)
	}
}

// voidAndCaptureAtOnce: a payment is captured or voided, and never both.
func voidAndCaptureAtOnce(t *testing.T, s Subject) {
	for range 10 {
		p := s.authorised(t)
		var both sync.WaitGroup
		var captureErr, voidErr error
		both.Go(func() {
			_, captureErr = certain(t.Context(), func() (payment.Payment, error) {
				return s.Provider.Capture(t.Context(), p.Key)
			})
		})
		both.Go(func() {
			_, voidErr = certain(t.Context(), func() (payment.Payment, error) {
				return s.Provider.Void(t.Context(), p.Key, "test")
			})
		})
		both.Wait()

		got := s.get(t, p.Key)
		if captureErr == nil {
			require.ErrorIs(t, voidErr, payment.ErrCaptured)
			require.Equal(t, payment.Captured, got.State)
			continue
		}
		requireRefused(t, payment.NotAuthorised, captureErr)
		require.NoError(t, voidErr)
		require.Equal(t, payment.Voided, got.State)
		require.Zero(t, got.CapturedMinor)
	}
}

// refund: a payment can be given back in parts, each once, until nothing is left.
func refund(t *testing.T, s Subject) {
	p := s.captured(t)
	first, rest := uuid.NewString(), uuid.NewString()
	got := twice(t, func() (payment.Payment, error) { return s.Provider.Refund(t.Context(), p.Key, first, 250) })
	require.EqualValues(t, 250, got.RefundedMinor)
	require.Equal(t, payment.Captured, got.State)
	got = twice(t, func() (payment.Payment, error) { return s.Provider.Refund(t.Context(), p.Key, rest, 1000) })
	require.EqualValues(t, 1250, got.RefundedMinor)
	require.Equal(t, payment.Captured, got.State)
	require.Equal(t, got, s.get(t, p.Key))

	r, err := s.Provider.GetRefund(t.Context(), p.Key, first)
	require.NoError(t, err)
	require.Equal(t, first, r.Key)
	require.EqualValues(t, 250, r.AmountMinor)
	require.NotEmpty(t, r.ProviderRef)
	require.Contains(t, []payment.RefundState{payment.RefundSucceeded, payment.RefundPending}, r.State)

	_, err = s.Provider.Refund(t.Context(), p.Key, uuid.NewString(), 1)
	requireRefused(t, payment.MoreThanCaptured, err)
	got, err = s.Provider.Refund(t.Context(), p.Key, first, 250)
	require.NoError(t, err, "a repeated refund is no new one")
	require.EqualValues(t, 1250, got.RefundedMinor)
}

// refundRefused: only captured money is given back, and never more of it.
func refundRefused(t *testing.T, s Subject) {
	p := s.authorised(t)
	_, err := s.Provider.Refund(t.Context(), p.Key, uuid.NewString(), 1)
	requireRefused(t, payment.NotCaptured, err)

	p = s.captured(t)
	for _, minor := range []int64{0, -1} {
		_, err = s.Provider.Refund(t.Context(), p.Key, uuid.NewString(), minor)
		requireRefused(t, payment.InvalidRefund, err)
	}
	tooMuch := uuid.NewString()
	for range 2 {
		_, err = s.Provider.Refund(t.Context(), p.Key, tooMuch, p.CapturedMinor+1)
		requireRefused(t, payment.MoreThanCaptured, err)
	}
	require.Zero(t, s.get(t, p.Key).RefundedMinor)
	_, err = s.Provider.GetRefund(t.Context(), p.Key, tooMuch)
	require.ErrorIs(t, err, payment.ErrUnknown)
}

// oneKeyOneRefund: a refund's key never names a second refund.
func oneKeyOneRefund(t *testing.T, s Subject) {
	p, other := s.captured(t), s.captured(t)
	key := uuid.NewString()
	_, err := s.Provider.Refund(t.Context(), p.Key, key, 100)
	require.NoError(t, err)

	_, err = s.Provider.Refund(t.Context(), p.Key, key, 101)
	require.ErrorIs(t, err, payment.ErrKeyUsed)
	_, err = s.Provider.Refund(t.Context(), other.Key, key, 100)
	require.ErrorIs(t, err, payment.ErrKeyUsed)
	require.EqualValues(t, 100, s.get(t, p.Key).RefundedMinor)
	require.Zero(t, s.get(t, other.Key).RefundedMinor)
	_, err = s.Provider.GetRefund(t.Context(), other.Key, key)
	require.ErrorIs(t, err, payment.ErrUnknown)
}

// refundsAtOnce: of 20 refunds of a tenth of the payment each, ten succeed.
func refundsAtOnce(t *testing.T, s Subject) {
	p := s.captured(t)
	keys := make([]string, 20)
	refused := make([]error, len(keys))
	n := atOnce(t, len(keys), func(i int) (payment.Payment, error) {
		if keys[i] == "" {
			keys[i] = uuid.NewString()
		}
		got, err := s.Provider.Refund(t.Context(), p.Key, keys[i], 125)
		refused[i] = err
		return got, err
	})
	require.Equal(t, 10, n)
	require.EqualValues(t, 1250, s.get(t, p.Key).RefundedMinor)

	found := 0
	for i, key := range keys {
		_, err := s.Provider.GetRefund(t.Context(), p.Key, key)
		if err == nil {
			found++
			continue
		}
		require.ErrorIs(t, err, payment.ErrUnknown)
		requireRefused(t, payment.MoreThanCaptured, refused[i])
	}
	require.Equal(t, 10, found)
}

// oneRefundAtOnce: 20 requests with one refund key are one refund.
func oneRefundAtOnce(t *testing.T, s Subject) {
	p := s.captured(t)
	key := uuid.NewString()
	n := atOnce(t, 20, func(int) (payment.Payment, error) {
		got, err := s.Provider.Refund(t.Context(), p.Key, key, 125)
		if err == nil && got.RefundedMinor != 125 {
			return got, errors.New("more was given back")
		}
		return got, err
	})
	require.Equal(t, 20, n)
	require.EqualValues(t, 125, s.get(t, p.Key).RefundedMinor)
}
