package backstop_test

import (
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"holdfast/internal/consumer"
	"holdfast/internal/events"
	"holdfast/inventory/backstop"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

type world struct {
	t        *testing.T
	subject  inventorytest.Subject
	handler  *backstop.Handler
	registry *prometheus.Registry
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, _ := inventorytest.NewServer(t)
	registry := prometheus.NewRegistry()
	return &world{t, s, backstop.New(s.API, slog.New(slog.DiscardHandler), registry), registry}
}

// reserve reserves two units of a new product.
func (w *world) reserve() inventoryapi.ReserveRequest {
	w.t.Helper()
	in := inventorytest.NewReserve(inventorytest.Line(w.subject.Stock(w.t, 5), 2))
	_, err := w.subject.API.Reserve(w.t.Context(), in)
	require.NoError(w.t, err)
	return in
}

// ended returns the event of the end of the reservation's order.
func ended(t *testing.T, eventType string, order uuid.UUID, reservation *uuid.UUID) events.Envelope {
	t.Helper()
	data, err := json.Marshal(events.OrderChanged{OrderID: order, State: "cancelled", ReservationID: reservation})
	require.NoError(t, err)
	return events.Envelope{EventType: eventType, EventID: uuid.Must(uuid.NewV7()), Version: 1, Data: data}
}

func (w *world) handle(e events.Envelope) error {
	w.t.Helper()
	effect, err := w.handler.Handle(w.t.Context(), e)
	require.Nil(w.t, effect)
	return err
}

func (w *world) releases() int {
	w.t.Helper()
	families, err := w.registry.Gather()
	require.NoError(w.t, err)
	require.Len(w.t, families, 1)
	return int(families[0].GetMetric()[0].GetCounter().GetValue())
}

// TestReleasesWhatIsStillHeld: each end of an order releases its stock once, however often the event comes, and the
// release is counted.
func TestReleasesWhatIsStillHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i, eventType := range backstop.Types() {
		in := w.reserve()
		e := ended(t, eventType, in.OwnerID, &in.ReservationID)
		for range 10 {
			require.NoError(t, w.handle(e))
		}
		held, err := w.subject.API.GetReservation(t.Context(), in.ReservationID)
		require.NoError(t, err)
		require.Equal(t, inventoryapi.StatusReleased, held.Status)
		require.Equal(t, backstop.Actor, held.Actor)
		require.Equal(t, i+1, w.releases())
	}
	inventorytest.RequireConsistent(t, w.subject.Pool)
}

// TestLeavesAlone: a reservation that has ended, none at all, and events of other kinds change nothing.
func TestLeavesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	confirmed := w.reserve()
	_, err := w.subject.API.Confirm(t.Context(), confirmed.ReservationID, inventorytest.Resolve())
	require.NoError(t, err)
	require.NoError(t, w.handle(ended(t, events.TypeOrderFailed, confirmed.OwnerID, &confirmed.ReservationID)))

	unknown := uuid.New()
	require.NoError(t, w.handle(ended(t, events.TypeOrderExpired, uuid.New(), &unknown)))
	require.NoError(t, w.handle(ended(t, events.TypeOrderCancelled, uuid.New(), nil)))

	open := w.reserve()
	require.NoError(t, w.handle(ended(t, events.TypeOrderPaid, open.OwnerID, &open.ReservationID)))
	require.NoError(t, w.handle(ended(t, "order.invented_later", open.OwnerID, &open.ReservationID)))
	held, err := w.subject.API.GetReservation(t.Context(), open.ReservationID)
	require.NoError(t, err)
	require.Equal(t, inventoryapi.StatusPending, held.Status)
	require.Zero(t, w.releases())
}

// TestAnothersReservationIsPoison: an event must not release the stock of another order.
func TestAnothersReservationIsPoison(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := w.reserve()
	var poison *consumer.PoisonError
	require.ErrorAs(t, w.handle(ended(t, events.TypeOrderCancelled, uuid.New(), &in.ReservationID)), &poison)
	require.Zero(t, w.releases())
}
