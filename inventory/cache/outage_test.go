package cache_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/cache"
	"holdfast/tests/fault"
	"holdfast/tests/testenv"
)

// metric sums the series of a metric. If label is not empty, it sums only the series whose first label has that value.
func (r *rig) metric(name, label string) (sum float64) {
	r.t.Helper()
	families, err := r.registry.Gather()
	require.NoError(r.t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

// newFaultyRig returns a cache that reaches Redis through a proxy, and another that reaches it directly.
func newFaultyRig(t *testing.T) (faulty, direct *rig, proxy *fault.TCP) {
	t.Helper()
	direct = newRig(t)
	o, err := redis.ParseURL(testenv.Redis(t))
	require.NoError(t, err)
	proxy = fault.NewTCP(t, o.Addr)
	return rigAt(t, "redis://"+proxy.Address(), direct.prefix, cache.DefaultTimeout), direct, proxy
}

// awaitInUse waits until reads are from the cache again.
func (r *rig) awaitInUse() {
	r.t.Helper()
	inUse := func() bool { return r.metric("inventory_cache_up", "") == 1 }
	require.Eventually(r.t, inUse, 20*time.Second, 5*time.Millisecond)
}

// awaitRetry waits until the background has failed to reach Redis.
func (r *rig) awaitRetry() {
	r.t.Helper()
	tries := func() float64 { return r.metric("inventory_cache_duration_seconds", "invalidate") }
	from := tries()
	// The second try begins when the first has failed.
	require.Eventually(r.t, func() bool { return tries() >= from+2 }, 20*time.Second, 5*time.Millisecond)
}

// outages runs a test for each way in which Redis can be down.
func outages(t *testing.T, test func(t *testing.T, begin func(*fault.TCP))) {
	t.Helper()
	for _, c := range []struct {
		name  string
		begin func(*fault.TCP)
	}{
		{"down", (*fault.TCP).Down},
		{"hanging", (*fault.TCP).Hang},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			test(t, c.begin)
		})
	}
}

// TestUndeliveredInvalidationArrives: Redis gets the invalidations of an outage as soon as it is back, and before this
// process reads from it again.
func TestUndeliveredInvalidationArrives(t *testing.T) {
	t.Parallel()
	outages(t, func(t *testing.T, begin func(*fault.TCP)) {
		r, other, proxy := newFaultyRig(t)
		p := uuid.New()
		other.put(at(p, 1))
		_, found, _ := r.look(p)
		require.True(t, found)

		begin(proxy)
		start := time.Now()
		r.Invalidate(t.Context(), []cache.Change{change(p, "near", 2)})
		require.Less(t, time.Since(start), 2*time.Second)
		for v := int64(3); v < 100; v++ { // later calls do not wait for Redis
			r.Invalidate(t.Context(), []cache.Change{change(p, "near", v)})
			_, ok := r.Get(t.Context(), []uuid.UUID{p})
			require.False(t, ok)
			r.Set(t.Context(), "any", fresh(at(p, 1)))
		}
		require.Less(t, time.Since(start), 3*time.Second)
		require.Error(t, r.Ping(t.Context()))
		_, found, before := other.look(p)
		require.True(t, found, "another replica still has the old value")
		require.InDelta(t, 1, r.metric("inventory_cache_undelivered_invalidations", ""), 0)
		require.InDelta(t, 97, r.metric("inventory_cache_requests_total", "bypassed"), 0)

		r.awaitRetry()
		proxy.Up()
		r.awaitInUse()
		_, found, _ = r.look(p)
		require.False(t, found)
		other.Set(t.Context(), before, fresh(at(p, 98)))
		_, found, _ = other.look(p)
		require.False(t, found, "the cache refuses every value that was looked up before the outage ended")
		other.put(at(p, 99))
		_, found, _ = r.look(p)
		require.True(t, found)
		require.Zero(t, r.metric("inventory_cache_undelivered_invalidations", ""))
		require.InDelta(t, 98, r.metric("inventory_cache_invalidations_total", "deferred"), 0)
		require.InDelta(t, 1, r.metric("inventory_cache_invalidations_total", "redelivered"), 0)
		require.NoError(t, r.Ping(t.Context()))
	})
}

// TestTooMuchToRemember: after too many undelivered invalidations, all stored values become unusable, and the cache
// refuses values that were read before.
func TestTooMuchToRemember(t *testing.T) {
	t.Parallel()
	r, other, proxy := newFaultyRig(t)
	known := uuid.New()
	other.put(at(known, 1))
	_, _, epoch := other.look(known)

	proxy.Down()
	r.Invalidate(t.Context(), []cache.Change{change(known, "near", 2)})
	many := make([]cache.Change, 10_000)
	for i := range many {
		many[i] = change(uuid.New(), "near", 1)
	}
	r.Invalidate(t.Context(), many)
	require.Zero(t, r.metric("inventory_cache_undelivered_invalidations", ""), "the backlog keeps no single changes")
	_, found, _ := other.look(known)
	require.True(t, found)

	r.awaitRetry()
	proxy.Up()
	r.awaitInUse()
	for _, c := range []*rig{r, other} {
		_, found, next := c.look(known)
		require.False(t, found)
		require.NotEqual(t, epoch, next)
	}
	other.Set(t.Context(), epoch, fresh(at(known, 1)))
	_, found, _ = r.look(known)
	require.False(t, found)
	other.put(at(known, 2))
	_, found, _ = r.look(known)
	require.True(t, found)
}

// TestFailedReadTakesTheCacheOutOfUse: a failed read takes the cache out of use, as a failed write does.
func TestFailedReadTakesTheCacheOutOfUse(t *testing.T) {
	t.Parallel()
	outages(t, func(t *testing.T, begin func(*fault.TCP)) {
		r, _, proxy := newFaultyRig(t)
		r.look(uuid.New())
		begin(proxy)
		start := time.Now()
		_, ok := r.Get(t.Context(), []uuid.UUID{uuid.New()})
		require.False(t, ok)
		require.Less(t, time.Since(start), 2*time.Second)
		require.InDelta(t, 1, r.metric("inventory_cache_requests_total", "error"), 0)
		proxy.Up()
		r.awaitInUse()
		r.look(uuid.New())
	})
}

// TestCloseDuringAnOutage: Close does not wait for a Redis that is down.
func TestCloseDuringAnOutage(t *testing.T) {
	t.Parallel()
	outages(t, func(t *testing.T, begin func(*fault.TCP)) {
		r, _, proxy := newFaultyRig(t)
		begin(proxy)
		r.Invalidate(t.Context(), []cache.Change{change(uuid.New(), "near", 2)})
		start := time.Now()
		r.Close()
		require.Less(t, time.Since(start), 2*time.Second)
		_, ok := r.Get(t.Context(), []uuid.UUID{uuid.New()})
		require.False(t, ok)
	})
}
