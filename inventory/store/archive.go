package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"holdfast/db/inventorydb"
)

// Cutoffs are the times, by the database's clock, before which rows must have ended to be archived or deleted.
type Cutoffs struct {
	Finished  time.Time // released and expired reservations, tombstones, and entries of the ledger
	Confirmed time.Time // confirmed reservations
	Events    time.Time // published events, and the inbox
	Imports   time.Time // outcomes of import rows, and remembered operations
}

// Range is a part of a table: pages of the table or ids of items, including From and excluding To.
type Range struct{ From, To int64 }

// Moved counts rows.
type Moved struct {
	Confirmed, Released, Expired, Tombstones int64 // reservations
	Lines                                    int64
	Entries                                  int64 // of the ledger
	Events, Processed, Imports               int64 // deleted
}

// Reservations returns the number of reservations of all kinds.
func (m Moved) Reservations() int64 { return m.Confirmed + m.Released + m.Expired + m.Tombstones }

// Rows returns the number of rows of all kinds.
func (m Moved) Rows() int64 {
	return m.Reservations() + m.Lines + m.Entries + m.Events + m.Processed + m.Imports
}

// Add returns the sum.
func (m Moved) Add(n Moved) Moved {
	return Moved{
		Confirmed:  m.Confirmed + n.Confirmed,
		Released:   m.Released + n.Released,
		Expired:    m.Expired + n.Expired,
		Tombstones: m.Tombstones + n.Tombstones,
		Lines:      m.Lines + n.Lines,
		Entries:    m.Entries + n.Entries,
		Events:     m.Events + n.Events,
		Processed:  m.Processed + n.Processed,
		Imports:    m.Imports + n.Imports,
	}
}

// Extent has the whole range of each table that is archived range by range.
type Extent struct{ Reservations, Events, Processed, Items Range }

// Extent reads the extent of the tables and the database's clock.
func (s *Store) Extent(ctx context.Context) (e Extent, now time.Time, err error) {
	p, err := s.q.Pages(ctx, s.pool)
	if err == nil {
		var clock inventorydb.ClockRow
		clock, err = s.q.Clock(ctx, s.pool, inventorydb.ClockParams{})
		now = clock.At
	}
	if err != nil {
		return e, now, fmt.Errorf("measure the tables: %w", err)
	}
	return Extent{
		Reservations: Range{0, int64(p.Reservations)},
		Events:       Range{0, int64(p.Outbox)},
		Processed:    Range{0, int64(p.ProcessedEvents)},
		Items:        Range{1, p.LastItem + 1},
	}, now, nil
}

// batch runs one transaction of the archive. Each transaction is complete in itself: if the process ends before or
// after it, the next run continues from the state in the database.
func (s *Store) batch(ctx context.Context, what string, work func(pgx.Tx) error) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := s.q.BeginArchiving(ctx, tx); err != nil {
			return err
		}
		return work(tx)
	})
	if err != nil {
		return fmt.Errorf("archive %s: %w", what, err)
	}
	return nil
}

// ArchiveReservations moves up to most finished reservations that lie on some pages, with their lines.
func (s *Store) ArchiveReservations(ctx context.Context, c Cutoffs, pages Range, most int) (m Moved, err error) {
	err = s.batch(ctx, "reservations", func(tx pgx.Tx) error {
		ids, err := s.q.PickReservations(ctx, tx, inventorydb.PickReservationsParams{
			FromPage:        pages.From,
			ToPage:          pages.To,
			ConfirmedBefore: c.Confirmed,
			FinishedBefore:  c.Finished,
			Most:            size(most),
		})
		if err != nil || len(ids) == 0 {
			return err
		}

		copied, err := s.q.CopyReservations(ctx, tx, ids)
		if err != nil {
			return err
		}
		for _, r := range copied {
			switch {
			case r.Tombstone:
				m.Tombstones++
			case r.Status == "confirmed":
				m.Confirmed++
			case r.Status == "released":
				m.Released++
			default:
				m.Expired++
			}
		}

		if m.Lines, err = s.q.CopyReservationLines(ctx, tx, ids); err != nil {
			return err
		}
		return s.deleteCopied(ctx, tx, ids, m)
	})
	if err != nil {
		return Moved{}, err
	}
	return m, nil
}

