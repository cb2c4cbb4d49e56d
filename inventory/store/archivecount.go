package store

import (
	"context"
	"fmt"

	"holdfast/db/inventorydb"
)

// CountReservations counts the rows that ArchiveReservations would move, and writes nothing.
func (s *Store) CountReservations(ctx context.Context, c Cutoffs, pages Range) (Moved, error) {
	n, err := s.q.CountFinished(ctx, s.pool, inventorydb.CountFinishedParams{
		FromPage: pages.From, ToPage: pages.To, ConfirmedBefore: c.Confirmed, FinishedBefore: c.Finished,
	})
	if err != nil {
		return Moved{}, fmt.Errorf("count finished reservations: %w", err)
	}
	return Moved{
		Confirmed:  n.Confirmed,
		Released:   n.Released,
		Expired:    n.Expired,
		Tombstones: n.Tombstones,
		Lines:      n.Lines,
	}, nil
}

// CountEntries counts the rows that ArchiveEntries would move once the finished reservations are archived.
func (s *Store) CountEntries(ctx context.Context, c Cutoffs, items Range) (m Moved, err error) {
	m.Entries, err = s.q.CountEntries(ctx, s.pool, inventorydb.CountEntriesParams{
		AfterItem: items.From - 1, LastItem: items.To - 1, FinishedBefore: c.Finished, ConfirmedBefore: c.Confirmed,
	})
	return m, counted("entries", err)
}

// CountEvents counts the rows that DeleteEvents would delete.
func (s *Store) CountEvents(ctx context.Context, c Cutoffs, pages Range) (m Moved, err error) {
	m.Events, err = s.q.CountPublishedEvents(ctx, s.pool, inventorydb.CountPublishedEventsParams{
		FromPage: pages.From, ToPage: pages.To, Before: c.Events,
	})
	return m, counted("published events", err)
}

// CountProcessed counts the rows that DeleteProcessed would delete.
func (s *Store) CountProcessed(ctx context.Context, c Cutoffs, pages Range) (m Moved, err error) {
	m.Processed, err = s.q.CountProcessedEvents(ctx, s.pool, inventorydb.CountProcessedEventsParams{
		FromPage: pages.From, ToPage: pages.To, Before: c.Events,
	})
	return m, counted("processed events", err)
}

// CountImports counts the rows that DeleteImports would delete.
func (s *Store) CountImports(ctx context.Context, c Cutoffs) (m Moved, err error) {
	imports, err := s.q.CountImports(ctx, s.pool, c.Imports)
	if err != nil {
		return m, counted("imports", err)
	}
	operations, err := s.q.CountOperations(ctx, s.pool, c.Imports)
	return Moved{Imports: imports + operations}, counted("named operations", err)
}

func counted(what string, err error) error {
	if err != nil {
		return fmt.Errorf("count %s: %w", what, err)
	}
	return nil
}
