package inventory_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/testenv"
	"holdfast/inventory"
	"holdfast/inventory/cache"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
)

// slowCache is a cache whose first Set waits.
type slowCache struct {
	*cache.Cache
	held             atomic.Bool
	reached, release chan struct{}
}

func (c *slowCache) Set(ctx context.Context, epoch string, values []inventoryapi.Availability) {
	if c.held.CompareAndSwap(false, true) {
		close(c.reached)
		<-c.release
	}
	c.Cache.Set(ctx, epoch, values)
}

// TestReadUnderWayIsNotForWhoComesAfterACommit: a reader has read and not stored yet when another replica
// commits and answers. Whoever reads now must not get what the first one read, by sharing or later.
func TestReadUnderWayIsNotForWhoComesAfterACommit(t *testing.T) {
	t.Parallel()
	_, pool := newDatabase(t)
	prefix := newPrefix()
	own := &slowCache{
		Cache:   newCache(t, testenv.Redis(t), prefix, patient),
		reached: make(chan struct{}), release: make(chan struct{}),
	}
	other := cachedSubject(t, pool, newCache(t, testenv.Redis(t), prefix, patient))
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
	case <-time.After(patient):
		require.Fail(t, "it waits for the read under way")
	}
	release.Do(func() { close(own.release) })
	require.EqualValues(t, 10, (<-first).AvailableQuantity, "it began before the commit")
	a, err := service.Availability(t.Context(), p, 1)
	require.NoError(t, err)
	require.EqualValues(t, 6, a.AvailableQuantity)
}
