package inventorytest

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/internal/redisclient"
	"holdfast/inventory"
	"holdfast/inventory/availability"
	"holdfast/inventory/cache"
	"holdfast/tests/testenv"
)

// CacheTimeout is the timeout for tests that do not test outages of the cache: on a busy machine Redis may be slow.
const CacheTimeout = 10 * time.Second

// NewCache returns a cache whose keys begin with prefix.
func NewCache(t testing.TB, url, prefix string, timeout time.Duration) *cache.Cache {
	t.Helper()
	client, err := redisclient.Open(redisclient.Config{
		URL:          url,
		PoolSize:     10,
		DialTimeout:  5 * time.Second,
		ReadTimeout:  3 * time.Second,
		WriteTimeout: 3 * time.Second,
	}, "test", nil, nil)
	require.NoError(t, err)
	c := cache.New(cache.Options{Client: client, Prefix: prefix, Timeout: timeout})
	t.Cleanup(func() {
		c.Close()
		require.NoError(t, client.Close())
	})
	return c
}

// NewCachePrefix returns a prefix that no other test has.
func NewCachePrefix() string { return "test-" + strings.ToLower(rand.Text()[:10]) + ":" }

// NewCachedService returns the service in process with a cache of its own. Subject.Service is the same service, so that
// the test's own changes of stock invalidate the cache. To change stock as a process that cannot reach Redis does, a
// test uses a service without the cache.
func NewCachedService(t testing.TB) (Subject, *cache.Cache) {
	t.Helper()
	_, pool := NewDatabase(t)
	c := NewCache(t, testenv.Redis(t), NewCachePrefix(), CacheTimeout)
	return NewCachedSubject(t, pool, c), c
}

// NewCachedSubject returns the service in process on a database and a cache.
func NewCachedSubject(t testing.TB, pool *pgxpool.Pool, c availability.Cache) Subject {
	t.Helper()
	service := inventory.New(inventory.Options{Pool: pool, Cache: c})
	s := NewSubject(t, service, pool)
	s.Service = service
	return s
}
