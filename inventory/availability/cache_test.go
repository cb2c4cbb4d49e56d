package availability_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"holdfast/inventory"
	"holdfast/inventory/cache"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/stock"
	"holdfast/tests/fault"
	"holdfast/tests/testenv"
)

func TestCachedServiceConforms(t *testing.T) {
	t.Parallel()
	s, _ := inventorytest.NewCachedService(t)
	inventorytest.Conformance(t, s)
}

// stored returns the cached value of a product.
func stored(t testing.TB, c *cache.Cache, product uuid.UUID) (inventoryapi.Availability, bool) {
	t.Helper()
	a, ok := c.Get(t.Context(), []uuid.UUID{product})
	require.True(t, ok)
	v, found := a.Values[product]
	return v, found
}

// TestReadFillsAndWriteEmptiesTheCache: a read stores the value, and every kind of write removes it.
func TestReadFillsAndWriteEmptiesTheCache(t *testing.T) {
	t.Parallel()
	s, c := inventorytest.NewCachedService(t)
	p := s.Stock(t, 100, 50)
	_, found := stored(t, c, p)
	require.False(t, found)

	in := inventorytest.NewReserve(inventorytest.Line(p, 2))
	confirmed := inventorytest.NewReserve(inventorytest.Line(p, 2))
	expiring := inventorytest.NewReserve(inventorytest.Line(p, 2))
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"reserve", func() error { _, err := s.API.Reserve(t.Context(), in); return err }},
		{"release", func() error {
			_, err := s.API.Release(t.Context(), in.ReservationID, inventorytest.ReleaseOf(in))
			return err
		}},
		{"reserve", func() error { _, err := s.API.Reserve(t.Context(), confirmed); return err }},
		{"confirm", func() error {
			_, err := s.API.Confirm(t.Context(), confirmed.ReservationID, inventorytest.Resolve())
			return err
		}},
		{"return", func() error {
			_, err := s.API.Return(t.Context(), confirmed.ReservationID, inventorytest.ReturnOf())
			return err
		}},
		{"reserve", func() error { _, err := s.API.Reserve(t.Context(), expiring); return err }},
		{"expire", func() error {
			s.Age(t, expiring.ReservationID)
			_, err := s.API.Expire(t.Context(), expiring.ReservationID, inventorytest.Resolve())
			return err
		}},
		{"receive", func() error {
			_, err := s.Service.Receive(t.Context(), receiptOf(p))
			return err
		}},
	} {
		before, err := s.API.Availability(t.Context(), p, 3)
		require.NoError(t, err)
		require.EqualValues(t, 3, before.RequestedQuantity)
		cached, found := stored(t, c, p)
		require.True(t, found, "before %s", step.name)
		require.Equal(t, before.Locations, cached.Locations)

		require.NoError(t, step.do())
		_, found = stored(t, c, p)
		require.False(t, found, "after %s", step.name)
		after, err := s.API.Availability(t.Context(), p, 1)
		require.NoError(t, err)
		require.Greater(t, after.Version, before.Version, "after %s", step.name)
	}
}

// receiptOf returns a receipt of five units of a product.
func receiptOf(product uuid.UUID) stock.Receive {
	return stock.Receive{
		OperationID: uuid.New(),
		ProductID:   product,
		Location:    "near",
		Quantity:    5,
		Actor:       inventorytest.Actor,
	}
}

// TestManyProductsAreReadTogether: one read returns cached and other products, each once and in the order given.
func TestManyProductsAreReadTogether(t *testing.T) {
	t.Parallel()
	s, c := inventorytest.NewCachedService(t)
	products := make([]uuid.UUID, 20)
	for i := range products {
		products[i] = s.Stock(t, int64(i))
	}
	_, err := s.API.Availabilities(t.Context(), products[5:10])
	require.NoError(t, err)

	found, err := s.API.Availabilities(t.Context(), append([]uuid.UUID{uuid.New(), products[3]}, products...))
	require.NoError(t, err)
	require.Len(t, found, 20)
	require.Equal(t, products[3], found[0].ProductID)
	for _, a := range found[1:] {
		if a.ProductID != products[a.TotalStock] {
			t.Errorf("%d of product %s", a.TotalStock, a.ProductID)
		}
	}
	for _, p := range products {
		_, ok := stored(t, c, p)
		require.True(t, ok)
	}

	// Unknown products are not cached: a new product is visible at once, also if a service without the cache made it.
	fresh := uuid.New()
	_, err = s.API.Availability(t.Context(), fresh, 1)
	require.ErrorIs(t, err, inventoryapi.ProductNotFound)
	past := inventory.New(inventory.Options{Pool: s.Pool})
	_, err = past.Receive(t.Context(), receiptOf(fresh))
	require.NoError(t, err)
	_, err = s.API.Availability(t.Context(), fresh, 1)
	require.NoError(t, err)
}

