package inventory_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/internal/database"
	"holdfast/internal/redisclient"
	"holdfast/internal/service"
	"holdfast/internal/telemetry"
	"holdfast/internal/testenv"
	"holdfast/inventory"
	"holdfast/inventory/inventoryclient"
	"holdfast/inventory/inventorytest"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const serviceKey = "test-key"

// newDatabase returns the URL of a migrated database of this test's own, and a pool on it.
func newDatabase(t testing.TB) (string, *pgxpool.Pool) {
	t.Helper()
	url := testenv.Database(t)
	_, err := database.Migrate(t.Context(), url, database.Inventory)
	require.NoError(t, err)
	pool, err := database.Open(context.WithoutCancel(t.Context()), url, database.Pool{MaxConns: 20}, "test", nil)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return url, pool
}

// newService is the service in process.
func newService(t testing.TB) inventorytest.Subject {
	t.Helper()
	_, pool := newDatabase(t)
	return inventorytest.NewSubject(t, inventory.New(inventory.Options{Pool: pool}), pool)
}

// start runs the real process on a port of its own until the test ends and returns its base URL.
func start(t testing.TB, databaseURL string) string { return startWithRedis(t, databaseURL, "") }

// startWithRedis is start with a cache.
func startWithRedis(t testing.TB, databaseURL, redisURL string) string {
	t.Helper()
	base, _ := launch(t, configuration(databaseURL, redisURL))
	return base
}

// startWith is start with another configuration.
func startWith(t testing.TB, databaseURL string, change func(*inventory.Config)) string {
	t.Helper()
	cfg := configuration(databaseURL, "")
	change(&cfg)
	base, _ := launch(t, cfg)
	return base
}

func configuration(databaseURL, redisURL string) inventory.Config {
	return inventory.Config{
		DatabaseURL: databaseURL, Listen: "127.0.0.1:0", ServiceKeys: []string{"another-key", serviceKey}, TTL: inventory.DefaultTTL, Strategy: "priority", QueueLimit: inventory.DefaultQueueLimit,
		Pool:  database.Pool{MaxConns: 20},
		Redis: redisclient.Config{URL: redisURL, PoolSize: 10, DialTimeout: 5 * time.Second, ReadTimeout: 3 * time.Second, WriteTimeout: 3 * time.Second},
	}
}

// launch runs the real process until stop is called, at the latest when the test ends, and returns its
// base URL. It is stopped as SIGTERM would, and must then end without an error.
func launch(t testing.TB, cfg inventory.Config) (base string, stop func()) {
	t.Helper()
	listening := make(chan net.Addr, 1)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() {
		done <- inventory.Run(ctx, cfg, service.Env{
			Log: telemetry.NewLogger(os.Stderr, "inventory", slog.LevelError), Registry: telemetry.NewRegistry(),
			OnListen: func(a net.Addr) { listening <- a },
		})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(stop)
	select {
	case a := <-listening:
		return "http://" + a.String(), stop
	case err := <-done:
		done <- err
		require.NoError(t, err, "the service did not start")
		return "", stop
	}
}

func newClient(t testing.TB, baseURL string) *inventoryclient.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 200}
	t.Cleanup(transport.CloseIdleConnections)
	return inventoryclient.New(baseURL, serviceKey, &http.Client{Transport: transport})
}

// newServer is the service behind its real HTTP server.
func newServer(t testing.TB) (inventorytest.Subject, string) {
	t.Helper()
	url, pool := newDatabase(t)
	base := start(t, url)
	return inventorytest.NewSubject(t, newClient(t, base), pool), base
}

func TestServiceConforms(t *testing.T) {
	t.Parallel()
	inventorytest.Conformance(t, newService(t))
}

func TestClientConforms(t *testing.T) {
	t.Parallel()
	s, _ := newServer(t)
	inventorytest.Conformance(t, s)
}

func TestServiceAdministers(t *testing.T) {
	t.Parallel()
	inventorytest.Administration(t, newService(t))
}

func TestClientAdministers(t *testing.T) {
	t.Parallel()
	s, _ := newServer(t)
	inventorytest.Administration(t, s)
}
