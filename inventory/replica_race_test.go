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

	"holdfast/internal/problem"
	"holdfast/internal/servicekey"
	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
)

// TestLastUnitOfThreeReplicas: a hundred callers of three replicas want the last unit; one gets it and
// the others are told that there is none, not that somebody was faster.
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

// TestThousandOppositeOrders: a thousand orders name the same products, half of them in the opposite
// order, through three replicas. No caller sees an error, and PostgreSQL has not seen one deadlock
// either, which a retry would have hidden.
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
			_, err := services[(i+n)%len(services)].Reserve(t.Context(), inventorytest.NewReserve([][]inventoryapi.ReserveLine{forward, backward}[(i+n)%2]...))
			outcomes.Add(err)
		}
	})
	require.Equal(t, map[inventoryapi.Code]int{"": callers * each}, outcomes.Counts())
	inventorytest.RequireConsistent(t, s.Pool)
	for _, l := range forward {
		available, reserved := s.Available(t, l.ProductID)
		require.Equal(t, [2]int64{0, callers * each}, [2]int64{available, reserved})
	}
	// A backend reports what it counted at the latest when it ends, before it leaves the list of them.
	for i := range services {
		services[i].Close()
		pools[i].Close()
	}
	s.Pool.Reset()
	var deadlocks int
	require.Eventually(t, func() bool {
		var others int
		err := s.Pool.QueryRow(t.Context(), `
			SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()), deadlocks
			FROM pg_stat_database WHERE datname = current_database()`).Scan(&others, &deadlocks)
		return err == nil && others == 0
	}, inventorytest.Patience, 5*time.Millisecond)
	require.Zero(t, deadlocks)
}

// TestFullQueueOverHTTP: what finds the queue full is refused in a way that tells the caller to come
// again, and nothing is done for it; what had its place is done.
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
	inventorytest.AwaitBlocked(t, pool) // under way
	go reserve(ins[1])                  // and the only one that may wait
	require.Eventually(t, func() bool {
		_, metrics := inventorytest.Get(t, base+"/metrics")
		return strings.Contains(string(metrics), "\ninventory_queue_requests 1\n")
	}, inventorytest.Patience, 2*time.Millisecond)
	inventorytest.Together(len(ins)-2, func(i int) {
		code, header, answer := postReserve(t, base, ins[i+2])
		if code != http.StatusServiceUnavailable || answer.Code != problem.Unavailable || !answer.Retryable || header.Get("Retry-After") == "" ||
			header.Get("Content-Type") != problem.ContentType {
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

func postReserve(t *testing.T, base string, in inventoryapi.ReserveRequest) (status int, header http.Header, p problem.Problem) {
	body, err := json.Marshal(in)
	if err != nil {
		t.Error(err)
		return
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/api/inventory/reserve", strings.NewReader(string(body)))
	if err != nil {
		t.Error(err)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(servicekey.Header, inventorytest.ServiceKey)
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
