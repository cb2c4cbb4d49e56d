package availability_test

import (
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/tests/testenv"
)

// BenchmarkAvailability reads the stock of one of 100 products, and of twenty at once, from the service in process,
// with a warm cache and without a cache.
func BenchmarkAvailability(b *testing.B) {
	_, pool := inventorytest.NewDatabase(b)
	c := inventorytest.NewCache(b, testenv.Redis(b), inventorytest.NewCachePrefix(), inventorytest.CacheTimeout)
	cached := inventory.New(inventory.Options{Pool: pool, Cache: c})
	plain := inventorytest.NewSubject(b, inventory.New(inventory.Options{Pool: pool}), pool)
	products := make([]uuid.UUID, 100)
	for i := range products {
		products[i] = plain.Stock(b, 1000, 1000)
	}
	for _, service := range []struct {
		name string
		api  inventoryapi.API
	}{{"cache", cached}, {"database", plain.API}} {
		_, err := service.api.Availabilities(b.Context(), products)
		require.NoError(b, err)

		b.Run("one/"+service.name, func(b *testing.B) {
			var n atomic.Int64
			b.SetParallelism(8)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := service.api.Availability(b.Context(), products[n.Add(1)%100], 1); err != nil {
						b.Error(err)
					}
				}
			})
		})

		b.Run("twenty/"+service.name, func(b *testing.B) {
			b.SetParallelism(8)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := service.api.Availabilities(b.Context(), products[:20]); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