// TestReserveNeverReadsTheCache: a reserve decides by the database, also if the cache has a wrong value.
func TestReserveNeverReadsTheCache(t *testing.T) {
	t.Parallel()
	s, c := inventorytest.NewCachedService(t)
	p := s.Stock(t, 1)
	a, ok := c.Get(t.Context(), []uuid.UUID{p})
	require.True(t, ok)
	c.Set(t.Context(), a.Epoch, []stock.Availability{{Availability: inventoryapi.Availability{ // a wrong value
		ProductID:         p,
		Sellable:          true,
		TotalStock:        1000,
		AvailableQuantity: 1000,
		Version:           1000,
		Locations:         []inventoryapi.LocationStock{{Location: "near", Quantity: 1000, Available: 1000, Version: 1000}},
	}}})
	seen, err := s.API.Availability(t.Context(), p, 2)
	require.NoError(t, err)
	require.True(t, seen.IsAvailable)
	_, err = s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 2)))
	require.ErrorIs(t, err, inventoryapi.InsufficientStock)
}

// TestWritersAndReadersAgree: two replicas write and read the same products at once. A caller with the answer of a
// write reads nothing older at either replica, and in the end the cache has the same values as the database.
func TestWritersAndReadersAgree(t *testing.T) {
	t.Parallel()
	_, pool := inventorytest.NewDatabase(t)
	prefix := inventorytest.NewCachePrefix()
	caches := []*cache.Cache{
		inventorytest.NewCache(t, testenv.Redis(t), prefix, inventorytest.CacheTimeout),
		inventorytest.NewCache(t, testenv.Redis(t), prefix, inventorytest.CacheTimeout),
	}
	s := inventorytest.NewCachedSubject(t, pool, caches[0])
	replicas := []inventoryapi.API{s.API, inventory.New(inventory.Options{Pool: pool, Cache: caches[1]})}
	products := []uuid.UUID{s.Stock(t, 100_000), s.Stock(t, 5, 100_000), s.Stock(t, 100_000)}
	answered := make([]atomic.Int64, len(products)) // the highest version in an answer

	var outcomes inventorytest.Tally
	const callers, each = 12, 25
	inventorytest.Together(callers, func(i int) {
		ctx := t.Context()
		for n := range each {
			k := (i + n) % len(products)
			if i < 4 {
				in := inventorytest.NewReserve(inventorytest.Line(products[k], 1))
				_, err := replicas[i%2].Reserve(ctx, in)
				outcomes.Add(err)
				var a inventoryapi.Availability
				if a, err = replicas[(i+1)%2].Availability(ctx, products[k], 1); err == nil {
					raise(&answered[k], a.Version)
				}
				_, err = replicas[i/2%2].Release(ctx, in.ReservationID, inventorytest.ReleaseOf(in))
				outcomes.Add(err)
				continue
			}
			least := answered[k].Load()
			a, err := replicas[i%2].Availabilities(ctx, []uuid.UUID{products[k], products[(k+1)%3]})
			outcomes.Add(err)
			if err == nil && a[0].Version < least {
				t.Errorf("read version %d after another caller had read %d", a[0].Version, least)
			}
		}
	})
	require.Equal(t, map[inventoryapi.Code]int{"": 4*2*each + 8*each}, outcomes.Counts())

	past := inventory.New(inventory.Options{Pool: pool})
	for _, p := range products {
		want, err := past.Availability(t.Context(), p, 1)
		require.NoError(t, err)
		for _, r := range replicas {
			got, err := r.Availability(t.Context(), p, 1)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		cached, found := stored(t, caches[0], p)
		require.True(t, found)
		require.Equal(t, want.Locations, cached.Locations)
	}
	inventorytest.RequireConsistent(t, pool)
}

func raise(to *atomic.Int64, v int64) {
	for {
		was := to.Load()
		if v <= was || to.CompareAndSwap(was, v) {
			return
		}
	}
}

// TestCommitWithALostAnswerIsInvalidated: the commit happened, its answer did not arrive, and the retry finds its own
// work and changes nothing.
func TestCommitWithALostAnswerIsInvalidated(t *testing.T) {
	t.Parallel()
	url, pool := inventorytest.NewDatabase(t)
	proxy := fault.NewPostgres(t, url)
	faulty, err := pgxpool.New(context.WithoutCancel(t.Context()), proxy.URL())
	require.NoError(t, err)
	t.Cleanup(faulty.Close)

	c := inventorytest.NewCache(t, testenv.Redis(t), inventorytest.NewCachePrefix(), inventorytest.CacheTimeout)
	s := inventorytest.NewCachedSubject(t, pool, c)
	service := inventory.New(inventory.Options{Pool: faulty, Cache: c})
	p := s.Stock(t, 10)
	_, err = service.Availability(t.Context(), p, 1)
	require.NoError(t, err)
	_, found := stored(t, c, p)
	require.True(t, found)

	lost := proxy.LoseCommits(1)
	_, err = service.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 4)))
	require.NoError(t, err)
	require.Equal(t, 1, lost.Count())
	a, err := service.Availability(t.Context(), p, 1)
	require.NoError(t, err)
	require.EqualValues(t, 6, a.AvailableQuantity)
}

