package notification_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"holdfast/internal/notification"
	"holdfast/tests/testenv"
)

// TestCustomersAreTold: what the server takes is sent, what it refuses has failed, and what it defers is tried again
// later. Neither rows nor logs have an address.
func TestCustomersAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := testenv.MailServer(t, 0, secured)
	ids := map[string]uuid.UUID{}
	for _, name := range []string{"zoe", "unknown.zoe", "busy.zoe"} {
		ids[name] = w.order(name+"@example.org", map[string]string{"locale": "de"})
		w.add(ids[name])
	}
	w.dispatch(newSender(t, serverConfig(server)))

	sent := w.awaitStatus(ids["zoe"], "sent")
	require.Equal(t, []any{"smtp", "", int32(1)}, []any{sent.Channel, sent.Detail, sent.Attempts})
	require.Len(t, messagesTo(t, server, "zoe@example.org"), 1)

	failed := w.awaitStatus(ids["unknown.zoe"], "failed")
	require.Contains(t, failed.Detail, "550 5.1.1")
	require.Equal(t, int32(1), failed.Attempts)

	require.Eventually(t, func() bool { return w.of(ids["busy.zoe"]).Attempts == 1 }, patience, 5*time.Millisecond)
	busy := w.of(ids["busy.zoe"])
	require.Contains(t, busy.Detail, "451 4.2.1")
	require.Equal(t, "pending", busy.Status)
	require.WithinDuration(t, time.Now().Add(30*time.Second), busy.DueAt, 10*time.Second)

	for attempt := range settings.MaxAttempts - 1 {
		tried := func() bool { return int(w.of(ids["busy.zoe"]).Attempts) > attempt }
		require.Eventually(t, tried, patience, 5*time.Millisecond)
		_, err := w.pool.Exec(t.Context(), "UPDATE notifications SET due_at = now() WHERE order_id = $1", ids["busy.zoe"])
		require.NoError(t, err)
	}
	require.Contains(t, w.awaitStatus(ids["busy.zoe"], "failed").Detail, "given up after 3 attempts")
	require.NotContains(t, w.log.String(), "zoe@")
	require.Contains(t, w.log.String(), "a customer cannot be told")
}

// TestOutageLosesNothing: while the server is down, the circuit breaker opens, and no attempt counts. When the server
// is back, every customer is told once.
func TestOutageLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := testenv.MailServer(t, 0, secured)
	cfg := serverConfig(server)
	require.NoError(t, server.Stop(t.Context()))
	const customers = 12
	for n := range customers {
		w.add(w.order(fmt.Sprintf("customer%02d@example.org", n), nil))
	}
	registry, _ := w.dispatch(newSender(t, cfg))
	require.Eventually(t, func() bool { return gauge(t, registry, "notifications_circuit_breaker_state") == 1 },
		patience, time.Millisecond, "the breaker does not open")

	back := testenv.MailServer(t, cfg.Port, secured)
	require.Equal(t, cfg.Port, back.Port())
	cfg.CAFile = back.CAFile()
	w.dispatch(newSender(t, cfg)) // the certificate of a server is as old as the server
	require.Eventually(t, func() bool { return w.count("sent") == customers }, patience, 20*time.Millisecond)
	for n := range customers {
		require.Len(t, messagesTo(t, back, fmt.Sprintf("customer%02d@", n)), 1)
	}
	var attempts int
	require.NoError(t, w.pool.QueryRow(t.Context(), "SELECT max(attempts) FROM notifications").Scan(&attempts))
	require.Equal(t, 1, attempts)
}

func gauge(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return -1
}

// TestLostMark: if the process dies after the server has taken a mail and before the row is marked, the mail is sent
// again, with the same Message-ID.
func TestLostMark(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := testenv.MailServer(t, 0, secured)
	id := w.order("zoe@example.org", nil)
	w.add(id)
	w.dispatch(newSender(t, serverConfig(server)))
	w.awaitStatus(id, "sent")
	_, err := w.pool.Exec(t.Context(), `
		UPDATE notifications SET status = 'pending', channel = '', resolved_at = NULL, due_at = now()`)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(messagesTo(t, server, "zoe@")) == 2 }, patience, 5*time.Millisecond)

	mails := messagesTo(t, server, "zoe@")
	require.Equal(t, mails[0].Header.Get("Message-ID"), mails[1].Header.Get("Message-ID"))
}

