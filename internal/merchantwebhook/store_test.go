package merchantwebhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/consumer"
	"holdfast/internal/eventcatalogue"
	"holdfast/internal/events"
	"holdfast/internal/merchantwebhook"
	"holdfast/internal/rabbitmq"
	"holdfast/inventory/inventoryapi"
	"holdfast/tests/broker"
	"holdfast/tests/testenv"
)

// TestTypes: merchants can subscribe to each event of the catalogue, and to no other.
func TestTypes(t *testing.T) {
	t.Parallel()
	for _, one := range merchantwebhook.Types() {
		require.NoError(t, merchantwebhook.CheckEventTypes([]string{one}))
	}
	require.Len(t, merchantwebhook.Types(), len(eventcatalogue.All()))
	require.NoError(t, merchantwebhook.CheckEventTypes([]string{"order.*", "inventory.*", "order.paid"}))
	for _, wrong := range [][]string{
		{"order.payed"}, {"*"}, {"order*"}, {"order.p*"}, {"orders.*"}, {""}, {"order.*.*"}, {"order.paid", "order.paid"},
	} {
		var refused *merchantwebhook.EventTypeError
		require.ErrorAs(t, merchantwebhook.CheckEventTypes(wrong), &refused, "%v", wrong)
		require.Equal(t, len(wrong)-1, refused.Index)
	}
}

// TestWhoGetsAnEvent: the subscriptions that name its type or its beginning do. One that is disabled has it on hold.
func TestWhoGetsAnEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	exact := w.subscribe("http://127.0.0.1:1/a", events.TypeOrderPaid, events.TypeOrderCancelled)
	all := w.subscribe("http://127.0.0.1:1/b", "order.*", "inventory.*")
	off := w.subscribe("http://127.0.0.1:1/c", events.TypeOrderPaid)
	stock := w.subscribe("http://127.0.0.1:1/d", "inventory.*")
	deleted := w.subscribe("http://127.0.0.1:1/e")
	w.switchTo(off, false)
	require.NoError(t, w.store.Delete(t.Context(), deleted.SubscriptionID, "olga"))

	w.consume(newEvent(events.TypeOrderPaid), newEvent(events.TypeOrderCreated), newEvent(inventoryapi.EventDepleted))

	w.awaitStatus(exact, merchantwebhook.Pending, 1)
	w.awaitStatus(all, merchantwebhook.Pending, 3)
	w.awaitStatus(off, merchantwebhook.Held, 1)
	w.awaitStatus(off, merchantwebhook.Pending, 0)
	w.awaitStatus(stock, merchantwebhook.Pending, 1)
	require.Equal(t, 6, w.count(`SELECT count(*) FROM webhook_deliveries`))
	require.Equal(t, 3, w.count(`SELECT count(*) FROM webhook_events`))
}

// TestEventThatNobodyGets leaves no row, not even in the inbox.
func TestEventThatNobodyGets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.subscribe("http://127.0.0.1:1", events.TypeOrderPaid)
	_, err := merchantwebhook.NewHandler(w.store).Handle(t.Context(), newEvent(events.TypeOrderCreated))
	require.ErrorIs(t, err, consumer.ErrNothingToDo)
}

