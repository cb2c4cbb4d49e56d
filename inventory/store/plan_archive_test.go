package store

import (
	"context"

	"holdfast/db/inventorydb"
)

// plannedArchive calls the queries of the archive. No request waits for the queries that move rows, but these share the
// tables with requests. The queries that read the archive are part of requests.
func plannedArchive(f figures) map[string]func(context.Context, *inventorydb.Queries, inventorydb.DBTX) error {
	type db = inventorydb.DBTX
	type q = *inventorydb.Queries
	const pages, most = 100, 5000
	return map[string]func(context.Context, q, db) error{
		"ArchivedReservations": func(ctx context.Context, q q, db db) error {
			_, err := q.ArchivedReservations(ctx, db, f.reservations)
			return err
		},
		"ArchivedEntriesOfProduct": func(ctx context.Context, q q, db db) error {
			_, err := q.ArchivedEntriesOfProduct(ctx, db, inventorydb.ArchivedEntriesOfProductParams{
				ProductID: f.hot, LastLocation: 1 << 30,
			})
			return err
		},
		"BeginArchiving": func(ctx context.Context, q q, db db) error { return q.BeginArchiving(ctx, db) },
		"Pages":          func(ctx context.Context, q q, db db) error { _, err := q.Pages(ctx, db); return err },
		"PickReservations": func(ctx context.Context, q q, db db) error {
			_, err := q.PickReservations(ctx, db, inventorydb.PickReservationsParams{
				ToPage: pages, ConfirmedBefore: f.now, FinishedBefore: f.now, Most: most,
			})
			return err
		},
		"CopyReservations": func(ctx context.Context, q q, db db) error {
			_, err := q.CopyReservations(ctx, db, f.reservations)
			return err
		},
		"CopyReservationLines": func(ctx context.Context, q q, db db) error {
			_, err := q.CopyReservationLines(ctx, db, f.reservations)
			return err
		},
		"DeleteReservationLines": func(ctx context.Context, q q, db db) error {
			_, err := q.DeleteReservationLines(ctx, db, f.reservations)
			return err
		},
		"DeleteReservations": func(ctx context.Context, q q, db db) error {
			_, err := q.DeleteReservations(ctx, db, f.reservations)
			return err
		},
		"CopyEntries": func(ctx context.Context, q q, db db) error {
			_, err := q.CopyEntries(ctx, db, inventorydb.CopyEntriesParams{
				AfterItem: 1000, LastItem: 3000, Most: most, FinishedBefore: f.now,
			})
			return err
		},
		"DeleteEntries": func(ctx context.Context, q q, db db) error {
			_, err := q.DeleteEntries(ctx, db, inventorydb.DeleteEntriesParams{ItemIds: f.items, LedgerIds: f.items})
			return err
		},
		"DeletePublishedEvents": func(ctx context.Context, q q, db db) error {
			_, err := q.DeletePublishedEvents(ctx, db, inventorydb.DeletePublishedEventsParams{
				ToPage: pages, Before: f.now, Most: most,
			})
			return err
		},
		"DeleteProcessedEvents": func(ctx context.Context, q q, db db) error {
			_, err := q.DeleteProcessedEvents(ctx, db, inventorydb.DeleteProcessedEventsParams{
				ToPage: pages, Before: f.now, Most: most,
			})
			return err
		},
		"MoveHorizon": func(ctx context.Context, q q, db db) error {
			return q.MoveHorizon(ctx, db, inventorydb.MoveHorizonParams{Name: "outbox", DeletedBefore: f.now})
		},
		"CountFinished": func(ctx context.Context, q q, db db) error {
			_, err := q.CountFinished(ctx, db, inventorydb.CountFinishedParams{
				ToPage: pages, ConfirmedBefore: f.now, FinishedBefore: f.now,
			})
			return err
		},
		"CountEntries": func(ctx context.Context, q q, db db) error {
			_, err := q.CountEntries(ctx, db, inventorydb.CountEntriesParams{
				AfterItem: 1000, LastItem: 1100, FinishedBefore: f.now, ConfirmedBefore: f.now,
			})
			return err
		},
		"CountPublishedEvents": func(ctx context.Context, q q, db db) error {
			_, err := q.CountPublishedEvents(ctx, db, inventorydb.CountPublishedEventsParams{ToPage: pages, Before: f.now})
			return err
		},
		"CountProcessedEvents": func(ctx context.Context, q q, db db) error {
			_, err := q.CountProcessedEvents(ctx, db, inventorydb.CountProcessedEventsParams{ToPage: pages, Before: f.now})
			return err
		},
	}
}
