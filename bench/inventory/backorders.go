package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"holdfast/bench/load"
	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
)

// waiting is how many backorders the scenario of that name places.
const waiting = 10_000

// backorders measures one receipt of enough stock for 10,000 backorders on one product, from the call until all are
// granted. It fails unless they are granted in the order of placing.
func backorders(ctx context.Context, e *environment) ([]result, error) {
	s, err := e.open(ctx, "backorders", 1)
	if err != nil {
		return nil, err
	}
	defer s.pool.Close()
	pool, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	svc := inventory.New(inventory.Options{Pool: pool, ContinueGrants: true})
	defer svc.Close()

	product := uuid.New()
	place := load.Sample{Callers: e.callers}
	begin := time.Now()
	if err := placeAll(ctx, svc, product, e.callers); err != nil {
		return nil, err
	}
	took := time.Since(begin)
	place.Done, place.Rate = waiting, waiting/took.Seconds()

	cpu := e.measureCPU()
	begin = time.Now()
	if _, err := svc.Receive(ctx, stock.Receive{
		OperationID: uuid.New(), ProductID: product, Location: "main", Quantity: waiting, Actor: "bench",
	}); err != nil {
		return nil, err
	}
	answered := time.Since(begin)
	if err := s.awaitGrants(ctx); err != nil {
		return nil, err
	}
	took = time.Since(begin)
	own, server := cpu()
	if err := s.verifyGrants(ctx); err != nil {
		return nil, err
	}

	ms := float64(took.Microseconds()) / 1000
	grant := load.Sample{Callers: 1, Done: waiting, Rate: waiting / took.Seconds(), P50: ms, P95: ms, P99: ms}
	return []result{
		{Name: "backorders-place", What: "10,000 backorders placed on one product", Sample: place},
		{
			Name: "backorders-grant",
			What: fmt.Sprintf("one receipt grants 10,000 backorders; latencies are of all of it, "+
				"the receipt was answered after %d ms", answered.Milliseconds()),
			Sample:      grant,
			ServiceCPU:  perRequest(own, waiting),
			PostgresCPU: perRequest(server, waiting),
		},
	}, nil
}

func placeAll(ctx context.Context, svc *inventory.Service, product uuid.UUID, callers int) error {
	var wg sync.WaitGroup
	var next atomic.Int64
	failed := make(chan error, callers)
	for range callers {
		wg.Go(func() {
			for next.Add(1) <= waiting {
				in := reserve([]uuid.UUID{product})
				out, err := svc.PlaceBackorder(ctx, inventoryapi.PlaceBackorderRequest{
					BackorderID: in.ReservationID,
					OwnerKind:   in.OwnerKind,
					OwnerID:     in.OwnerID,
					Number:      in.Number,
					WorkflowID:  in.WorkflowID,
					OperationID: in.OperationID,
					Actor:       in.Actor,
					WaitSeconds: 3600,
					Lines:       in.Lines,
				})
				if err == nil && out.Status != inventoryapi.BackorderWaiting {
					err = fmt.Errorf("a backorder without stock is %s", out.Status)
				}
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	return <-failed
}

// awaitGrants waits until inventory has granted every backorder.
func (s *shop) awaitGrants(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		var left int
		if err := s.pool.QueryRow(ctx, "SELECT count(*) FROM backorder_lines WHERE waiting").Scan(&left); err != nil {
			return fmt.Errorf("wait for the grants: %w", err)
		}
		if left == 0 {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// verifyGrants fails unless every backorder has its reservation, in the order of placing.
func (s *shop) verifyGrants(ctx context.Context) error {
	var granted, disorder int64
	if _, err := s.pool.Exec(ctx, "ANALYZE"); err != nil { // the tables were empty when the scenario began
		return fmt.Errorf("analyse: %w", err)
	}
	if err := s.pool.QueryRow(ctx, `
		SELECT count(*), count(*) FILTER (WHERE position < before)
		FROM (
			SELECT b.position, lag(b.position) OVER (ORDER BY l.ledger_id) AS before
			FROM stock_ledger l
			JOIN backorders b ON b.backorder_id = l.reservation_id AND b.status = 'granted'
			JOIN reservations r ON r.reservation_id = b.backorder_id AND r.status = 'pending'
			JOIN outbox o ON o.aggregate_id = b.backorder_id AND o.event_type = 'inventory.backorder_granted'
			WHERE l.kind = 'reserved'
		) g`).Scan(&granted, &disorder); err != nil {
		return fmt.Errorf("check the grants: %w", err)
	}
	if granted != waiting || disorder > 0 {
		return fmt.Errorf("%d backorders were granted instead of %d, %d of them out of order", granted, waiting, disorder)
	}
	return nil
}
