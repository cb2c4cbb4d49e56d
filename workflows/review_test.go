package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

func (h *harness) approve(after time.Duration) *reply {
	return h.send(after, orderflow.UpdateApprove, orderflow.ApproveInput{Actor: "olga", Reason: "known customer"})
}

// reviewed makes an operator's approval necessary, within ten minutes.
func reviewed(in *orderflow.OrderInput) {
	in.Review = &orderflow.Review{Reasons: []string{"amount"}, Seconds: 600}
}

// TestReview: nothing is paid before an operator has approved the order, and without an approval it expires.
func TestReview(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set    func(h *harness)
		atOnce bool
		want   order.State
		events []order.Event
	}{
		"approved, and paid at once": {
			func(h *harness) { h.approve(time.Minute) },
			true,
			order.Confirmed,
			[]order.Event{
				order.EventInReview,
				order.EventApproved,
				order.EventPaymentStarted,
				order.EventPaid,
				order.EventConfirmed,
			},
		},
		"approved late, and never paid": {
			func(h *harness) { h.approve(6 * time.Minute) },
			false,
			order.Expired,
			[]order.Event{
				order.EventInReview,
				order.EventReviewEscalated,
				order.EventApproved,
				order.EventStockReleased,
				order.EventExpired,
			},
		},
		"nobody looks at it": {
			func(*harness) {},
			true,
			order.Expired,
			[]order.Event{
				order.EventInReview,
				order.EventReviewEscalated,
				order.EventStockReleased,
				order.EventExpired,
			},
		},
		"cancelled": {
			func(h *harness) { h.cancel(time.Minute) },
			true,
			order.Cancelled,
			[]order.Event{order.EventInReview, order.EventStockReleased, order.EventCancelled},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			early := h.pay(time.Second)
			marked := h.marked()
			c.set(h)
			result := h.run(60, reviewed, func(in *orderflow.OrderInput) {
				if c.atOnce {
					in.PaymentMethod = "pm_ok"
				}
			})
			require.Equal(t, c.want, result.State)
			require.Equal(t, c.events, h.events())
			require.Equal(t, string(order.UnderReview), early.code())
			if c.want != order.Confirmed {
				require.NotContains(t, h.called(), authorise)
			}
			if len(*marked) > 0 {
				require.True(t, (*marked)[0])
			}
		})
	}
}

// TestReviewSurvivesARestart: a run that goes on from the row of an order in review does not pay it, also if its input
// no longer says that a review is needed; one that goes on from an approved order does not ask again.
func TestReviewSurvivesARestart(t *testing.T) {
	t.Parallel()
	t.Run("not approved", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.earlier = left(order.InReview, 2, 0, 0)
		result := h.run(60, func(in *orderflow.OrderInput) { in.PaymentMethod = "pm_ok" })
		require.Equal(t, order.Expired, result.State)
		require.NotContains(t, h.called(), authorise)
	})
	t.Run("approved", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.earlier = left(order.Reserved, 3, 0, 0)
		h.pay(time.Minute)
		require.Equal(t, order.Confirmed, h.run(60, reviewed).State)
	})
}

// TestReviewThatEnded: a run that finds the order ended does not bring it back into review.
func TestReviewThatEnded(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.earlier = left(order.InReview, 2, 0, 0)
	h.script[reserve] = always(refuse(orderflow.ErrReservationClosed, orderflow.ReservationExpired))
	require.Equal(t, order.Failed, h.run(60, reviewed).State)
	require.Equal(t, []order.Event{order.EventFailed}, h.events())
}