// deleteCopied deletes the reservations and lines that were copied. The database checks that the archive has an equal
// copy of each row; the counts check the statements.
func (s *Store) deleteCopied(ctx context.Context, tx pgx.Tx, ids []uuid.UUID, m Moved) error {
	lines, err := s.q.DeleteReservationLines(ctx, tx, ids)
	if err != nil {
		return err
	}
	reservations, err := s.q.DeleteReservations(ctx, tx, ids)
	if err != nil {
		return err
	}
	if lines != m.Lines || reservations != m.Reservations() || reservations != int64(len(ids)) {
		return fmt.Errorf("%d reservations with %d lines were copied, but %d reservations with %d lines deleted",
			m.Reservations(), m.Lines, reservations, lines)
	}
	return nil
}

// ArchiveEntries moves up to most entries of the items in a range. Of each item it moves the oldest entries, up to the
// first entry that is too young or belongs to a reservation that is not archived. It returns the item to continue with,
// or the range's end if no entry is left in the range. The database adds the entries to their items' balances.
func (s *Store) ArchiveEntries(ctx context.Context, c Cutoffs, items Range, most int) (m Moved, next int64, err error) {
	next = items.To
	err = s.batch(ctx, "the ledger", func(tx pgx.Tx) error {
		rows, err := s.q.CopyEntries(ctx, tx, inventorydb.CopyEntriesParams{
			AfterItem: items.From - 1, LastItem: items.To - 1, Most: size(most), FinishedBefore: c.Finished,
		})
		if err != nil || len(rows) == 0 {
			return err
		}

		var gone inventorydb.DeleteEntriesParams
		last := int64(0)
		for _, r := range rows {
			gone.ItemIds = append(gone.ItemIds, r.ItemID)
			gone.LedgerIds = append(gone.LedgerIds, r.LedgerID)
			last = max(last, r.ItemID)
		}
		deleted, err := s.q.DeleteEntries(ctx, tx, gone)
		if err != nil {
			return err
		}
		if deleted != int64(len(rows)) {
			return fmt.Errorf("%d entries were copied, but %d deleted", len(rows), deleted)
		}
		if m.Entries = deleted; len(rows) == most {
			next = last // the last item may have more entries
		}
		return nil
	})
	if err != nil {
		return Moved{}, items.From, err
	}
	return m, next, nil
}

// DeleteEvents deletes up to most published events that lie on some pages.
func (s *Store) DeleteEvents(ctx context.Context, c Cutoffs, pages Range, most int) (m Moved, err error) {
	err = s.batch(ctx, "events", func(tx pgx.Tx) error {
		m.Events, err = s.q.DeletePublishedEvents(ctx, tx, inventorydb.DeletePublishedEventsParams{
			FromPage: pages.From, ToPage: pages.To, Before: c.Events, Most: size(most),
		})
		return s.moveHorizon(ctx, tx, err, "outbox", m.Events, c.Events)
	})
	return m, err
}

// DeleteProcessed deletes up to most rows of the inbox that lie on some pages.
func (s *Store) DeleteProcessed(ctx context.Context, c Cutoffs, pages Range, most int) (m Moved, err error) {
	err = s.batch(ctx, "processed events", func(tx pgx.Tx) error {
		m.Processed, err = s.q.DeleteProcessedEvents(ctx, tx, inventorydb.DeleteProcessedEventsParams{
			FromPage: pages.From, ToPage: pages.To, Before: c.Events, Most: size(most),
		})
		return s.moveHorizon(ctx, tx, err, "processed_events", m.Processed, c.Events)
	})
	return m, err
}

// DeleteImports deletes up to most remembered imports and named operations.
func (s *Store) DeleteImports(ctx context.Context, c Cutoffs, most int) (m Moved, err error) {
	err = s.batch(ctx, "imports", func(tx pgx.Tx) error {
		m.Imports, err = s.q.DeleteImports(ctx, tx, inventorydb.DeleteImportsParams{
			Before: c.Imports, Most: size(most),
		})
		if err == nil && m.Imports < int64(most) {
			var operations int64
			operations, err = s.q.DeleteOperations(ctx, tx, inventorydb.DeleteOperationsParams{
				Before: c.Imports, Most: size(most) - size(int(m.Imports)),
			})
			m.Imports += operations
		}
		return s.moveHorizon(ctx, tx, err, "stock_imports", m.Imports, c.Imports)
	})
	return m, err
}

// moveHorizon records up to which time rows were deleted. It passes on the error of the deletion, if there is one.
func (s *Store) moveHorizon(
	ctx context.Context, tx pgx.Tx, err error, name string, deleted int64, before time.Time,
) error {
	if err != nil || deleted == 0 {
		return err
	}
	return s.q.MoveHorizon(ctx, tx, inventorydb.MoveHorizonParams{Name: name, DeletedBefore: before})
}
