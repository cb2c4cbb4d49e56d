// Package archive moves finished reservations and old entries of the ledger into the archive tables of the inventory
// database, and deletes old published events, while the service works. It works in small transactions, each complete in
// itself: an operator can stop or kill it at any point, and the next run continues. Several runs at once take turns.
package archive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/inventory/store"
)

// Minimum is the minimum age of archived rows. Callers repeat a call for some hours at most: no
// reservation is held for more than a day, and its workflow works with the answers that it has afterwards.
// Two days are longer than all of that.
const Minimum = 48 * time.Hour

// MaxBatch bounds the rows of one transaction, and so the time that a request may wait for one of these rows.
const MaxBatch = 100_000

// Options configures a run.
type Options struct {
	// OlderThan is the minimum age, from their end, of released and expired reservations and tombstones, and that of
	// entries of the ledger.
	OlderThan time.Duration
	// ConfirmedOlderThan is the minimum age, from their confirmation, of reservations whose stock may be returned.
	ConfirmedOlderThan time.Duration
	// OutboxOlderThan is the minimum age of published and of processed events.
	OutboxOlderThan  time.Duration
	ImportsOlderThan time.Duration

	Batch    int           // rows per transaction
	Pause    time.Duration // after each transaction that moved rows
	DryRun   bool          // only count
	Progress func(step string, done int)
}

// Check refuses ages below the minimum, a batch outside its limits and a negative pause.
func (o Options) Check() error {
	var faults []error
	for _, age := range []struct {
		flag string
		age  time.Duration
	}{
		{"older-than", o.OlderThan},
		{"confirmed-older-than", o.ConfirmedOlderThan},
		{"outbox-older-than", o.OutboxOlderThan},
	} {
		if age.age < Minimum {
			faults = append(faults,
				fmt.Errorf("--%s is %s; it must be at least %s, because callers may repeat calls for that long",
					age.flag, age.age, Minimum))
		}
	}
	if o.Batch < 1 || o.Batch > MaxBatch {
		faults = append(faults, fmt.Errorf("--batch is %d; it lies between 1 and %d", o.Batch, MaxBatch))
	}
	if o.Pause < 0 {
		faults = append(faults, fmt.Errorf("--pause is %s; it must not be negative", o.Pause))
	}
	return errors.Join(faults...)
}

// Summary is the result of a run.
type Summary struct {
	store.Moved
	Batches int
	Stopped bool // the run ended before it had read everything
}

// The parts of a table that one transaction reads.
const (
	rowsPerPage  = 30   // of reservations, about; the run reads a page with more rows again
	itemsAtOnce  = 2000 // each costs two look-ups
	pagesAtLeast = 16
)

// archiver is one run.
type archiver struct {
	Options
	store   *store.Store
	cutoffs store.Cutoffs
	sum     Summary
}

// Run archives all rows that are old enough. If ctx ends, it finishes the transaction under way and returns the summary
// so far. A failed transaction ends the run; the work of the earlier transactions stays.
func Run(ctx context.Context, pool *pgxpool.Pool, o Options) (Summary, error) {
	a := &archiver{Options: o, store: store.New(pool)}
	extent, now, err := a.store.Extent(ctx)
	if err != nil {
		return a.sum, err
	}
	a.cutoffs = store.Cutoffs{
		Finished:  now.Add(-o.OlderThan),
		Confirmed: now.Add(-o.ConfirmedOlderThan),
		Events:    now.Add(-o.OutboxOlderThan),
		Imports:   now.Add(-o.ImportsOlderThan),
	}

	for _, archiveTable := range []func(context.Context, store.Extent) error{
		a.reservations, // first: an entry of the ledger follows its reservation
		a.entries,
		a.events,
		a.processed,
		a.imports,
	} {
		if err := archiveTable(ctx, extent); err != nil {
			return a.sum, err
		}
	}
	a.sum.Stopped = ctx.Err() != nil
	return a.sum, nil
}

func (a *archiver) reservations(ctx context.Context, e store.Extent) error {
	return a.pages(ctx, "reservations", e.Reservations,
		a.store.CountReservations, a.store.ArchiveReservations, store.Moved.Reservations)
}

func (a *archiver) events(ctx context.Context, e store.Extent) error {
	return a.pages(ctx, "published events", e.Events,
		a.store.CountEvents, a.store.DeleteEvents, func(m store.Moved) int64 { return m.Events })
}

func (a *archiver) processed(ctx context.Context, e store.Extent) error {
	return a.pages(ctx, "processed events", e.Processed,
		a.store.CountProcessed, a.store.DeleteProcessed, func(m store.Moved) int64 { return m.Processed })
}

// pages goes through a table in its physical order.
func (a *archiver) pages(
	ctx context.Context, step string, all store.Range,
	count func(context.Context, store.Cutoffs, store.Range) (store.Moved, error),
	move func(context.Context, store.Cutoffs, store.Range, int) (store.Moved, error),
	rows func(store.Moved) int64,
) error {
	work := func(ctx context.Context, part store.Range) (store.Moved, int64, error) {
		if a.DryRun {
			m, err := count(ctx, a.cutoffs, part)
			return m, part.To, err
		}
		m, err := move(ctx, a.cutoffs, part, a.Batch)
		if rows(m) == int64(a.Batch) {
			return m, part.From, err // there may be more
		}
		return m, part.To, err
	}
	stride := max(int64(a.Batch/rowsPerPage), pagesAtLeast)
	return a.through(ctx, step, all, stride, work)
}

// entries goes through the items, and moves the oldest entries of each.
func (a *archiver) entries(ctx context.Context, e store.Extent) error {
	work := func(ctx context.Context, part store.Range) (store.Moved, int64, error) {
		if a.DryRun {
			m, err := a.store.CountEntries(ctx, a.cutoffs, part)
			return m, part.To, err
		}
		return a.store.ArchiveEntries(ctx, a.cutoffs, part, a.Batch)
	}
	return a.through(ctx, "ledger", e.Items, itemsAtOnce, work)
}

func (a *archiver) imports(ctx context.Context, _ store.Extent) error {
	work := func(ctx context.Context, part store.Range) (store.Moved, int64, error) {
		if a.DryRun {
			m, err := a.store.CountImports(ctx, a.cutoffs)
			return m, part.To, err
		}
		m, err := a.store.DeleteImports(ctx, a.cutoffs, a.Batch)
		if m.Imports == int64(a.Batch) {
			return m, part.From, err
		}
		return m, part.To, err
	}
	return a.through(ctx, "imports", store.Range{From: 0, To: 1}, 1, work)
}

// through calls work for one part of a range after another; work returns where the next part begins. If ctx ends, it
// stops between two transactions, never within one.
func (a *archiver) through(
	ctx context.Context, step string, all store.Range, stride int64,
	work func(context.Context, store.Range) (store.Moved, int64, error),
) error {
	done := int64(0)
	for at := all.From; at < all.To && ctx.Err() == nil; {
		m, next, err := work(context.WithoutCancel(ctx), store.Range{From: at, To: min(at+stride, all.To)})
		if err != nil {
			return err
		}
		at = next

		rows := m.Rows()
		done += rows
		a.sum.Moved = a.sum.Add(m)
		if a.Progress != nil {
			a.Progress(step, int(done))
		}
		if rows > 0 && !a.DryRun {
			a.sum.Batches++
			a.pause(ctx)
		}
	}
	return nil
}

// pause waits for Options.Pause, so that the service can use the disk and the processor.
func (a *archiver) pause(ctx context.Context) {
	if a.Pause == 0 {
		return
	}
	t := time.NewTimer(a.Pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