// TestServiceOutlivesRedis: while Redis is cut off or hangs, every read and write succeeds within bounds, and no caller
// reads stock older than the last answer. The same holds when Redis is back with its old values.
func TestServiceOutlivesRedis(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		begin func(*fault.TCP)
	}{
		{"down", (*fault.TCP).Down},
		{"hanging", (*fault.TCP).Hang},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, pool := inventorytest.NewDatabase(t)
			o, err := redis.ParseURL(testenv.Redis(t))
			require.NoError(t, err)
			proxy, prefix := fault.NewTCP(t, o.Addr), inventorytest.NewCachePrefix()
			c := inventorytest.NewCache(t, "redis://"+proxy.Address(), prefix, cache.DefaultTimeout)
			past := inventorytest.NewCache(t, testenv.Redis(t), prefix, inventorytest.CacheTimeout)
			s := inventorytest.NewCachedSubject(t, pool, c)
			products := make([]uuid.UUID, 4)
			for i := range products {
				products[i] = s.Stock(t, 1000)
			}
			_, err = s.API.Availabilities(t.Context(), products)
			require.NoError(t, err)

			ctx, stop := context.WithCancel(t.Context())
			var left [4]atomic.Int64 // what the last answer left available
			for i := range left {
				left[i].Store(1000)
			}
			var rounds, slowest atomic.Int64
			done := make(chan struct{})

			go func() {
				defer close(done)
				inventorytest.Together(len(products), func(i int) { // one writer and reader of each product
					for ctx.Err() == nil {
						start := time.Now()
						_, err := s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(products[i], 1)))
						if err != nil && !errors.Is(err, inventoryapi.InsufficientStock) {
							t.Errorf("reserve: %v", err)
						}
						if err == nil {
							left[i].Add(-1)
						}
						a, err := s.API.Availability(t.Context(), products[i], 1)
						if err != nil || a.AvailableQuantity != left[i].Load() {
							t.Errorf("read %d, want %d, error %v", a.AvailableQuantity, left[i].Load(), err)
						}
						raise(&slowest, int64(time.Since(start)))
						rounds.Add(1)
					}
				})
			}()

			awaitRounds := func(n int64) {
				t.Helper()
				from := rounds.Load()
				require.Eventually(t, func() bool { return rounds.Load() >= from+n }, 30*time.Second, time.Millisecond)
			}
			for range 2 {
				awaitRounds(40)
				tc.begin(proxy)
				awaitRounds(100)
				require.Error(t, c.Ping(t.Context()))
				proxy.Up()
				require.Eventually(t, func() bool { return c.Ping(t.Context()) == nil }, 30*time.Second, 5*time.Millisecond)
			}
			awaitRounds(40)
			stop()
			<-done

			require.Less(t, time.Duration(slowest.Load()), 3*time.Second)
			for i, p := range products {
				a, err := s.API.Availability(t.Context(), p, 1)
				require.NoError(t, err)
				require.Equal(t, left[i].Load(), a.AvailableQuantity)
				if v, found := stored(t, past, p); found {
					require.Equal(t, a.Version, v.Version)
				}
			}
			inventorytest.RequireConsistent(t, pool)
		})
	}
}
