package notification_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"holdfast/internal/consumer"
	"holdfast/internal/events"
	"holdfast/internal/money"
	"holdfast/internal/notification"
)

// handle lets the handler handle an event, and applies the effect.
func (w *world) handle(e events.Envelope) error {
	w.t.Helper()
	effect, err := notification.NewHandler(w.orders, w.store, w.logger()).Handle(w.t.Context(), e)
	if err != nil || effect == nil {
		return err
	}
	return pgx.BeginFunc(w.t.Context(), w.pool, func(tx pgx.Tx) error { return effect(w.t.Context(), tx) })
}

func event(t *testing.T, eventType string, order uuid.UUID, at time.Time, data any) events.Envelope {
	t.Helper()
	raw, err := json.Marshal(data)
	require.NoError(t, err)
	return events.Envelope{
		EventType: eventType, EventID: uuid.Must(uuid.NewV7()), Timestamp: at, Version: 1, AggregateID: order, Data: raw,
	}
}

// TestEventIsToldOnce: an event becomes one notification, however often it arrives, and keeps its amount.
func TestEventIsToldOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.order("zoe@example.org", nil)
	e := event(t, events.TypeOrderRefunded, id, time.Now(), events.OrderPayment{
		OrderID: id, Attempt: 1, Amount: &money.Amount{Minor: 700, Currency: "EUR"},
	})
	for range 3 {
		require.NoError(t, w.handle(e))
	}

	n := w.of(id)
	require.Equal(t, []any{"refunded", "pending", int64(700), "EUR"}, []any{n.Kind, n.Status, n.AmountMinor, n.Currency})
	require.NoError(t, w.handle(event(t, events.TypeOrderRefunded, id, time.Now(), events.OrderPayment{OrderID: id})))
	require.Equal(t, 2, w.count("pending"), "another refund is another event")
}

// TestWhatIsSkipped: a customer without an address is not told, and neither is one who has the refusal as an answer.
func TestWhatIsSkipped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		name, email, eventType string
		after                  time.Duration
		status, detail         string
	}{
		{"no address", "", events.TypeOrderConfirmed, time.Second, "skipped", "the order has no email address"},
		{
			"refused in the answer", "zoe@example.org", events.TypeOrderRejected, time.Second, "skipped",
			"the order was refused in the answer to its request",
		},
		{"refused later", "zoe@example.org", events.TypeOrderRejected, 3 * time.Second, "pending", ""},
		{"expired", "zoe@example.org", events.TypeOrderExpired, time.Second, "pending", ""},
	} {
		id := w.order(c.email, nil)
		o, err := w.orders.Get(t.Context(), id)
		require.NoError(t, err)
		require.NoError(t, w.handle(event(t, c.eventType, id, o.CreatedAt.Add(c.after), struct{}{})))

		n := w.of(id)
		require.Equal(t, []string{c.status, c.detail}, []string{n.Status, n.Detail}, c.name)
	}
}

// TestWhatIsNoNotification: an event of which customers are not told changes nothing, nor does one of an order that the
// database does not have. Data that cannot be read is poison.
func TestWhatIsNoNotification(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.order("zoe@example.org", nil)
	require.NoError(t, w.handle(event(t, events.TypeOrderReserved, id, time.Now(), struct{}{})))
	require.NoError(t, w.handle(event(t, "order.invented_later", id, time.Now(), struct{}{})))
	require.NoError(t, w.handle(event(t, events.TypeOrderConfirmed, uuid.New(), time.Now(), struct{}{})))

	var poison *consumer.PoisonError
	require.ErrorAs(t, w.handle(event(t, events.TypeOrderRefunded, id, time.Now(), map[string]any{"amount": 7})), &poison)
	require.Zero(t, w.count("pending")+w.count("skipped"))
}