// TestConsumed: events of both exchanges become deliveries through the real consumer, and an event that comes ten times
// is delivered once.
func TestConsumed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	topology := broker.New(t, nil)
	connector := rabbitmq.NewConnector(rabbitmq.Config{
		URL:            testenv.RabbitMQ(t),
		ConnectTimeout: 5 * time.Second,
		Heartbeat:      10 * time.Second,
		ConfirmTimeout: 10 * time.Second,
		ReconnectMax:   100 * time.Millisecond,
	}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	session, err := connector.Open(t.Context(), "test")
	require.NoError(t, err)
	t.Cleanup(session.Close)
	require.NoError(t, session.Declare(topology.Topology))

	c := consumer.New(consumer.Options{
		Config: consumer.Config{
			Prefetch: 32, Workers: 4, MaxAttempts: 3, Timeout: 10 * time.Second, InboxRetention: 720 * time.Hour,
		},
		Service:   "webhooks",
		Queue:     topology.Name(rabbitmq.WebhooksEvents),
		Types:     merchantwebhook.Types(),
		Handler:   merchantwebhook.NewHandler(w.store).Handle,
		Inbox:     consumer.NewInbox(w.pool, merchantwebhook.Name),
		Connector: connector,
		Topology:  topology.Topology,
		Log:       slog.New(slog.DiscardHandler),
		Registry:  prometheus.NewRegistry(),
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})

	shop := receive(t, always(http.StatusOK))
	s := w.subscribe(shop.URL, "order.*", inventoryapi.EventDepleted)
	w.startSender()
	publisher, err := session.Publisher(1)
	require.NoError(t, err)
	publish := func(exchange string, e events.Envelope) {
		body, err := json.Marshal(e)
		require.NoError(t, err)
		require.NoError(t, publisher.Publish(t.Context(), []rabbitmq.Message{{
			Exchange:   topology.Name(exchange),
			Key:        e.EventType,
			Publishing: amqp.Publishing{MessageId: e.EventID.String(), Type: e.EventType, Body: body},
		}})[0])
	}
	paid := newEvent(events.TypeOrderPaid)
	for range 10 {
		publish(rabbitmq.OrderEvents, paid)
	}
	publish(rabbitmq.InventoryEvents, newEvent(inventoryapi.EventLowStock)) // no subscription names its type
	publish(rabbitmq.InventoryEvents, newEvent(inventoryapi.EventDepleted))
	publish(rabbitmq.OrderEvents, newEvent(events.TypeOrderCreated))

	w.awaitStatus(s, merchantwebhook.Delivered, 3)
	require.Eventually(t, func() bool {
		d, err := session.Depth(topology.Name(rabbitmq.WebhooksEvents))
		return err == nil && d.Ready == 0
	}, patience, 5*time.Millisecond)
	require.Equal(t, 1, shop.times()[paid.EventID.String()])
	require.Len(t, shop.all(), 3)
	require.Equal(t, 3, w.count(`SELECT count(*) FROM processed_events`))
}

// TestRedeliver: an operator sends a delivery that has ended again, once, to a subscription that is enabled.
func TestRedeliver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := receive(t, always(http.StatusOK))
	s := w.subscribe(shop.URL)
	e := newEvent(events.TypeOrderPaid)
	w.consume(e)
	d := w.awaitStatus(s, merchantwebhook.Pending, 1)[0]
	require.ErrorIs(t, w.store.Redeliver(t.Context(), d.DeliveryID, "olga"), merchantwebhook.ErrPending)
	require.ErrorIs(t, w.store.Redeliver(t.Context(), uuid.New(), "olga"), merchantwebhook.ErrDeliveryNotFound)

	stop := w.startSender()
	w.awaitStatus(s, merchantwebhook.Delivered, 1)
	stop()
	var sent atomic.Int32
	var operators errgroup.Group
	for range 20 {
		operators.Go(func() error {
			err := w.store.Redeliver(t.Context(), d.DeliveryID, "olga")
			if errors.Is(err, merchantwebhook.ErrPending) {
				return nil
			}
			sent.Add(1)
			return err
		})
	}
	require.NoError(t, operators.Wait())
	require.EqualValues(t, 1, sent.Load())

	w.startSender()
	require.EqualValues(t, 1, w.awaitStatus(s, merchantwebhook.Delivered, 1)[0].Redeliveries)
	require.Equal(t, map[string]int{e.EventID.String(): 2}, shop.times(), "with the same id")

	w.switchTo(s, false)
	require.ErrorIs(t, w.store.Redeliver(t.Context(), d.DeliveryID, "olga"), merchantwebhook.ErrDisabled)
}

// TestRedeliverRange: what a disabled subscription has missed is sent by its time, and each delivery once, although
// they end again while the range is sent.
func TestRedeliverRange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := receive(t, always(http.StatusOK))
	s := w.subscribe(shop.URL)
	w.consume(paid(1)...)
	w.startSender()
	w.awaitStatus(s, merchantwebhook.Delivered, 1)

	w.switchTo(s, false)
	missed := paid(25)
	w.consume(missed...)
	w.awaitStatus(s, merchantwebhook.Held, 25)
	w.exec(`UPDATE webhook_deliveries SET created_at = created_at - interval '1 day' WHERE event_id = $1`,
		missed[0].EventID)
	yesterday := merchantwebhook.Range{
		SubscriptionID: s.SubscriptionID,
		Statuses:       []string{merchantwebhook.Held, merchantwebhook.Failed},
		From:           time.Now().Add(-36 * time.Hour),
		To:             time.Now().Add(-12 * time.Hour),
	}
	n, _, err := w.store.CountRange(t.Context(), yesterday)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)

	everything := yesterday
	everything.From, everything.To = time.Time{}, time.Time{}
	everything.Statuses = append(everything.Statuses, merchantwebhook.Delivered)
	n, everything.EndedBefore, err = w.store.CountRange(t.Context(), everything)
	require.NoError(t, err)
	require.EqualValues(t, 26, n)
	_, err = w.store.RedeliverRange(t.Context(), everything, "olga", 10)
	require.ErrorIs(t, err, merchantwebhook.ErrDisabled)

	w.switchTo(s, true)
	w.awaitStatus(s, merchantwebhook.Held, 25)
	for _, want := range []int{10, 10, 6, 0} {
		sent, err := w.store.RedeliverRange(t.Context(), everything, "olga", 10)
		require.NoError(t, err)
		require.Equal(t, want, sent)
		w.awaitStatus(s, merchantwebhook.Pending, 0) // those that were sent match the range but for EndedBefore
	}
	w.awaitStatus(s, merchantwebhook.Delivered, 26)
	for id, times := range shop.times() {
		require.LessOrEqual(t, times, 2, id)
	}
	require.Len(t, shop.all(), 27)
}

