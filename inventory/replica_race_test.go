package inventory_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/auth/authtest"
	"holdfast/internal/problem"
	"holdfast/internal/servicetoken"
	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
)

// TestLastUnitOfThreeReplicas: a hundred callers of three replicas want the last unit. One gets it. The others get
// InsufficientStock, not a conflict.
func TestLastUnitOfThreeReplicas(t *testing.T) {
	t.Parallel()
	services, _, s := inventorytest.NewReplicas(t)
	p := s.Stock(t, 1)
	var outcomes inventorytest.Tally
	inventorytest.Together(100, func(i int) {
		_, err := services[i%len(services)].Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 1)))
		outcomes.Add(err)
	})
	require.Equal(t, map[inventoryapi.Code]int{"": 1, inventoryapi.InsufficientStock: 99}, outcomes.Counts())
	available, reserved := s.Available(t, p)
	require.Equal(t, [2]int64{0, 1}, [2]int64{available, reserved})
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestThousandOppositeOrders: a thousand orders name the same products, half of them in the opposite order, through
// three replicas. No caller sees an error, and PostgreSQL counts no deadlock, which a retry would hide.
func TestThousandOppositeOrders(t *testing.T) {
	t.Parallel()
	services, pools, s := inventorytest.NewReplicas(t)
	const products, callers, each = 6, 40, 25
	var forward, backward []inventoryapi.ReserveLine
	for range products {
		forward = append(forward, inventorytest.Line(s.Stock(t, callers*each), 1))
	}
	for i := range forward {
		backward = append(backward, forward[len(forward)-1-i])
	}

	var outcomes inventorytest.Tally
	inventorytest.Together(callers, func(i int) {
		for n := range each {
			lines := [][]inventoryapi.ReserveLine{forward, backward}[(i+n)%2]
			_, err := services[(i+n)%len(services)].Reserve(t.Context(), inventorytest.NewReserve(lines...))
			outcomes.Add(err)
		}
	})

	require.Equal(t, map[inventoryapi.Code]int{"": callers * each}, outcomes.Counts())
	inventorytest.RequireConsistent(t, s.Pool)
	for _, l := range forward {
		available, reserved := s.Available(t, l.ProductID)
		require.Equal(t, [2]int64{0, callers * each}, [2]int64{available, reserved})
	}

	// A backend reports its counts when it ends at the latest, before pg_stat_activity stops listing it.
	for i := range services {
		services[i].Close()
		pools[i].Close()
	}
	s.Pool.Reset()
	var deadlocks int
	require.Eventually(t, func() bool {
		var others int
		err := s.Pool.QueryRow(t.Context(), `
			SELECT (SELECT count(*) FROM pg_stat_activity
					WHERE datname = current_database()
						AND backend_type = 'client backend' AND pid <> pg_backend_pid()),
				deadlocks
			FROM pg_stat_database WHERE datname = current_database()`).Scan(&others, &deadlocks)
		return err == nil && others == 0
	}, inventorytest.Patience, 5*time.Millisecond)
	require.Zero(t, deadlocks)
}

// TestFullQueueOverHTTP: if the queue is full, the service refuses a request with a retryable error and changes
// nothing. It finishes the requests that it accepted before.
func TestFullQueueOverHTTP(t *testing.T) {
	t.Parallel()
	url, pool := inventorytest.NewDatabase(t)
	base := inventorytest.StartProcessWith(t, url, func(c *inventory.Config) { c.QueueLimit = 1 })
	s := inventorytest.NewSubject(t, inventorytest.NewClient(t, base), pool)
	p := s.Stock(t, 10)
	unlock := inventorytest.LockProduct(t, pool, p)
	ins, _ := inventorytest.NewReserves(t, p, 12)
	accepted := make(chan error, 2)
	reserve := func(in inventoryapi.ReserveRequest) {
		_, err := s.API.Reserve(context.WithoutCancel(t.Context()), in)
		accepted <- err
	}
	go reserve(ins[0])
	inventorytest.AwaitBlocked(t, pool) // the first request is in flight
	go reserve(ins[1])                  // the only request that may wait
	require.Eventually(t, func() bool {
		_, metrics := inventorytest.Get(t, base+"/metrics")
		return strings.Contains(string(metrics), "\ninventory_queue_requests 1\n")
	}, inventorytest.Patience, 2*time.Millisecond)

	inventorytest.Together(len(ins)-2, func(i int) {
		code, header, answer := postReserve(t, base, ins[i+2])
		if code != http.StatusServiceUnavailable || answer.Code != problem.Unavailable || !answer.Retryable ||
			header.Get("Retry-After") == "" || header.Get("Content-Type") != problem.ContentType {
			t.Errorf("answer %d, header %v, %+v", code, header, answer)
		}
	})

	unlock()
	require.NoError(t, <-accepted)
	require.NoError(t, <-accepted)
	ids := make([]uuid.UUID, len(ins))
	for i, in := range ins {
		ids[i] = in.ReservationID
	}
	require.Equal(t, map[uuid.UUID]bool{ids[0]: true, ids[1]: true}, inventorytest.ExistingReservations(t, pool, ids))
	_, reserved := s.Available(t, p)
	require.EqualValues(t, 2, reserved)

	_, err := s.API.Reserve(t.Context(), ins[2])
	require.NoError(t, err, "the same request again")
	inventorytest.RequireConsistent(t, pool)
}

func postReserve(
	t *testing.T, base string, in inventoryapi.ReserveRequest,
) (status int, header http.Header, p problem.Problem) {
	t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		t.Error(err)
		return
	}
	url := base + "/api/inventory/reserve"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(string(body)))
	if err != nil {
		t.Error(err)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	authtest.ActFor(t, req.Header, servicetoken.Inventory, inventorytest.Actor)

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil || json.Unmarshal(raw, &p) != nil {
		t.Errorf("answer %s, error %v", raw, err)
	}
	return res.StatusCode, res.Header, p
}
