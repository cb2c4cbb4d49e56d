package inventorytest

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/auth/authtest"
	"holdfast/internal/database"
	"holdfast/internal/redisclient"
	"holdfast/internal/service"
	"holdfast/internal/servicetoken"
	"holdfast/internal/telemetry"
	"holdfast/inventory"
	"holdfast/inventory/inventoryclient"
)

// ServiceKey is the API key of the processes that this package starts.
const ServiceKey = "test-key"

// ProcessConfig returns the configuration of an inventory process; without a Redis URL it has no cache.
func ProcessConfig(databaseURL, redisURL string) inventory.Config {
	return inventory.Config{
		DatabaseURL: databaseURL,
		Listen:      "127.0.0.1:0",
		ServiceKeys: []string{"another-key", ServiceKey},
		Internal:    authtest.Internal,
		TTL:         inventory.DefaultTTL,
		Strategy:    "priority",
		QueueLimit:  inventory.DefaultQueueLimit,
		Pool:        database.Pool{MaxConns: 20},
		Redis: redisclient.Config{
			URL:          redisURL,
			PoolSize:     10,
			DialTimeout:  5 * time.Second,
			ReadTimeout:  3 * time.Second,
			WriteTimeout: 3 * time.Second,
		},
	}
}

// StartProcess runs an inventory process without a cache until the test ends, and returns its base URL.
func StartProcess(t testing.TB, databaseURL string) string {
	return StartProcessWithRedis(t, databaseURL, "")
}

// StartProcessWithRedis runs an inventory process with a cache until the test ends, and returns its base URL.
func StartProcessWithRedis(t testing.TB, databaseURL, redisURL string) string {
	t.Helper()
	base, _ := LaunchProcess(t, ProcessConfig(databaseURL, redisURL))
	return base
}

// StartProcessWith is StartProcess with a changed configuration.
func StartProcessWith(t testing.TB, databaseURL string, change func(*inventory.Config)) string {
	t.Helper()
	cfg := ProcessConfig(databaseURL, "")
	change(&cfg)
	base, _ := LaunchProcess(t, cfg)
	return base
}

// LaunchProcess runs an inventory process on a port of its own until the test calls stop, at the latest until the test
// ends, and returns its base URL. stop ends the process as SIGTERM would, and requires that it ends without an error.
func LaunchProcess(t testing.TB, cfg inventory.Config) (base string, stop func()) {
	t.Helper()
	listening := make(chan net.Addr, 1)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() {
		done <- inventory.Run(ctx, cfg, service.Env{
			Log:      telemetry.NewLogger(os.Stderr, "inventory", slog.LevelError),
			Registry: telemetry.NewRegistry(),
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

// NewClient returns a client of the process at baseURL.
func NewClient(t testing.TB, baseURL string) *inventoryclient.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 200}
	t.Cleanup(transport.CloseIdleConnections)
	signer := servicetoken.NewSigner(authtest.Internal, "inventorytest")
	return inventoryclient.New(baseURL, signer, &http.Client{Transport: transport})
}

// NewServer returns the service behind its HTTP server, on a database of its own.
func NewServer(t testing.TB) (s Subject, baseURL string) {
	t.Helper()
	url, pool := NewDatabase(t)
	base := StartProcess(t, url)
	return NewSubject(t, NewClient(t, base), pool), base
}

// Get requests a URL and returns the status and the body of the answer.
func Get(t testing.TB, url string) (status int, body []byte) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	res, err := client.Do(req)
	require.NoError(t, err)
	body, err = io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res.StatusCode, body
}
