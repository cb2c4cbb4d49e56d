package availability_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/inventory"
	"holdfast/inventory/cache"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/stock"
	"holdfast/tests/testenv"
)

// slowCache is a cache whose first Set waits.
type slowCache struct {
	*cache.Cache
	held             atomic.Bool
	reached, release chan struct{}
}

func (c *slowCache) Set(ctx context.Context, epoch string, values []stock.Availability) {
	if c.held.CompareAndSwap(false, true) {
		close(c.reached)
		<-c.release
	}
	c.Cache.Set(ctx, epoch, values)
}

// TestReadInFlightIsNotSharedAfterACommit: a reader has read the database and not stored the value yet when
// another replica commits and answers. A later reader must not get the first reader's value, neither by sharing
// the read nor from the cache.
func TestReadInFlightIsNotSharedAfterACommit(t *testing.T) {
	t.Parallel()
	_, pool := inventorytest.NewDatabase(t)
	prefix := inventorytest.NewCachePrefix()
	own := &slowCache{
		Cache:   inventorytest.NewCache(t, testenv.Redis(t), prefix, inventorytest.CacheTimeout),
		reached: make(chan struct{}),
		release: make(chan struct{}),
	}
	otherCache := inventorytest.NewCache(t, testenv.Redis(t), prefix, inventorytest.CacheTimeout)
	other := inventorytest.NewCachedSubject(t, pool, otherCache)
	service := inventory.New(inventory.Options{Pool: pool, Cache: own})
	p := other.Stock(t, 10)

	first := make(chan inventoryapi.Availability, 1)
	go func() {
		a, _ := service.Availability(t.Context(), p, 1)
		first <- a
	}()
	<-own.reached
	_, err := other.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 4)))
	require.NoError(t, err)

	var release sync.Once
	defer release.Do(func() { close(own.release) })
	second := make(chan inventoryapi.Availability, 1)
	go func() {
		a, _ := service.Availability(t.Context(), p, 1)
		second <- a
	}()
	select {
	case a := <-second:
		require.EqualValues(t, 6, a.AvailableQuantity)
	case <-time.After(inventorytest.Patience):
		require.Fail(t, "the second reader waits for the read under way")
	}

	release.Do(func() { close(own.release) })
	require.EqualValues(t, 10, (<-first).AvailableQuantity, "the first reader began before the commit")
	a, err := service.Availability(t.Context(), p, 1)
	require.NoError(t, err)
	require.EqualValues(t, 6, a.AvailableQuantity)
}

// lateCache is a cache whose first Invalidate waits.
type lateCache struct {
	*cache.Cache
	held             atomic.Bool
	reached, release chan struct{}
}

func (c *lateCache) Invalidate(ctx context.Context, changes []cache.Change) {
	if c.held.CompareAndSwap(false, true) {
		close(c.reached)
		<-c.release
	}
	c.Cache.Invalidate(ctx, changes)
}

// TestAnswerAfterACommitShowsNothingOlder: a replica has committed and not told the cache yet, and another replica
// already answers from that commit: with a refusal, or because it finds the same request done. A caller with such an
// answer must not read the stock from before the commit.
func TestAnswerAfterACommitShowsNothingOlder(t *testing.T) {
	t.Parallel()
	_, pool := inventorytest.NewDatabase(t)
	prefix := inventorytest.NewCachePrefix()
	otherCache := inventorytest.NewCache(t, testenv.Redis(t), prefix, inventorytest.CacheTimeout)
	other := inventorytest.NewCachedSubject(t, pool, otherCache)
	late := &lateCache{
		Cache:   inventorytest.NewCache(t, testenv.Redis(t), prefix, inventorytest.CacheTimeout),
		reached: make(chan struct{}),
		release: make(chan struct{}),
	}
	service := inventory.New(inventory.Options{Pool: pool, Cache: late})

	p := other.Stock(t, 1)
	available, _ := other.Available(t, p)
	require.EqualValues(t, 1, available)
	in := inventorytest.NewReserve(inventorytest.Line(p, 1))
	first := make(chan error, 1)
	go func() {
		_, err := service.Reserve(t.Context(), in)
		first <- err
	}()
	<-late.reached

	for _, c := range []struct {
		name string
		see  func()
	}{
		{"refused", func() {
			_, err := other.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 1)))
			require.ErrorIs(t, err, inventoryapi.InsufficientStock)
		}},
		{"repeated", func() {
			out, err := other.API.Reserve(t.Context(), in)
			require.NoError(t, err)
			require.True(t, out.Replayed)
		}},
	} {
		c.see()
		available, _ = other.Available(t, p)
		require.Zero(t, available, c.name)
	}

	close(late.release)
	require.NoError(t, <-first)
	available, _ = other.Available(t, p)
	require.Zero(t, available)
}
