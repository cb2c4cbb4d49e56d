package notification_test

import (
	"context"
	"log/slog"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"holdfast/internal/address"
	"holdfast/internal/database"
	"holdfast/internal/money"
	"holdfast/internal/notification"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/tests/localservice"
	"holdfast/tests/testenv"
	"holdfast/workflows/orderflow"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const patience = 30 * time.Second

// world is an orders database with its notifications.
type world struct {
	t      *testing.T
	pool   *pgxpool.Pool
	orders *orderstore.Store
	store  *notification.Store
	log    *syncBuffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	url := testenv.Database(t)
	_, err := database.Migrate(t.Context(), url, database.Orders)
	require.NoError(t, err)
	pool, err := database.Open(context.WithoutCancel(t.Context()), url, database.Pool{
		MaxConns: 20, IndexOnly: true, Holds: database.Orders,
	}, "test", nil)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return &world{
		t: t, pool: pool, orders: orderstore.New(pool), store: notification.NewStore(pool), log: &syncBuffer{},
	}
}

func (w *world) logger() *slog.Logger { return slog.New(slog.NewTextHandler(w.log, nil)) }

var price = money.Amount{Minor: 1250, Currency: "EUR"}

// order records an order whose customer has the given address, and returns its id.
func (w *world) order(email string, metadata map[string]string) uuid.UUID {
	w.t.Helper()
	id := uuid.New()
	_, err := w.orders.Record(w.t.Context(), orderflow.RecordInput{
		Order: &orderflow.OrderInput{
			OrderID:     id,
			RequestHash: strings.Repeat("ab", 32),
			CustomerID:  "alice",
			Issuer:      "test",
			Total:       price,
			Email:       email,
			Metadata:    metadata,
			ShipTo:      &address.Address{Name: "Zoë <b>"},
			PlacedAt:    time.Now().Truncate(time.Microsecond),
			Lines: []orderflow.Line{{
				LineNo: 1, ProductID: uuid.New(), SKU: "MUG", Name: "Mug & saucer", Quantity: 1, UnitPrice: price, Total: price,
			}},
		},
		View: orderflow.View{OrderID: id, Seq: 1, State: order.Reserved},
		Entries: []orderflow.TimelineEntry{{
			Seq: 1, Event: order.EventReserved, State: order.Reserved, At: time.Now(), Actor: orderflow.ActorSystem,
		}},
		WorkflowID: orderflow.OrderWorkflowID(id),
		RunID:      "run",
	})
	require.NoError(w.t, err)
	return id
}

// add inserts a notification that an order is confirmed.
func (w *world) add(id uuid.UUID) {
	w.t.Helper()
	n := notification.New{
		EventID: uuid.Must(uuid.NewV7()), OrderID: id, Kind: notification.Confirmed, OccurredAt: time.Now(),
	}
	require.NoError(w.t, pgx.BeginFunc(w.t.Context(), w.pool, func(tx pgx.Tx) error {
		return w.store.Add(w.t.Context(), tx, n)
	}))
}

// of returns the only notification of an order.
func (w *world) of(id uuid.UUID) notification.Notification {
	w.t.Helper()
	list, err := w.store.ListOfOrder(w.t.Context(), id, "", notification.First, 10)
	require.NoError(w.t, err)
	require.Len(w.t, list, 1)
	return list[0]
}

// awaitStatus waits until the only notification of an order has the status, and returns it.
func (w *world) awaitStatus(id uuid.UUID, status string) notification.Notification {
	w.t.Helper()
	var n notification.Notification
	require.Eventually(w.t, func() bool {
		n = w.of(id)
		return n.Status == status
	}, patience, 5*time.Millisecond, "the notification does not become %s", status)
	return n
}

func (w *world) count(status string) (n int) {
	w.t.Helper()
	require.NoError(w.t, w.pool.QueryRow(w.t.Context(),
		"SELECT count(*) FROM notifications WHERE status = $1", status).Scan(&n))
	return n
}

var settings = notification.Config{
	Channel: "smtp", Language: "en", Shop: "Tea & Co", Workers: 4, Poll: 10 * time.Millisecond, MaxAttempts: 3,
}

// dispatch runs a dispatcher until stop is called or the test ends.
func (w *world) dispatch(sender notification.Sender) (registry *prometheus.Registry, stop func()) {
	w.t.Helper()
	renderer, err := notification.NewRenderer(settings)
	require.NoError(w.t, err)
	registry = prometheus.NewRegistry()
	d := notification.NewDispatcher(notification.DispatcherOptions{
		Config:       settings,
		Store:        w.store,
		Orders:       w.orders,
		Renderer:     renderer,
		Sender:       sender,
		Log:          w.logger(),
		Registry:     registry,
		BreakerDelay: 100 * time.Millisecond,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(w.t, <-ended)
	})
	w.t.Cleanup(stop)
	return registry, stop
}

const (
	login    = "shop"
	password = "a-password-of-the-tests"
)

var secured = localservice.SMTPOptions{TLS: true, Username: login, Password: password}

// serverConfig is the configuration for a server of secured.
func serverConfig(s *localservice.SMTP) notification.SMTPConfig {
	return notification.SMTPConfig{
		Host:     s.Host(),
		Port:     s.Port(),
		Username: login,
		Password: password,
		TLS:      "starttls",
		CAFile:   s.CAFile(),
		From:     "Tea & Co <orders@tea.example>",
		Timeout:  5 * time.Second,
	}
}

func newSender(t *testing.T, cfg notification.SMTPConfig) *notification.SMTPSender {
	t.Helper()
	sender, err := notification.NewSMTPSender(cfg)
	require.NoError(t, err)
	return sender
}

// messagesTo returns the mails that the server has accepted for an address.
func messagesTo(t *testing.T, s *localservice.SMTP, to string) []*mail.Message {
	t.Helper()
	all, err := s.Messages()
	require.NoError(t, err)
	var out []*mail.Message
	for _, m := range all {
		if strings.Contains(m.Header.Get("To"), to) {
			out = append(out, m)
		}
	}
	return out
}

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
