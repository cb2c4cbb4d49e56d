package inventory_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"holdfast/internal/database"
	"holdfast/inventory"
	"holdfast/inventory/inventorytest"
	"holdfast/tests/fault"
	"holdfast/tests/testenv"
)

// TestProcessIsDegradedWithoutRedis: the process starts and serves while the configured Redis is down, reports that it
// is degraded, and uses Redis as soon as it is up.
func TestProcessIsDegradedWithoutRedis(t *testing.T) {
	t.Parallel()
	url, pool := inventorytest.NewDatabase(t)
	o, err := redis.ParseURL(testenv.Redis(t))
	require.NoError(t, err)
	proxy := fault.NewTCP(t, o.Addr)
	proxy.Down()

	base := inventorytest.StartProcessWithRedis(t, url, "redis://"+proxy.Address())
	s := inventorytest.NewSubject(t, inventorytest.NewClient(t, base), pool)
	p := s.Stock(t, 3)
	_, err = s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 1)))
	require.NoError(t, err)
	available, _ := s.Available(t, p)
	require.EqualValues(t, 2, available)

	ready := func() (status string) {
		code, body := inventorytest.Get(t, base+"/ready")
		require.Equal(t, http.StatusOK, code)
		var r struct{ Status string }
		require.NoError(t, json.Unmarshal(body, &r))
		return r.Status
	}
	require.Equal(t, "degraded", ready())

	proxy.Up()
	require.Eventually(t, func() bool { return ready() == "ready" }, 30*time.Second, 20*time.Millisecond)
	available, _ = s.Available(t, p)
	require.EqualValues(t, 2, available)
	available, _ = s.Available(t, p)
	require.EqualValues(t, 2, available)

	_, metrics := inventorytest.Get(t, base+"/metrics")
	require.Contains(t, string(metrics), `inventory_cache_requests_total{result="hit"} 1`)
	require.Contains(t, string(metrics), "inventory_cache_up 1")
	require.Contains(t, string(metrics), "redis_pool_max_connections 10")
}

func TestConfigurationOfRedisIsChecked(t *testing.T) {
	t.Parallel()
	cfg := inventory.Config{
		TTL:        inventory.DefaultTTL,
		QueueLimit: 1,
		Strategy:   "priority",
		Pool:       database.Pool{MaxConns: 1},
	}
	require.NoError(t, cfg.Validate())
	cfg.Redis.URL = "nowhere"
	require.ErrorContains(t, cfg.Validate(), "REDIS_URL")
}
