package merchantwebhook_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"holdfast/internal/consumer"
	"holdfast/internal/database"
	"holdfast/internal/eventcatalogue"
	"holdfast/internal/events"
	"holdfast/internal/merchantwebhook"
	"holdfast/internal/webhook"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const patience = 30 * time.Second

// world is a database with subscriptions, and senders.
type world struct {
	t      *testing.T
	pool   *pgxpool.Pool
	store  *merchantwebhook.Store
	config merchantwebhook.Config
	pauses []time.Duration
}

func newWorld(t *testing.T) *world {
	t.Helper()
	url := testenv.Database(t)
	_, err := database.Migrate(t.Context(), url, database.Orders)
	require.NoError(t, err)
	pool, err := database.Open(t.Context(), url, database.Pool{
		MaxConns: 8, ConnectTimeout: 5 * time.Second, IndexOnly: true, Holds: database.Orders,
	}, "webhooks-test", nil)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return &world{
		t:     t,
		pool:  pool,
		store: merchantwebhook.NewStore(pool),
		config: merchantwebhook.Config{
			Concurrency:     16,
			PerSubscription: 4,
			Timeout:         5 * time.Second,
			Lease:           time.Minute,
			DisableAfter:    120 * time.Hour,
			Retention:       720 * time.Hour,
			Development:     true,
		},
		pauses: []time.Duration{0, time.Millisecond, 2 * time.Millisecond},
	}
}

// startSender runs a sender until stop is called or the test ends.
func (w *world) startSender() (stop func()) {
	w.t.Helper()
	s := merchantwebhook.NewSender(merchantwebhook.SenderOptions{
		Config:   w.config,
		Store:    w.store,
		Log:      slog.New(slog.DiscardHandler),
		Registry: prometheus.NewRegistry(),
		Pauses:   w.pauses,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(w.t, <-ended)
	})
	w.t.Cleanup(stop)
	return stop
}

func (w *world) subscribe(url string, types ...string) merchantwebhook.Subscription {
	w.t.Helper()
	if types == nil {
		types = []string{"order.*"}
	}
	s, err := w.store.Create(w.t.Context(), merchantwebhook.Wanted{URL: url, EventTypes: types}, "olga")
	require.NoError(w.t, err)
	return s
}

// switchTo switches a subscription on or off.
func (w *world) switchTo(s merchantwebhook.Subscription, on bool) {
	w.t.Helper()
	change := merchantwebhook.Change{Enabled: &on}
	require.NoError(w.t, w.store.Update(w.t.Context(), s.SubscriptionID, change, "olga"))
}

// newEvent returns an event of an order, as its example in the catalogue.
func newEvent(eventType string) events.Envelope {
	all := eventcatalogue.All()
	at := slices.IndexFunc(all, func(t eventcatalogue.Type) bool { return t.Name == eventType })
	data, _ := json.Marshal(all[at].Example) // the catalogue's own tests encode it
	return events.Envelope{
		EventType:        eventType,
		EventID:          uuid.Must(uuid.NewV7()),
		Timestamp:        time.Now().UTC(),
		Version:          events.SchemaVersion,
		AggregateID:      uuid.New(),
		AggregateVersion: 1,
		Data:             data,
		Metadata:         events.Metadata{Service: all[at].Service, CorrelationID: "corr-1"},
	}
}

// consume applies events as the consumer does.
func (w *world) consume(list ...events.Envelope) {
	w.t.Helper()
	handler, inbox := merchantwebhook.NewHandler(w.store), consumer.NewInbox(w.pool, merchantwebhook.Name)
	for _, e := range list {
		effect, err := handler.Handle(w.t.Context(), e)
		require.NoError(w.t, err)
		_, err = inbox.Add(w.t.Context(), e.EventID, effect)
		require.NoError(w.t, err)
	}
}

// paid returns n events.
func paid(n int) []events.Envelope {
	out := make([]events.Envelope, n)
	for i := range out {
		out[i] = newEvent(events.TypeOrderPaid)
	}
	return out
}

// awaitStatus waits until exactly n deliveries of a subscription have the status, and returns them.
func (w *world) awaitStatus(s merchantwebhook.Subscription, status string, n int) []merchantwebhook.Delivery {
	w.t.Helper()
	var list []merchantwebhook.Delivery
	require.Eventually(w.t, func() bool {
		var err error
		list, err = w.store.Deliveries(w.t.Context(),
			merchantwebhook.DeliveryFilter{SubscriptionID: s.SubscriptionID, Status: status}, merchantwebhook.First, 500)
		return err == nil && len(list) == n
	}, patience, 5*time.Millisecond, "%d deliveries are %s", n, status)
	return list
}

func (w *world) get(s merchantwebhook.Subscription) merchantwebhook.Subscription {
	w.t.Helper()
	got, _, err := w.store.Get(w.t.Context(), s.SubscriptionID)
	require.NoError(w.t, err)
	return got
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	_, err := w.pool.Exec(w.t.Context(), sql, args...)
	require.NoError(w.t, err)
}

func (w *world) count(query string, args ...any) (n int) {
	w.t.Helper()
	require.NoError(w.t, w.pool.QueryRow(w.t.Context(), query, args...).Scan(&n))
	return n
}

// receiver is a merchant's server. It records what it gets.
type receiver struct {
	*httptest.Server
	mu  sync.Mutex
	got []received
}

type received struct {
	header http.Header
	body   []byte
}

// id is the webhook-id.
func (r received) id() string { return r.header.Get(webhook.HeaderID) }

// receive starts a merchant's server. answer answers the nth request, counted from 1.
func receive(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *receiver {
	t.Helper()
	out := &receiver{}
	out.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the sender has gone
		}
		out.mu.Lock()
		out.got = append(out.got, received{r.Header.Clone(), body})
		n := len(out.got)
		out.mu.Unlock()
		answer(n, w, r)
	}))
	t.Cleanup(out.Close)
	return out
}

// always answers with a status.
func always(status int) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

func (r *receiver) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// times returns how often each webhook-id came.
func (r *receiver) times() map[string]int {
	out := map[string]int{}
	for _, one := range r.all() {
		out[one.id()]++
	}
	return out
}

func (r *receiver) await(t *testing.T, n int) []received {
	t.Helper()
	require.Eventually(t, func() bool { return len(r.all()) >= n }, patience, 5*time.Millisecond, "%d requests", n)
	return r.all()
}
