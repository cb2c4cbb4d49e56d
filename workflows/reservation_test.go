package workflows_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"holdfast/workflows/orderflow"
)

// needsOperator matches an update of the search attribute by which operators find stuck workflows.
func needsOperator(seen func(bool)) any {
	return mock.MatchedBy(func(attributes temporal.SearchAttributes) bool {
		if v, ok := attributes.GetBool(orderflow.AttrNeedsOperator); ok {
			seen(v)
		}
		return true
	})
}

// hold runs a reservation without an order with the given time to live.
func (h *harness) hold(ttl int) orderflow.ReservationView {
	h.t.Helper()
	id := uuid.New()
	h.start(orderflow.ReservationWorkflowID(id), orderflow.ReservationWorkflow, orderflow.ReservationStart{
		ReservationID: id,
		OwnerID:       uuid.New(),
		RequestHash:   "hash",
		Actor:         "alice",
		TTLSeconds:    ttl,
		PlacedAt:      h.env.Now(),
		Revision:      orderflow.CurrentRevision,
		Lines:         []orderflow.ReserveLine{{LineNo: 1, ProductID: uuid.New(), Quantity: 1}},
	})
	require.True(h.t, h.env.IsWorkflowCompleted())
	require.NoError(h.t, h.env.GetWorkflowError())
	var out orderflow.ReservationView
	require.NoError(h.t, h.env.GetWorkflowResult(&out))
	return out
}

func (h *harness) resolve(after time.Duration, name string) *reply {
	return h.send(after, name, orderflow.ResolveInput{Actor: "alice"})
}

func TestReservationEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set    func(*harness) *reply
		status string
		code   string // of the update's refusal
		calls  []string
	}{
		"expires": {func(*harness) *reply {
			return nil
		}, orderflow.ReservationExpired, "", []string{reserve, expire}},
		"released": {func(h *harness) *reply {
			return h.resolve(time.Second, orderflow.UpdateRelease)
		}, orderflow.ReservationReleased, "", []string{reserve, release}},
		"confirmed": {func(h *harness) *reply {
			return h.resolve(time.Second, orderflow.UpdateConfirm)
		}, orderflow.ReservationConfirmed, "", []string{reserve, confirm}},
		"confirmed too late": {func(h *harness) *reply {
			h.script[confirm] = always(refuse(orderflow.ErrReservationExpired))
			return h.resolve(time.Second, orderflow.UpdateConfirm)
		}, orderflow.ReservationExpired, "", []string{reserve, expire}},
		"extended": {func(h *harness) *reply {
			return h.extend(time.Second, 90)
		}, orderflow.ReservationExpired, "", []string{reserve, extend, expire}},
		"extended for too long": {func(h *harness) *reply {
			return h.extend(time.Second, 25*3600)
		}, orderflow.ReservationExpired, orderflow.ErrInvalidDuration, []string{reserve, expire}},
		"extended too late": {func(h *harness) *reply {
			h.script[extend] = always(refuse(orderflow.ErrReservationExpired))
			return h.extend(time.Second, 90)
		}, orderflow.ReservationExpired, orderflow.ErrReservationClosed, []string{reserve, expire}},
		"released by another client": {func(h *harness) *reply {
			h.script[confirm] = always(refuse(orderflow.ErrReservationClosed, "released"))
			return h.resolve(time.Second, orderflow.UpdateConfirm)
		}, orderflow.ReservationReleased, "", []string{reserve}},
		"confirming is refused, and the timer stays": {func(h *harness) *reply {
			h.script[confirm] = always(refuse(orderflow.ErrReservationRefused, orderflow.Refusal{Code: "invalid_confirm"}))
			return h.resolve(time.Second, orderflow.UpdateConfirm)
		}, orderflow.ReservationExpired, "", []string{reserve, expire}},
		"inventory down at the deadline": {func(h *harness) *reply {
			h.script[expire] = h.until(140*time.Second, errDown)
			return nil
		}, orderflow.ReservationExpired, "", []string{reserve, expire}},
		"inventory down for longer than it would have lived": {func(h *harness) *reply {
			h.script[reserve] = always(errDown)
			return nil
		}, orderflow.ReservationReleased, "", []string{release}},
		"workflow cancelled": {func(h *harness) *reply {
			h.env.RegisterDelayedCallback(h.env.CancelWorkflow, time.Second)
			return nil
		}, orderflow.ReservationReleased, "", []string{reserve, release}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			got := c.set(h)

			require.Equal(t, c.status, h.hold(60).Status)
			require.Equal(t, c.calls, h.called())
			if got != nil {
				require.True(t, got.done)
				require.Equal(t, c.code, got.code(), "%v", got.err)
			}
		})
	}
}

// TestReservationRefused: a refused reservation ends at once and tells the caller the reason.
func TestReservationRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	short := []orderflow.ShortLine{{ProductID: uuid.New(), Requested: 3, Available: 2}}
	h.script[reserve] = always(refuse(orderflow.ErrOutOfStock, short))
	placed := h.send(0, orderflow.UpdatePlace, orderflow.PlaceInput{})

	view := h.hold(60)

	require.Equal(t, orderflow.ErrOutOfStock, view.Refusal.Code)
	require.Equal(t, short, view.Short)
	require.Empty(t, h.called())
	require.True(t, placed.done)
	require.Equal(t, view, placed.result)
}