// TestClean: old events go with their deliveries; pending and young ones stay. What is deleted leaves nothing behind
// but the record of who did it.
func TestClean(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := receive(t, always(http.StatusOK))
	s := w.subscribe(shop.URL)
	w.consume(paid(3)...)
	stop := w.startSender()
	w.awaitStatus(s, merchantwebhook.Delivered, 3)
	stop()
	w.consume(paid(1)...)

	n, err := w.store.Clean(t.Context(), time.Now().Add(-time.Hour), 10)
	require.NoError(t, err)
	require.Zero(t, n)
	for _, want := range []int{2, 1, 0} {
		n, err := w.store.Clean(t.Context(), time.Now().Add(time.Second), 2)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	w.awaitStatus(s, merchantwebhook.Pending, 1)
	require.Equal(t, 1, w.count(`SELECT count(*) FROM webhook_events`))

	require.NoError(t, w.store.Delete(t.Context(), s.SubscriptionID, "olga"))
	require.ErrorIs(t, w.store.Delete(t.Context(), s.SubscriptionID, "olga"), merchantwebhook.ErrNotFound)
	require.Zero(t, w.count(`SELECT count(*) FROM webhook_subscriptions WHERE secret <> ''`))
	_, err = w.store.Clean(t.Context(), time.Now().Add(-time.Hour), 10)
	require.NoError(t, err)
	for _, table := range []string{"webhook_deliveries", "webhook_subscriptions"} {
		require.Zero(t, w.count(`SELECT count(*) FROM `+table), table)
	}
	require.Equal(t, 2, w.count(`SELECT count(*) FROM webhook_actions`))
}

// TestLists: pages are complete and filters apply, by each index.
func TestLists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, other := w.subscribe("http://127.0.0.1:1/a"), w.subscribe("http://127.0.0.1:1/b", events.TypeOrderPaid)
	w.consume(slices.Concat(paid(7), []events.Envelope{newEvent(events.TypeOrderCreated)})...)
	w.exec(`UPDATE webhook_deliveries SET status = 'failed', ended_at = now() WHERE subscription_id = $1`,
		one.SubscriptionID)

	for _, c := range []struct {
		filter merchantwebhook.DeliveryFilter
		want   int
	}{
		{merchantwebhook.DeliveryFilter{}, 15},
		{merchantwebhook.DeliveryFilter{Status: merchantwebhook.Failed}, 8},
		{merchantwebhook.DeliveryFilter{Status: merchantwebhook.Pending}, 7},
		{merchantwebhook.DeliveryFilter{SubscriptionID: other.SubscriptionID}, 7},
		{merchantwebhook.DeliveryFilter{SubscriptionID: other.SubscriptionID, Status: merchantwebhook.Failed}, 0},
		{merchantwebhook.DeliveryFilter{EventType: events.TypeOrderCreated}, 1},
		{merchantwebhook.DeliveryFilter{From: time.Now().Add(time.Hour)}, 0},
		{merchantwebhook.DeliveryFilter{To: time.Now().Add(time.Hour)}, 15},
	} {
		seen, after := map[uuid.UUID]bool{}, merchantwebhook.First
		for {
			page, err := w.store.Deliveries(t.Context(), c.filter, after, 4)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			for _, d := range page {
				require.False(t, seen[d.DeliveryID])
				seen[d.DeliveryID] = true
				after = merchantwebhook.Position{CreatedAt: d.CreatedAt, ID: d.DeliveryID}
			}
		}
		require.Len(t, seen, c.want, "%+v", c.filter)
	}
}
