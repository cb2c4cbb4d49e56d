package cache_test

import (
	"crypto/rand"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"holdfast/internal/redisclient"
	"holdfast/inventory/cache"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// rig is a cache with keys of its own for one test.
type rig struct {
	*cache.Cache
	t        *testing.T
	client   *redis.Client
	prefix   string
	registry *prometheus.Registry
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return rigAt(t, testenv.Redis(t), "test-"+strings.ToLower(rand.Text()[:10])+":", 10*time.Second)
}

func rigAt(t *testing.T, url, prefix string, timeout time.Duration) *rig {
	t.Helper()
	client, err := redisclient.Open(redisclient.Config{
		URL:          url,
		PoolSize:     10,
		DialTimeout:  5 * time.Second,
		ReadTimeout:  3 * time.Second,
		WriteTimeout: 3 * time.Second,
	}, "test", nil, nil)
	require.NoError(t, err)
	r := &rig{t: t, client: client, prefix: prefix, registry: prometheus.NewRegistry()}
	r.Cache = cache.New(cache.Options{Client: client, Registry: r.registry, Prefix: prefix, Timeout: timeout})
	t.Cleanup(func() {
		r.Close()
		require.NoError(t, client.Close())
	})
	return r
}

// look returns a product's cached value, if there is one, and the epoch.
func (r *rig) look(product uuid.UUID) (value inventoryapi.Availability, found bool, epoch string) {
	r.t.Helper()
	a, ok := r.Get(r.t.Context(), []uuid.UUID{product})
	require.True(r.t, ok, "the cache must be in use")
	value, found = a.Values[product]
	return value, found, a.Epoch
}

func (r *rig) put(values ...inventoryapi.Availability) {
	r.t.Helper()
	_, _, epoch := r.look(values[0].ProductID)
	r.Set(r.t.Context(), epoch, fresh(values...))
}

// fresh returns values of stock that no reservation holds.
func fresh(values ...inventoryapi.Availability) []stock.Availability {
	out := make([]stock.Availability, len(values))
	for i, v := range values {
		out[i].Availability = v
	}
	return out
}

func (r *rig) key(product uuid.UUID) string {
	return r.prefix + "holdfast:inventory:v4:availability:" + product.String()
}

// at returns the availability of a product with the given versions at "near" and, if there is a second version, "far".
func at(product uuid.UUID, versions ...int64) inventoryapi.Availability {
	a := inventoryapi.Availability{ProductID: product}
	for i, v := range versions {
		a.Version += v
		a.TotalStock += 1000 + v
		a.AvailableQuantity += 1000 + v
		a.Locations = append(a.Locations, inventoryapi.LocationStock{
			Location: []string{"near", "far"}[i], Quantity: 1000 + v, Available: 1000 + v, Version: v,
		})
	}
	return a
}

func change(product uuid.UUID, location string, version int64) cache.Change {
	return cache.Change{Product: product, Location: location, Version: version}
}

// TestValueComesBackAsItWas: one Get of several products returns the stored values, and names the missing product.
func TestValueComesBackAsItWas(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	one, two, none := uuid.New(), uuid.New(), uuid.New()
	r.put(at(one, 3, 4), at(two, math.MaxInt32))
	a, ok := r.Get(t.Context(), []uuid.UUID{one, none, two})
	require.True(t, ok)
	require.Equal(t, map[uuid.UUID]inventoryapi.Availability{one: at(one, 3, 4), two: at(two, math.MaxInt32)}, a.Values)
	require.Contains(t, a.Missing, none)
	require.Len(t, a.Missing, 1)
}

// TestStaleValueIsRefused: a reader reads the database, a writer commits and invalidates, and then the reader stores
// what it read. The cache refuses a value from before the change.
func TestStaleValueIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		changes []cache.Change // of product zero
		offered inventoryapi.Availability
		refused bool
	}{
		{"read before the change", []cache.Change{change(uuid.Nil, "near", 2)}, at(uuid.Nil, 1), true},
		{"read after the change", []cache.Change{change(uuid.Nil, "near", 2)}, at(uuid.Nil, 2), false},
		{"read after a later change", []cache.Change{change(uuid.Nil, "near", 2)}, at(uuid.Nil, 3), false},
		{"one location is old", []cache.Change{change(uuid.Nil, "near", 2)}, at(uuid.Nil, 1, 9), true},
		{
			"the other location is old",
			[]cache.Change{change(uuid.Nil, "near", 2), change(uuid.Nil, "far", 5)},
			at(uuid.Nil, 2, 4), true,
		},
		{
			"both are new",
			[]cache.Change{change(uuid.Nil, "near", 2), change(uuid.Nil, "far", 5)},
			at(uuid.Nil, 2, 5), false,
		},
		{"read before a location was new", []cache.Change{change(uuid.Nil, "far", 1)}, at(uuid.Nil, 7), true},
		{
			"read before a deletion",
			[]cache.Change{{Location: "far", Version: 2, Deleted: true}},
			at(uuid.Nil, 9, 1), true,
		},
		{
			"changes out of order",
			[]cache.Change{change(uuid.Nil, "near", 9), change(uuid.Nil, "near", 2)},
			at(uuid.Nil, 8), true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			_, _, epoch := r.look(uuid.Nil)
			for _, ch := range c.changes {
				r.Invalidate(t.Context(), []cache.Change{ch})
			}
			r.Set(t.Context(), epoch, fresh(c.offered))

			_, found, _ := r.look(uuid.Nil)
			require.Equal(t, !c.refused, found)
			want := 0.0
			if c.refused {
				want = 1
			}
			require.InDelta(t, want, r.metric("inventory_cache_stale_refused_total", ""), 0)
		})
	}
}

