package store

import (
	"context"
	"slices"
	"time"

	"holdfast/db/inventorydb"
)

// plannedBackorders calls the queries of backorders and of incoming stock.
func plannedBackorders(f figures) map[string]func(context.Context, *inventorydb.Queries, inventorydb.DBTX) error {
	type db = inventorydb.DBTX
	type q = *inventorydb.Queries
	n := len(f.products)
	numbers := slices.Repeat([]int64{1}, n)
	small := slices.Repeat([]int32{1}, n)
	texts := slices.Repeat([]string{"order"}, n)
	times := slices.Repeat([]time.Time{f.now}, n)
	flags := slices.Repeat([]bool{true}, n)
	return map[string]func(context.Context, q, db) error{
		"Backorders": func(ctx context.Context, q q, db db) error {
			_, err := q.Backorders(ctx, db, inventorydb.BackordersParams{
				BackorderIds: f.backorders, OwnerKinds: texts, OwnerIds: f.reservations, Numbers: small,
			})
			return err
		},
		"LinesOfBackorders": func(ctx context.Context, q q, db db) error {
			_, err := q.LinesOfBackorders(ctx, db, f.backorders)
			return err
		},
		"WaitingOfProducts": func(ctx context.Context, q q, db db) error {
			_, err := q.WaitingOfProducts(ctx, db, f.products)
			return err
		},
		"ProductsWaitedForWith": func(ctx context.Context, q q, db db) error {
			_, err := q.ProductsWaitedForWith(ctx, db, f.products)
			return err
		},
		"WaitingPage": func(ctx context.Context, q q, db db) error {
			_, err := q.WaitingPage(ctx, db, inventorydb.WaitingPageParams{
				ProductIds: f.products, Available: numbers, PageSize: waitingPage,
			})
			return err
		},
		"OverdueBackorders": func(ctx context.Context, q q, db db) error {
			_, err := q.OverdueBackorders(ctx, db, inventorydb.OverdueBackordersParams{
				ProductIds: f.products, Now: f.now, Most: maxOverdueBackorders,
			})
			return err
		},
		"InsertBackorders": func(ctx context.Context, q q, db db) error {
			_, err := q.InsertBackorders(ctx, db, inventorydb.InsertBackordersParams{
				BackorderIds:      f.reservations,
				OwnerKinds:        texts,
				OwnerIds:          f.reservations,
				Numbers:           small,
				RequestHashes:     slices.Repeat([][]byte{{}}, n),
				Statuses:          texts,
				Deadlines:         times,
				Ttls:              numbers,
				Strategies:        texts,
				WorkflowIds:       texts,
				Versions:          numbers,
				Actors:            texts,
				Reasons:           texts,
				PlaceOperations:   f.operations,
				ResolveOperations: f.operations,
				CorrelationIds:    texts,
				CreatedAts:        times,
				ResolvedAts:       times,
				Orders:            small,
			})
			return err
		},
		"InsertBackorderLines": func(ctx context.Context, q q, db db) error {
			_, err := q.InsertBackorderLines(ctx, db, inventorydb.InsertBackorderLinesParams{
				BackorderIds: f.backorders, LineNos: small, ProductIds: f.products, Quantities: numbers,
			})
			return err
		},
		"UpdateBackorders": func(ctx context.Context, q q, db db) error {
			_, err := q.UpdateBackorders(ctx, db, inventorydb.UpdateBackordersParams{
				BackorderIds:      f.backorders,
				Versions:          numbers,
				VersionsAfter:     numbers,
				Statuses:          texts,
				Deadlines:         times,
				Actors:            texts,
				Reasons:           texts,
				ResolveOperations: f.operations,
				ResolvedAts:       times,
			})
			return err
		},
		"UpdateBackorderLines": func(ctx context.Context, q q, db db) error {
			_, err := q.UpdateBackorderLines(ctx, db, inventorydb.UpdateBackorderLinesParams{
				BackorderIds: f.backorders, Deadlines: times, Waitings: flags,
			})
			return err
		},
		"GetBackorder": func(ctx context.Context, q q, db db) error {
			_, err := q.GetBackorder(ctx, db, f.backorders[0])
			return err
		},
		"BackorderQueue": func(ctx context.Context, q q, db db) error {
			_, err := q.BackorderQueue(ctx, db, f.backorders[0])
			return err
		},
		"ExpectedStock": func(ctx context.Context, q q, db db) error {
			_, err := q.ExpectedStock(ctx, db, f.products)
			return err
		},
		"BackorderPage": func(ctx context.Context, q q, db db) error {
			_, err := q.BackorderPage(ctx, db, inventorydb.BackorderPageParams{
				ProductID: f.hot, AfterPosition: 100, PageSize: page,
			})
			return err
		},
		"BackordersUpTo": func(ctx context.Context, q q, db db) error {
			_, err := q.BackordersUpTo(ctx, db, inventorydb.BackordersUpToParams{ProductID: f.hot, Position: 100})
			return err
		},
		"ProductsToGrant": func(ctx context.Context, q q, db db) error {
			_, err := q.ProductsToGrant(ctx, db, inventorydb.ProductsToGrantParams{AfterItem: 10, Most: page})
			return err
		},
		"LockIncoming": func(ctx context.Context, q q, db db) error {
			_, err := q.LockIncoming(ctx, db, f.incoming)
			return err
		},
		"InsertIncoming": func(ctx context.Context, q q, db db) error {
			_, err := q.InsertIncoming(ctx, db, inventorydb.InsertIncomingParams{
				At:             f.now,
				IncomingIds:    f.operations,
				ProductIds:     f.products,
				Locations:      texts,
				Quantities:     numbers,
				Receiveds:      numbers,
				ExpectedAts:    times,
				ReferenceTexts: texts,
				Statuses:       texts,
				Versions:       numbers,
				Actors:         texts,
			})
			return err
		},
		"UpdateIncoming": func(ctx context.Context, q q, db db) error {
			_, err := q.UpdateIncoming(ctx, db, inventorydb.UpdateIncomingParams{
				At:             f.now,
				IncomingIds:    f.incoming,
				Versions:       numbers,
				VersionsAfter:  numbers,
				Locations:      texts,
				Quantities:     numbers,
				Receiveds:      numbers,
				ExpectedAts:    times,
				ReferenceTexts: texts,
				Statuses:       texts,
				Actors:         texts,
			})
			return err
		},
		"GetIncoming": func(ctx context.Context, q q, db db) error {
			_, err := q.GetIncoming(ctx, db, f.incoming[0])
			return err
		},
		"IncomingPage": func(ctx context.Context, q q, db db) error {
			_, err := q.IncomingPage(ctx, db, inventorydb.IncomingPageParams{
				ProductID: f.hot, AfterExpectedAt: f.now, PageSize: page,
			})
			return err
		},
	}
}
