package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/bench/load"
	"holdfast/internal/database"
	"holdfast/inventory"
	"holdfast/inventory/archive"
	"holdfast/inventory/inventoryapi"
)

// measured is the measurement of callers of the service over some seconds.
type measured struct {
	done     int
	rate     float64
	p50, p99 time.Duration
}

const (
	callers   = 50
	loadBound = 10 * time.Second
)

// reserveFor lets callers reserve, a tenth of them the hot product, until ctx ends.
func reserveFor(ctx context.Context, pool *pgxpool.Pool, s sample) (measured, error) {
	svc := inventory.New(inventory.Options{Pool: pool})
	defer svc.Close()
	start := time.Now()
	took, errs := make([][]time.Duration, callers), make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				product := s.products[(i*37+n)%len(s.products)]
				if i%10 == 0 {
					product = s.hot
				}
				at := time.Now()
				_, err := svc.Reserve(context.WithoutCancel(ctx), load.Reserve(uuid.New(), product))
				if err != nil && !errors.Is(err, inventoryapi.InsufficientStock) {
					errs[i] = err
					return
				}
				took[i] = append(took[i], time.Since(at))
			}
		})
	}
	wg.Wait()

	all := slices.Concat(took...)
	if err := errors.Join(errs...); err != nil || len(all) == 0 {
		return measured{}, fmt.Errorf("reserve: %w", err)
	}
	slices.Sort(all)
	return measured{
		done: len(all),
		rate: float64(len(all)) / time.Since(start).Seconds(),
		p50:  all[len(all)/2],
		p99:  all[len(all)*99/100],
	}, nil
}

// archiveBeside reserves for some seconds, then archives with the command's defaults while it reserves for as
// long again, then archives without other load, and measures the sizes that remain.
func archiveBeside(ctx context.Context, url string, pool *pgxpool.Pool, o options, r *report) error {
	s, err := take(ctx, pool, o, 512)
	if err != nil {
		return err
	}
	alone, cancel := context.WithTimeout(ctx, loadBound)
	defer cancel()
	if r.alone, err = reserveFor(alone, pool, s); err != nil {
		return err
	}

	own, err := database.Open(ctx, url, database.Pool{
		MaxConns:         1,
		ConnectTimeout:   5 * time.Second,
		StatementTimeout: 5 * time.Minute,
		LockTimeout:      time.Minute,
		IndexOnly:        true,
	}, "archive", nil)
	if err != nil {
		return err
	}
	defer own.Close()

	const day = 24 * time.Hour
	options := archive.Options{
		OlderThan:          90 * day,
		ConfirmedOlderThan: 400 * day,
		OutboxOlderThan:    30 * day,
		ImportsOlderThan:   90 * day,
		Batch:              5000,
		Pause:              50 * time.Millisecond,
		Progress:           func(step string, done int) { fmt.Fprintf(os.Stderr, "\r%-20s %d", step, done) },
	}
	for _, bound := range []time.Duration{loadBound, o.archive} {
		bounded, cancel := context.WithTimeout(ctx, bound)
		start := time.Now()
		done := make(chan error, 1)
		go func() {
			sum, err := archive.Run(bounded, own, options)
			r.moved, r.archived = r.moved.Add(sum.Moved), r.archived+time.Since(start)
			r.batches += sum.Batches
			r.stopped = sum.Stopped
			done <- err
		}()
		if bound == loadBound {
			r.beside, err = reserveFor(bounded, pool, s)
		}
		err = errors.Join(err, <-done)
		cancel()
		if err != nil {
			return err
		}
		options.Pause = 0
	}
	fmt.Fprintln(os.Stderr)

	at := time.Now()
	if _, err := own.Exec(ctx, "VACUUM ANALYZE"); err != nil {
		return fmt.Errorf("vacuum: %w", err)
	}
	r.vacuumed = time.Since(at)
	if r.after, err = sizes(ctx, pool); err != nil {
		return err
	}
	for _, table := range []string{"reservations", "reservation_lines", "stock_ledger", "outbox"} {
		if _, err := own.Exec(ctx, "VACUUM FULL "+table); err != nil {
			return fmt.Errorf("rebuild %s: %w", table, err)
		}
	}
	r.rebuilt, err = sizes(ctx, pool)
	return err
}