// TestDeletedItem: a value without a location is stale while the location has an item. After the deletion of the item
// it is right, and a value with the location is stale.
func TestDeletedItem(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := uuid.New()
	r.put(at(p, 4, 1))
	without := at(p, 4)
	r.put(without)
	got, _, _ := r.look(p)
	require.Equal(t, at(p, 4, 1), got, "the refused value is from before the second location was made")

	r.Invalidate(t.Context(), []cache.Change{{Product: p, Location: "far", Version: 2, Deleted: true}})
	r.put(at(p, 4, 1))
	_, found, _ := r.look(p)
	require.False(t, found, "the refused value is from before the deletion")
	r.put(without)
	_, found, _ = r.look(p)
	require.False(t, found, "the product's version shows that the value is from before the second location was made")
	without.Version += 2 // the version of the deleted item still counts
	r.put(without)
	got, _, _ = r.look(p)
	require.Equal(t, without, got)

	r.Invalidate(t.Context(), []cache.Change{change(p, "far", 3)}) // the item exists again
	r.put(without)
	_, found, _ = r.look(p)
	require.False(t, found)
	r.put(at(p, 4, 3))
	_, found, _ = r.look(p)
	require.True(t, found)
}

// TestLateInvalidationKeepsNewerValue: a reader read the change and stored it before the writer invalidated it.
func TestLateInvalidationKeepsNewerValue(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := uuid.New()
	r.put(at(p, 5))
	r.Invalidate(t.Context(), []cache.Change{change(p, "near", 5)})
	_, found, _ := r.look(p)
	require.True(t, found)
	r.Invalidate(t.Context(), []cache.Change{change(p, "near", 6)})
	_, found, _ = r.look(p)
	require.False(t, found)
}

// TestLostDataLetsNothingOldIn: a reader calls Get, a writer commits, Redis loses all data including the versions, and
// then the reader calls Set. The cache refuses the old value.
func TestLostDataLetsNothingOldIn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := uuid.New()
	_, _, epoch := r.look(p)
	r.Invalidate(t.Context(), []cache.Change{change(p, "near", 2)})

	keys, err := r.client.Keys(t.Context(), r.prefix+"*").Result()
	require.NoError(t, err)
	require.Len(t, keys, 2)
	// FLUSHALL would delete the keys of other tests on the shared server.
	require.NoError(t, r.client.Del(t.Context(), keys...).Err())

	r.Set(t.Context(), epoch, fresh(at(p, 1)))
	_, found, next := r.look(p)
	require.False(t, found)
	require.NotEqual(t, epoch, next)
	r.Set(t.Context(), epoch, fresh(at(p, 1)))
	_, found, _ = r.look(p)
	require.False(t, found, "the cache refuses the old epoch also after the new one began")
	r.put(at(p, 2))
	r.Set(t.Context(), epoch, fresh(at(p, 1)))
	_, found, _ = r.look(p)
	require.True(t, found, "a refused Set leaves the stored value")
}

// TestMissingTellsOfChanges: two readers who miss a product get the same text, unless a change of the product was
// invalidated between their calls.
func TestMissingTellsOfChanges(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := uuid.New()
	missing := func() string {
		a, ok := r.Get(t.Context(), []uuid.UUID{p})
		require.True(t, ok)
		require.Contains(t, a.Missing, p)
		return a.Missing[p]
	}

	first := missing()
	require.Equal(t, first, missing())
	r.Invalidate(t.Context(), []cache.Change{change(p, "near", 2)})
	second := missing()
	require.NotEqual(t, first, second)
	require.Equal(t, second, missing())
	r.Invalidate(t.Context(), []cache.Change{change(p, "near", 3)})
	require.NotEqual(t, second, missing())
}

// TestTimeToLive: the time to live is bounded, shorter if stock is low, and not the same for all values.
func TestTimeToLive(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, c := range []struct {
		name      string
		available int64
		base      time.Duration
	}{
		{"plenty", 11, 5 * time.Minute},
		{"low", 10, time.Minute},
		{"none", 0, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			seen := map[time.Duration]bool{}
			for range 50 {
				p := uuid.New()
				a := at(p, 1, 1)
				a.Locations[1].Available = c.available
				_, _, epoch := r.look(p)
				r.Set(t.Context(), epoch, fresh(a))
				left, err := r.client.PTTL(t.Context(), r.key(p)).Result()
				require.NoError(t, err)
				require.LessOrEqual(t, left, c.base*11/10)
				require.Greater(t, left, c.base*9/10-2*time.Second)
				seen[left] = true
			}
			require.Greater(t, len(seen), 10)
		})
	}

	p := uuid.New()
	r.look(p)
	r.Invalidate(t.Context(), []cache.Change{change(p, "near", 1)})
	left, err := r.client.PTTL(t.Context(), r.key(p)).Result()
	require.NoError(t, err)
	require.Greater(t, left, 4*time.Minute, "versions are remembered")
}

