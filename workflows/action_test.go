package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// news tells the order that the provider has news of its payment.
func (h *harness) news(after time.Duration) *reply {
	return h.send(after, orderflow.UpdatePaymentChanged, orderflow.PaymentChangedInput{PaymentKey: "key"})
}

// TestPaymentWaitsForTheCustomer: a payment that the customer must confirm at the bank is answered at once with the
// address, and goes on when the provider tells that there is news.
func TestPaymentWaitsForTheCustomer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		found  func(n int) error // the answers of a look-up; nil: the money is set aside
		events func(h *harness) []*reply
		want   order.State
		calls  []string
	}{
		"confirmed": {
			nil,
			func(h *harness) []*reply {
				return []*reply{h.news(3 * time.Minute), h.news(3*time.Minute + time.Second)}
			},
			order.Confirmed,
			[]string{reserve, extend, authorise, extend, orderflow.FindPayment, confirm, capture},
		},
		"refused at the bank": {
			always(refuse(orderflow.ErrPaymentDeclined, "authentication_failed")),
			func(h *harness) []*reply { return []*reply{h.news(3 * time.Minute)} },
			order.Expired,
			nil,
		},
		"the webhook is lost": {
			nil, func(*harness) []*reply { return nil },
			order.Confirmed,
			[]string{reserve, extend, authorise, extend, orderflow.FindPayment, confirm, capture},
		},
		"cancelled meanwhile": {
			nil,
			func(h *harness) []*reply { return []*reply{h.cancel(3 * time.Minute)} },
			order.Cancelled,
			[]string{reserve, extend, authorise, extend, void, release},
		},
		"the provider does not answer the look-up": {
			always(errDown),
			func(h *harness) []*reply { return []*reply{h.news(3 * time.Minute)} },
			order.Expired,
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.actionURL = "https://bank.example.org/confirm"
			h.script[orderflow.FindPayment] = c.found
			paid := h.pay(time.Second)
			var during orderflow.View
			h.env.RegisterDelayedCallback(func() {
				value, err := h.env.QueryWorkflow(orderflow.QueryState)
				require.NoError(t, err)
				require.NoError(t, value.Get(&during))
			}, 2*time.Minute)
			replies := c.events(h)

			require.Equal(t, c.want, h.run(60).State)
			require.Equal(t, orderflow.PayActionRequired, outcome(t, paid))
			require.Equal(t, order.Paying, during.State)
			require.Equal(t, h.actionURL, during.ActionURL)
			require.Empty(t, h.last.ActionURL)
			for _, r := range replies {
				require.True(t, r.done)
			}
			if c.calls != nil {
				require.Equal(t, c.calls, h.called())
			}
			if c.want != order.Confirmed {
				require.NotContains(t, h.called(), capture)
			}
		})
	}
}

// TestNewsOfAPaymentThatNobodyWaitsFor leaves no event in the history.
func TestNewsOfAPaymentThatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	told := h.news(time.Second)
	require.Equal(t, order.Expired, h.run(60).State)
	require.True(t, told.rejected)
}
