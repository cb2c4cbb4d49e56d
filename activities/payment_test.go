package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"holdfast/internal/payment"
	"holdfast/workflows/orderflow"
)

// intents remembers nothing, or refuses.
type intents struct{ err error }

func (i intents) BeginPayment(context.Context, uuid.UUID, int) error { return i.err }

// provider answers every call with one error.
type provider struct{ err error }

func (p provider) Name() string { return "scripted" }

func (p provider) Authorise(context.Context, payment.Authorisation) (payment.Payment, error) {
	return payment.Payment{}, p.err
}

func (p provider) Capture(context.Context, string) (payment.Payment, error) {
	return payment.Payment{}, p.err
}

func (p provider) Void(context.Context, string, string) (payment.Payment, error) {
	return payment.Payment{}, p.err
}

func (p provider) Refund(context.Context, string, string, int64) (payment.Payment, error) {
	return payment.Payment{}, p.err
}

func (p provider) Get(context.Context, string) (payment.Payment, error) {
	return payment.Payment{}, p.err
}

func (p provider) GetRefund(context.Context, string, string) (payment.Refund, error) {
	return payment.Refund{}, p.err
}

// sentBack knows a refund that the bank has sent back.
type sentBack struct{ provider }

func (sentBack) GetRefund(context.Context, string, string) (payment.Refund, error) {
	return payment.Refund{ProviderRef: "re_1", AmountMinor: 1250, State: payment.RefundFailed}, nil
}

// TestRefundThatWasSentBackIsNoRefund: FindRefund refuses it, so nothing books it as made.
func TestRefundThatWasSentBackIsNoRefund(t *testing.T) {
	t.Parallel()
	_, err := NewPayment(sentBack{}, intents{}).FindRefund(t.Context(), orderflow.PaymentInput{})
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	require.Equal(t, orderflow.ErrPaymentRefused, app.Type())
	require.True(t, app.NonRetryable())
	require.ErrorContains(t, err, "refund_sent_back")
}

// acting wants an action for every authorisation, and counts voids.
type acting struct {
	provider
	voids   *int
	voidErr error
}

func (acting) Authorise(context.Context, payment.Authorisation) (payment.Payment, error) {
	return payment.Payment{}, &payment.ActionRequiredError{}
}

func (p acting) Void(context.Context, string, string) (payment.Payment, error) {
	*p.voids++
	return payment.Payment{}, p.voidErr
}

// TestPaymentThatRequiresAnActionIsVoided: no step waits for the customer, so nothing may be left that the customer
// could still complete.
func TestPaymentThatRequiresAnActionIsVoided(t *testing.T) {
	t.Parallel()
	voids := 0
	p := acting{voids: &voids}
	_, err := NewPayment(p, intents{}).AuthorisePayment(t.Context(), orderflow.PaymentInput{})
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	require.True(t, app.NonRetryable())
	require.Equal(t, orderflow.ErrPaymentRefused, app.Type())
	require.Equal(t, 1, voids)

	p.voidErr = errors.New("connection refused")
	_, err = NewPayment(p, intents{}).AuthorisePayment(t.Context(), orderflow.PaymentInput{})
	require.ErrorIs(t, err, p.voidErr)
	require.False(t, errors.As(err, &app) && app.NonRetryable(), "Temporal repeats the activity until it is voided")
	require.Equal(t, 2, voids)
}

// TestWhatAProviderSaysIsFinalOrRetried: a business answer is final and has a type of its own. When an error leaves the
// outcome open, Temporal retries the activity under the same key.
func TestWhatAProviderSaysIsFinalOrRetried(t *testing.T) {
	t.Parallel()
	all := []string{"authorise", "capture", "void", "refund"}
	calls := []struct {
		name string
		call func(*PaymentActivities) error
	}{
		{"authorise", func(a *PaymentActivities) error {
			_, err := a.AuthorisePayment(t.Context(), orderflow.PaymentInput{})
			return err
		}},
		{"capture", func(a *PaymentActivities) error {
			_, err := a.CapturePayment(t.Context(), orderflow.PaymentInput{})
			return err
		}},
		{"void", func(a *PaymentActivities) error {
			_, err := a.VoidPayment(t.Context(), orderflow.PaymentInput{})
			return err
		}},
		{"refund", func(a *PaymentActivities) error {
			_, err := a.RefundPayment(t.Context(), orderflow.PaymentInput{})
			return err
		}},
	}

	for _, says := range []struct {
		err  error
		kind string // "": retried
		of   []string
	}{
		{nil, "", nil},
		{&payment.DeclinedError{Code: payment.CardDeclined}, orderflow.ErrPaymentDeclined, []string{"authorise"}},
		{&payment.RefusedError{Code: payment.MoreThanCaptured}, orderflow.ErrPaymentRefused, all},
		{payment.ErrCaptured, orderflow.ErrPaymentCaptured, []string{"void"}},
		{payment.ErrKeyUsed, orderflow.ErrPaymentKeyUsed, []string{"authorise"}},
		{payment.ErrVoided, orderflow.ErrPaymentKeyUsed, []string{"authorise"}},
		{payment.ErrVoided, orderflow.ErrPaymentRefused, []string{"capture", "refund"}},
		{payment.ErrUnknown, orderflow.ErrPaymentRefused, []string{"capture", "refund"}},
		{errors.New("connection refused"), "", all},
		{context.DeadlineExceeded, "", all},
	} {
		for _, c := range calls {
			if says.err != nil && !slices.Contains(says.of, c.name) {
				continue
			}
			t.Run(fmt.Sprintf("%s/%v", c.name, says.err), func(t *testing.T) {
				t.Parallel()
				err := c.call(NewPayment(provider{says.err}, intents{}))
				if says.err == nil {
					require.NoError(t, err)
					return
				}

				require.Error(t, err)
				var app *temporal.ApplicationError
				final := errors.As(err, &app) && app.NonRetryable()
				require.Equal(t, says.kind != "", final)
				if final {
					require.Equal(t, says.kind, app.Type())
				}
			})
		}
	}
}

// recorder answers with one error.
type recorder struct{ err error }

func (r recorder) Record(context.Context, orderflow.RecordInput) (orderflow.RecordResult, error) {
	return orderflow.RecordResult{}, r.err
}

func (r recorder) Find(context.Context, uuid.UUID) (orderflow.RecordedOrder, error) {
	return orderflow.RecordedOrder{}, r.err
}

// TestWhatARecordSaysIsFinalOrRetried: Temporal retries a record while the database is down; a record that the database
// refuses is final.
func TestWhatARecordSaysIsFinalOrRetried(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		kind string
	}{
		{orderflow.ErrRowTaken, orderflow.ErrRecordConflict},
		{fmt.Errorf("insert order: %w", orderflow.ErrUnrecordable), orderflow.ErrRecordImpossible},
		{errors.New("connection refused"), ""},
	} {
		_, err := NewRecord(recorder{err: c.err}).RecordOrder(t.Context(), orderflow.RecordInput{})
		var app *temporal.ApplicationError
		final := errors.As(err, &app) && app.NonRetryable()
		require.Equal(t, c.kind != "", final, "%v", c.err)
		if final {
			require.Equal(t, c.kind, app.Type())
		}
	}

	none, err := NewRecord(recorder{err: orderflow.ErrNoRow}).FindOrder(t.Context(), orderflow.FindOrderInput{})
	require.NoError(t, err)
	require.Nil(t, none.Order, "a missing row is an answer, no error")
}
