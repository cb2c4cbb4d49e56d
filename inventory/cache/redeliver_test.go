package cache

import (
	"crypto/rand"
	"testing"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
	"holdfast/tests/testenv"
)

// TestCatchingUp: if changes become undelivered while the background delivers others, reads stay away from the cache,
// and new changes go straight to Redis.
func TestCatchingUp(t *testing.T) {
	t.Parallel()
	o, err := redis.ParseURL(testenv.Redis(t))
	require.NoError(t, err)
	client := redis.NewClient(o)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	c := New(Options{Client: client, Prefix: "test-" + rand.Text() + ":", Timeout: versionTTL})
	t.Cleanup(c.Close)

	p := uuid.New()
	a, ok := c.Get(t.Context(), []uuid.UUID{p})
	require.True(t, ok)
	value := inventoryapi.Availability{
		ProductID: p,
		Version:   1,
		Locations: []inventoryapi.LocationStock{{Location: "near", Version: 1}},
	}
	c.Set(t.Context(), a.Epoch, []stock.Availability{{Availability: value}})

	c.state.Store(down) // without the background goroutine: the test takes its steps one by one
	c.Invalidate(t.Context(), []Change{{Product: p, Location: "near", Version: 2}})
	require.False(t, c.resume())
	require.Equal(t, catchingUp, c.state.Load())
	_, ok = c.Get(t.Context(), []uuid.UUID{p})
	require.False(t, ok)
	c.Invalidate(t.Context(), []Change{{Product: uuid.New(), Location: "near", Version: 1}})
	require.Equal(t, 1, c.backlogSize(), "the second went to Redis")

	require.NoError(t, c.deliver())
	require.True(t, c.resume())
	a, ok = c.Get(t.Context(), []uuid.UUID{p})
	require.True(t, ok)
	require.Contains(t, a.Missing, p)
}
