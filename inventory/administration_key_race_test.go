package inventory_test

import (
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
)

// TestKeyAtOnce: many callers send the same writes under the same keys at once, to two services. Each write acts once,
// and every caller gets its answer.
func TestKeyAtOnce(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	other := inventory.New(inventory.Options{Pool: s.Pool})
	t.Cleanup(other.Close)
	p := s.Stock(t, 10)
	key := func(name string) inventoryapi.WriteOptions {
		return inventoryapi.WriteOptions{Actor: inventorytest.Actor, Key: name}
	}
	ten, three, priority := int64(10), int64(3), 70
	writes := map[string]func(*inventory.Service) (bool, error){
		"receive": func(s *inventory.Service) (bool, error) {
			in := inventoryapi.ReceiveRequest{Location: "far", Quantity: 5}
			out, err := s.ReceiveStock(t.Context(), p, in, key("receive"))
			return out.Replayed, err
		},
		"right count": func(s *inventory.Service) (bool, error) {
			in := inventoryapi.AdjustRequest{Location: "near", Quantity: &ten, Reason: "r"}
			out, err := s.AdjustStock(t.Context(), p, in, key("count"))
			return out.Replayed, err
		},
		"threshold": func(s *inventory.Service) (bool, error) {
			in := inventoryapi.ThresholdRequest{LowStockThreshold: &three}
			out, err := s.SetThreshold(t.Context(), p, in, key("threshold"))
			return out.Replayed, err
		},
		"location": func(s *inventory.Service) (bool, error) {
			in := inventoryapi.LocationRequest{Name: "Loft", Priority: &priority}
			out, err := s.PutLocation(t.Context(), "loft", in, key("location"))
			return out.Replayed, err
		},
	}

	var wg sync.WaitGroup
	var mu sync.Mutex
	first := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(writes)) {
		write := writes[name]
		for i := range 8 {
			wg.Go(func() {
				service := s.Service
				if i%2 == 1 {
					service = other
				}
				replayed, err := write(service)
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				mu.Lock()
				defer mu.Unlock()
				if !replayed {
					first[name]++
				}
			})
		}
	}
	wg.Wait()

	require.Equal(t, map[string]int{"receive": 1, "right count": 1, "threshold": 1, "location": 1}, first)
	stocked, err := s.Service.Availability(t.Context(), p, 1)
	require.NoError(t, err)
	require.EqualValues(t, 15, stocked.TotalStock)
	var named int
	require.NoError(t, s.Pool.QueryRow(t.Context(), "SELECT count(*) FROM stock_operations").Scan(&named))
	require.Equal(t, 4, named)

	require.NotEqual(t, uuid.Nil, inventory.OperationID("a", "bc"))
	require.NotEqual(t, inventory.OperationID("a", "bc"), inventory.OperationID("ab", "c"),
		"the id must depend on where the actor ends and the key begins")
	inventorytest.RequireConsistent(t, s.Pool)
}