// outbox is a sender that keeps what it is given.
type outbox struct {
	mu   sync.Mutex
	sent map[uuid.UUID]int
	err  error
}

func (o *outbox) Channel() string { return "smtp" }

func (o *outbox) Send(_ context.Context, m notification.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent[m.OrderID]++
	return o.err
}

// TestDispatchersShareTheWork: three dispatchers of one database send each notification once.
func TestDispatchersShareTheWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const customers = 60
	for n := range customers {
		w.add(w.order(fmt.Sprintf("customer%02d@example.org", n), nil))
	}
	box := &outbox{sent: map[uuid.UUID]int{}}
	for range 3 {
		w.dispatch(box)
	}
	require.Eventually(t, func() bool { return w.count("sent") == customers }, patience, 10*time.Millisecond)

	box.mu.Lock()
	defer box.mu.Unlock()
	require.Len(t, box.sent, customers)
	for _, n := range box.sent {
		require.Equal(t, 1, n)
	}
}

// TestOldLeaseSettlesNothing: a dispatcher whose lease has run out does not overwrite the outcome of the next one.
func TestOldLeaseSettlesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add(w.order("zoe@example.org", nil))
	first, err := w.store.Lease(t.Context(), 10, 0)
	require.NoError(t, err)
	second, err := w.store.Lease(t.Context(), 10, time.Minute)
	require.NoError(t, err)
	require.Len(t, first, 1)
	require.Len(t, second, 1, "the first lease has run out")
	third, err := w.store.Lease(t.Context(), 10, time.Minute)
	require.NoError(t, err)
	require.Empty(t, third, "the second lease has not")

	settled, err := w.store.Settle(t.Context(), first[0], notification.Outcome{Status: notification.Refused})
	require.NoError(t, err)
	require.False(t, settled)
	settled, err = w.store.Settle(t.Context(), second[0], notification.Outcome{Status: notification.Sent, Channel: "log"})
	require.NoError(t, err)
	require.True(t, settled)
}

// TestAddressThatIsGone: an order whose address was deleted after the event is skipped.
func TestAddressThatIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.order("zoe@example.org", nil)
	w.add(id)
	_, err := w.pool.Exec(t.Context(), "UPDATE orders SET email = ''")
	require.NoError(t, err)
	w.dispatch(&outbox{sent: map[uuid.UUID]int{}})
	require.Equal(t, "the order has no email address", w.awaitStatus(id, "skipped").Detail)
}

// TestSendAgain: an operator sends a notification again, whatever became of it, but not while it waits.
func TestSendAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.order("zoe@example.org", nil)
	w.add(id)
	require.ErrorIs(t, w.store.SendAgain(t.Context(), w.of(id).NotificationID, "olga"), notification.ErrPending)
	require.ErrorIs(t, w.store.SendAgain(t.Context(), uuid.New(), "olga"), notification.ErrNotFound)
	box := &outbox{sent: map[uuid.UUID]int{}, err: fmt.Errorf("%w: 550", notification.ErrRefused)}
	_, stop := w.dispatch(box)
	n := w.awaitStatus(id, "failed")
	stop()
	box.err = nil
	w.dispatch(box)
	require.NoError(t, w.store.SendAgain(t.Context(), n.NotificationID, "olga"))

	require.Equal(t, int32(1), w.awaitStatus(id, "sent").Resends)
	_, actions, err := w.store.Get(t.Context(), n.NotificationID)
	require.NoError(t, err)
	require.Len(t, actions, 1)
	require.Equal(t, "olga", actions[0].Actor)
}

// TestLogChannel: the channel for development writes a line without address and text.
func TestLogChannel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.order("zoe@example.org", nil)
	w.add(id)
	w.dispatch(notification.NewLogSender(w.logger()))
	require.Equal(t, "log", w.awaitStatus(id, "sent").Channel)
	require.Contains(t, w.log.String(), "kind=confirmed order_id="+id.String())
	require.NotContains(t, w.log.String(), "zoe")
}