// TestValueHasTheFormOfItsVersion fails if a value gets a new field. The author of the field must store it as well,
// raise the version in the prefix of the keys, and then change this test.
func TestValueHasTheFormOfItsVersion(t *testing.T) {
	t.Parallel()
	raw, err := json.Marshal(inventoryapi.Availability{
		OverdueQuantity: 1, // absent if it is 0, as the next one
		WaitingQuantity: 1,
		Locations:       []inventoryapi.LocationStock{{}},
	})
	require.NoError(t, err)
	require.JSONEq(t, `{
		"product_id":"00000000-0000-0000-0000-000000000000",
		"total_stock":0, "reserved_quantity":0, "overdue_quantity":1, "waiting_quantity":1, "available_quantity":0,
		"requested_quantity":0,
		"is_available":false, "sellable":false, "version":0,
		"locations":[{"location":"", "quantity":0, "reserved":0, "available":0, "version":0}]
	}`, string(raw))
	r := newRig(t)
	require.Equal(t, "v4", strings.Split(r.key(uuid.Nil), ":")[3])

	full := inventoryapi.Availability{
		ProductID:         uuid.New(),
		TotalStock:        5_000_000_007,
		ReservedQuantity:  3,
		OverdueQuantity:   2,
		WaitingQuantity:   4,
		AvailableQuantity: 5_000_000_000,
		Version:           60, // one more than its locations have: the version of a deleted item
		Sellable:          true,
		Locations: []inventoryapi.LocationStock{
			{
				Location:  "a-place-with-a-long-name",
				Quantity:  5_000_000_000,
				Reserved:  1,
				Available: 4_999_999_999,
				Version:   50,
			},
			{
				Location:  "b",
				Quantity:  7,
				Reserved:  2,
				Available: 5,
				Version:   9,
			},
		},
	}
	r.put(full)
	got, _, _ := r.look(full.ProductID)
	require.Equal(t, full, got)
}

// TestForeignValueIsAMiss: a text of another form, and every prefix of a stored value, counts as a miss.
func TestForeignValueIsAMiss(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := uuid.New()
	r.put(at(p, 200, 3))
	whole, err := r.client.HGet(t.Context(), r.key(p), "value").Result()
	require.NoError(t, err)
	for i := range len(whole) {
		require.NoError(t, r.client.HSet(t.Context(), r.key(p), "value", whole[:i]).Err())
		_, found, _ := r.look(p)
		require.False(t, found, "the first %d bytes", i)
	}
	for _, raw := range []string{whole + "x", `{"product_id":"x"}`, "\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		require.NoError(t, r.client.HSet(t.Context(), r.key(p), "value", raw).Err())
		_, found, _ := r.look(p)
		require.False(t, found)
	}
	r.put(at(p, 200, 3))
	_, found, _ := r.look(p)
	require.True(t, found)
}

// TestInvalidateAll: afterwards Get finds no stored value, Set refuses values that were read before, and versions may
// begin anew, as after a reset of the database.
func TestInvalidateAll(t *testing.T) {
	t.Parallel()
	r, other := newRig(t), uuid.New()
	p := uuid.New()
	r.put(at(p, 7, 3))
	_, _, before := r.look(other)

	r.InvalidateAll(t.Context())
	r.Set(t.Context(), before, fresh(at(other, 9)))
	for _, product := range []uuid.UUID{p, other} {
		_, found, _ := r.look(product)
		require.False(t, found)
	}

	r.put(at(p, 1))
	value, found, _ := r.look(p)
	require.True(t, found)
	require.EqualValues(t, 1, value.Version)
}

// TestValueEndsAtTheNextDeadline: a value is not used after the next deadline of a reservation. The versions stay, so
// that a value from before a change is still refused.
func TestValueEndsAtTheNextDeadline(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := uuid.New()
	_, _, epoch := r.look(p)
	until := func(fresh time.Duration) []stock.Availability {
		return []stock.Availability{{Availability: at(p, 5), FreshFor: fresh}}
	}

	r.Set(t.Context(), epoch, until(time.Hour))
	_, found, _ := r.look(p)
	require.True(t, found)
	r.Set(t.Context(), epoch, until(20*time.Millisecond))
	require.Eventually(t, func() bool {
		_, found, _ := r.look(p)
		return !found
	}, 5*time.Second, time.Millisecond)

	r.put(at(p, 4))
	_, found, _ = r.look(p)
	require.False(t, found, "it is older than a version that Redis knows")
	r.put(at(p, 5))
	_, found, _ = r.look(p)
	require.True(t, found, "a value without a deadline replaces one with a deadline")
}
