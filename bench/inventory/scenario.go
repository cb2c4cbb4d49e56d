package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"runtime/pprof"
	"time"

	"github.com/google/uuid"

	"holdfast/bench/load"
	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
)

// warm is how long a run goes on before it is measured.
const warm = 2 * time.Second

type scenario struct {
	name, what string
	run        func(context.Context, *environment) ([]result, error)
}

// scenarios in the order of running.
var scenarios = []scenario{
	{"pgbench-hot", "the same rows with pgbench, one reservation per transaction, one product", pgbench("pgbench-hot", 1)},
	{"retry-loop", "read, version-checked update, again after a conflict: one product", retryLoop},
	{"hot", "the service in process, one product", inProcess("hot", 1, 1, 1)},
	{"hot-1000", "the service in process, one product, five times the callers", inProcess("hot-1000", 1, 1, 5)},
	{"hot-two-replicas", "two services on one product", inProcess("hot-two-replicas", 1, 2, 1)},
	{
		"pgbench-spread",
		"the same rows with pgbench, one reservation per transaction, 10,000 products",
		pgbench("pgbench-spread", 10_000),
	},
	{"spread", "the service in process, 10,000 products", inProcess("spread", 10_000, 1, 1)},
	{"backorders", "one receipt for 10,000 backorders on one product", backorders},
	{"bare-transaction", "a lone caller of the bare transaction", bareTransaction},
	{"http", "the process over HTTP: one product with all callers, then a lone caller", overHTTP},
	{"read", "availability over HTTP at 2,000 a second, with and without cache", reads},
}

func names() []string {
	out := make([]string, len(scenarios))
	for i, s := range scenarios {
		out[i] = s.name
	}
	return out
}

// reserve makes the request of a new order for one unit of one of the products.
func reserve(products []uuid.UUID) inventoryapi.ReserveRequest {
	owner := uuid.New()
	product := products[binary.BigEndian.Uint32(owner[:4])%uint32(len(products))] //nolint:gosec // 10,000 at most
	return load.Reserve(owner, product)
}

// inProcess measures replicas of the service in this process; the callers share its processor time.
func inProcess(name string, products, replicas, times int) func(context.Context, *environment) ([]result, error) {
	return func(ctx context.Context, e *environment) ([]result, error) {
		s, err := e.open(ctx, name, products)
		if err != nil {
			return nil, err
		}
		defer s.pool.Close()
		services := make([]*inventory.Service, replicas)
		for i := range services {
			pool, err := s.connect(ctx)
			if err != nil {
				return nil, err
			}
			defer pool.Close()
			services[i] = inventory.New(inventory.Options{Pool: pool})
			defer services[i].Close()
		}

		stopProfile, err := e.profiling()
		if err != nil {
			return nil, err
		}
		cpu := e.measureCPU()
		sum := load.Closed(ctx, e.callers*times, warm, e.duration, func(ctx context.Context, i int) error {
			_, err := services[i%replicas].Reserve(ctx, reserve(s.products))
			return err
		})
		stopProfile()
		r := result{Name: name, What: fmt.Sprintf("%d products, %d replicas", products, replicas), Sample: sum}
		own, server := cpu()
		all, err := s.reservations(ctx)
		if err != nil {
			return nil, err
		}
		r.ServiceCPU, r.PostgresCPU = perRequest(own, all), perRequest(server, all)
		return []result{r}, s.verify(ctx, sum.Done)
	}
}

func (e *environment) profiling() (func(), error) {
	if e.profile == "" {
		return func() {}, nil
	}
	f, err := os.Create(e.profile)
	if err != nil {
		return nil, fmt.Errorf("write the profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, fmt.Errorf("start the profile: %w", err)
	}
	return func() { pprof.StopCPUProfile(); _ = f.Close() }, nil
}

// measureCPU returns a function that returns the processor time of this process and of PostgreSQL since this call.
func (e *environment) measureCPU() func() (own, server time.Duration) {
	own, server := ownCPU(), treeCPU(e.server)
	return func() (time.Duration, time.Duration) { return ownCPU() - own, treeCPU(e.server) - server }
}

// perRequest is microseconds of processor time.
func perRequest(spent time.Duration, requests int64) float64 {
	if requests == 0 {
		return 0
	}
	return float64(spent.Microseconds()) / float64(requests)
}

func (s *shop) reservations(ctx context.Context) (n int64, err error) {
	if err = s.pool.QueryRow(ctx, "SELECT count(*) FROM reservations").Scan(&n); err != nil {
		return 0, fmt.Errorf("count the reservations: %w", err)
	}
	return n, nil
}
