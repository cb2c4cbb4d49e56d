// Package archive moves finished reservations and old entries of the ledger into the archive tables of
// the inventory database, and deletes events that have long been published, while the service works.
// It goes by small transactions, each complete in itself: it can be stopped or killed at any point, and
// the next run goes on. Several runs at once take turns.
package archive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/inventory/store"
)

// Minimum is the least age of what may be archived. A call may be repeated while its owner's
// patience lasts, which ends within hours: no reservation is held for more than a day, and what its
// workflow still does afterwards it does with the answers that it has. Two days are beyond all of that.
const Minimum = 48 * time.Hour

// MaxBatch bounds the rows of one transaction, and so how long a request may wait for a row of it.
const MaxBatch = 100_000

// Options says what is archived, and how.
type Options struct {
	OlderThan          time.Duration // since they ended: released and expired reservations and tombstones; entries of the ledger
	ConfirmedOlderThan time.Duration // since they were confirmed: reservations whose stock may be returned
	OutboxOlderThan    time.Duration // since they were published, or processed
	ImportsOlderThan   time.Duration
	Batch              int           // rows per transaction
	Pause              time.Duration // after each transaction that moved something
	DryRun             bool          // only count
	Progress           func(step string, done int)
}

// Check refuses ages below the minimum, and everything else that makes no sense.
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
			faults = append(faults, fmt.Errorf("--%s is %s; it must be at least %s, because calls may be repeated for that long",
				age.flag, age.age, Minimum))
		}
	}
	if o.Batch < 1 || o.Batch > MaxBatch {
		faults = append(faults, fmt.Errorf("--batch is %d; it lies between 1 and %d", o.Batch, MaxBatch))
	}
	if o.Pause < 0 {
		faults = append(faults, fmt.Errorf("--pause is %s; it is not negative", o.Pause))
	}
	return errors.Join(faults...)
}

// Summary says what a run did.
type Summary struct {
	store.Moved
	Batches int
	Stopped bool // before everything was looked at
}

// How much of a table one transaction looks at.
const (
	rowsPerPage  = 30   // of reservations, about; a page with more is looked at again
	itemsAtOnce  = 2000 // whose histories begin with two look-ups each
	pagesAtLeast = 16
)

// archiver is one run.
type archiver struct {
	Options
	store   *store.Store
	cutoffs store.Cutoffs
	sum     Summary
}

// Run archives until nothing is left that is old enough, or until ctx ends: then it finishes the
// transaction under way and says what was done. A transaction that fails ends the run; what was done
// before stays.
func Run(ctx context.Context, pool *pgxpool.Pool, o Options) (Summary, error) {
	a := &archiver{Options: o, store: store.New(pool)}
	extent, now, err := a.store.Extent(ctx)
	if err != nil {
		return a.sum, err
	}
	a.cutoffs = store.Cutoffs{
		Finished: now.Add(-o.OlderThan), Confirmed: now.Add(-o.ConfirmedOlderThan), Events: now.Add(-o.OutboxOlderThan), Imports: now.Add(-o.ImportsOlderThan),
	}
	// Reservations first: an entry of the ledger follows its reservation.
	for _, table := range []func(context.Context, store.Extent) error{a.reservations, a.entries, a.events, a.processed, a.imports} {
		if err := table(ctx, extent); err != nil {
			return a.sum, err
		}
	}
	a.sum.Stopped = ctx.Err() != nil
	return a.sum, nil
}

func (a *archiver) reservations(ctx context.Context, e store.Extent) error {
	return a.pages(ctx, "reservations", e.Reservations, a.store.CountReservations, a.store.ArchiveReservations, store.Moved.Reservations)
}

func (a *archiver) events(ctx context.Context, e store.Extent) error {
	return a.pages(ctx, "published events", e.Events, a.store.CountEvents, a.store.DeleteEvents, func(m store.Moved) int64 { return m.Events })
}

func (a *archiver) processed(ctx context.Context, e store.Extent) error {
	return a.pages(ctx, "processed events", e.Processed, a.store.CountProcessed, a.store.DeleteProcessed, func(m store.Moved) int64 { return m.Processed })
}

// pages goes through a table in its physical order.
func (a *archiver) pages(ctx context.Context, step string, all store.Range,
	count func(context.Context, store.Cutoffs, store.Range) (store.Moved, error),
	move func(context.Context, store.Cutoffs, store.Range, int) (store.Moved, error), rows func(store.Moved) int64,
) error {
	stride := max(int64(a.Batch/rowsPerPage), pagesAtLeast)
	return a.through(ctx, step, all, stride, func(ctx context.Context, part store.Range) (store.Moved, int64, error) {
		if a.DryRun {
			m, err := count(ctx, a.cutoffs, part)
			return m, part.To, err
		}
		m, err := move(ctx, a.cutoffs, part, a.Batch)
		if rows(m) == int64(a.Batch) {
			return m, part.From, err // there may be more
		}
		return m, part.To, err
	})
}

// entries goes through the items, and moves the beginning of each one's history.
func (a *archiver) entries(ctx context.Context, e store.Extent) error {
	return a.through(ctx, "ledger", e.Items, itemsAtOnce, func(ctx context.Context, part store.Range) (store.Moved, int64, error) {
		if a.DryRun {
			m, err := a.store.CountEntries(ctx, a.cutoffs, part)
			return m, part.To, err
		}
		return a.store.ArchiveEntries(ctx, a.cutoffs, part, a.Batch)
	})
}

func (a *archiver) imports(ctx context.Context, _ store.Extent) error {
	return a.through(ctx, "imports", store.Range{From: 0, To: 1}, 1, func(ctx context.Context, part store.Range) (store.Moved, int64, error) {
		if a.DryRun {
			m, err := a.store.CountImports(ctx, a.cutoffs)
			return m, part.To, err
		}
		m, err := a.store.DeleteImports(ctx, a.cutoffs, a.Batch)
		if m.Imports == int64(a.Batch) {
			return m, part.From, err
		}
		return m, part.To, err
	})
}

// through takes a range part by part; work says where to go on. It stops between two transactions
// when ctx ends, and never within one.
func (a *archiver) through(ctx context.Context, step string, all store.Range, stride int64,
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
			a.rest(ctx)
		}
	}
	return nil
}

// rest leaves the disk and the processor to the service for a moment.
func (a *archiver) rest(ctx context.Context) {
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
