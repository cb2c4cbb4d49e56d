package redisclient_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"holdfast/internal/config"
	"holdfast/internal/redisclient"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func load(t *testing.T, vars map[string]string) redisclient.Config {
	t.Helper()
	cfg, err := config.LoadFrom[redisclient.Config](vars)
	require.NoError(t, err)
	return cfg
}

func TestConfigurationIsOptionalAndChecked(t *testing.T) {
	t.Parallel()
	require.False(t, load(t, nil).Given())
	_, err := config.LoadFrom[redisclient.Config](map[string]string{
		"REDIS_URL":          "http://user:secret@nowhere",
		"REDIS_POOL_SIZE":    "0",
		"REDIS_DIAL_TIMEOUT": "0s",
		"REDIS_READ_TIMEOUT": "-1s",
	})
	for _, name := range []string{"REDIS_URL", "REDIS_POOL_SIZE", "REDIS_DIAL_TIMEOUT", "REDIS_READ_TIMEOUT"} {
		require.ErrorContains(t, err, name)
	}
	require.NotContains(t, err.Error(), "secret")
}

// TestClientIsBounded: the client has the configured bounds, and its pool has metrics.
func TestClientIsBounded(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	client, err := redisclient.Open(load(t, map[string]string{"REDIS_URL": testenv.Redis(t)}), "test", nil, registry)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	require.NoError(t, client.Ping(t.Context()).Err())

	require.Eventually(t, func() bool { return client.PoolStats().IdleConns >= 2 }, 10*time.Second, 10*time.Millisecond)
	o := client.Options()
	require.Equal(t, []any{10, 10, 5 * time.Second, 3 * time.Second, 3 * time.Second},
		[]any{o.PoolSize, o.MaxActiveConns, o.DialTimeout, o.ReadTimeout, o.WriteTimeout})
	found := map[string]float64{}
	require.Eventually(t, func() bool { // the pool opens its idle connections in the background
		families, err := registry.Gather()
		require.NoError(t, err)
		for _, f := range families {
			found[f.GetName()] = f.GetMetric()[0].GetGauge().GetValue()
		}
		return found["redis_pool_idle_connections"] >= 2
	}, 5*time.Second, 5*time.Millisecond)
	require.Len(t, found, 6)
	require.InDelta(t, 10, found["redis_pool_max_connections"], 0)
	require.GreaterOrEqual(t, found["redis_pool_open_connections"], 2.0)
	require.LessOrEqual(t, found["redis_pool_open_connections"], 3.0)
}

// TestCallEndsWithItsContext: a call to a server that accepts the connection and never answers ends with the call's own
// deadline.
func TestCallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	cfg := load(t, map[string]string{"REDIS_URL": "redis://" + l.Addr().String()})
	client, err := redisclient.Open(cfg, "test", nil, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	require.Error(t, client.Ping(ctx).Err())
	require.Less(t, time.Since(start), 2*time.Second)
}
