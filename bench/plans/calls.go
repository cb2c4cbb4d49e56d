package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/db/inventorydb"
)

// sample holds arguments of requests: n existing ones of each kind, spread over the tables.
type sample struct {
	now                      time.Time
	hot                      uuid.UUID
	products, pending, ended []uuid.UUID // ended are confirmed
	operations               []uuid.UUID // that ended reservations
	items, versions          []int64     // of products, one each
	heldItems                []int64     // of pending
	lastEntry                int64
}

// take reads a sample from the database.
func take(ctx context.Context, pool *pgxpool.Pool, o options, n int) (s sample, err error) {
	every := func(count int64) int64 { return max(count/int64(n), 1) }
	err = pool.QueryRow(ctx, `
		SELECT now(), md5('product 0')::uuid, (SELECT max(ledger_id) FROM stock_ledger),
			(SELECT array_agg(md5('product ' || 1 + k * $2)::uuid) FROM generate_series(1, $1) k)`,
		n, every(o.products-1)).
		Scan(&s.now, &s.hot, &s.lastEntry, &s.products)
	if err != nil {
		return s, fmt.Errorf("take a sample: %w", err)
	}

	err = pool.QueryRow(ctx, `
		SELECT array_agg(item_id), array_agg(version)
		FROM (
			SELECT DISTINCT ON (product_id) item_id, version
			FROM items
			WHERE product_id = ANY ($1)
			ORDER BY product_id, item_id
		) i`, s.products).
		Scan(&s.items, &s.versions)
	if err != nil {
		return s, fmt.Errorf("take a sample of items: %w", err)
	}

	err = pool.QueryRow(ctx, `
		SELECT array_agg(reservation_id), array_agg(item_id)
		FROM (
			SELECT reservation_id, min(item_id) AS item_id
			FROM reservation_lines
			WHERE open
			GROUP BY 1
			ORDER BY md5(reservation_id::text)
			LIMIT $1
		) l`, n).
		Scan(&s.pending, &s.heldItems)
	if err != nil {
		return s, fmt.Errorf("take a sample of pending reservations: %w", err)
	}

	err = pool.QueryRow(ctx, `
		SELECT array_agg(md5('reservation ' || k * $2)::uuid), array_agg(md5('resolve ' || k * $2)::uuid)
		FROM generate_series(1, $1) k`, n, max(every(o.reservations)/10*10, 10)).
		Scan(&s.ended, &s.operations)
	if err != nil {
		return s, fmt.Errorf("take a sample of ended reservations: %w", err)
	}
	return s, nil
}

func fresh(n int) []uuid.UUID {
	out := make([]uuid.UUID, n)
	for i := range out {
		out[i] = uuid.New()
	}
	return out
}

type (
	db = inventorydb.DBTX
	q  = *inventorydb.Queries
	// call is one query with its arguments.
	call struct {
		name string
		on   string // describes the arguments
		one  bool   // the query has no batch
		run  func(context.Context, q, db) error
	}
)

const page = 51

// calls are the queries of requests, in the order in which a request uses them.
func calls(s sample) []call {
	n := len(s.products)
	numbers, small := slices.Repeat([]int64{1}, n), slices.Repeat([]int32{1}, n)
	times := slices.Repeat([]time.Time{s.now}, n)
	texts := func(t string) []string { return slices.Repeat([]string{t}, n) }
	m := len(s.pending)
	return []call{
		{"LockItems", "products", false, func(ctx context.Context, q q, db db) error {
			_, err := q.LockItems(ctx, db, inventorydb.LockItemsParams{ProductIds: s.products})
			return err
		}},
		{"LockItems", "the hot product", true, func(ctx context.Context, q q, db db) error {
			_, err := q.LockItems(ctx, db, inventorydb.LockItemsParams{ProductIds: []uuid.UUID{s.hot}})
			return err
		}},
		{"LockItems", "reservations", false, func(ctx context.Context, q q, db db) error {
			_, err := q.LockItems(ctx, db, inventorydb.LockItemsParams{ReservationIds: s.pending})
			return err
		}},
		{"LockItems", "products and reservations", false, func(ctx context.Context, q q, db db) error {
			_, err := q.LockItems(ctx, db, inventorydb.LockItemsParams{
				ProductIds:     s.products,
				ReservationIds: s.pending,
			})
			return err
		}},
		{"LockProducts", "", false, func(ctx context.Context, q q, db db) error {
			return q.LockProducts(ctx, db, inventorydb.LockProductsParams{ProductIds: s.products})
		}},
		{"EnsureItems", "existing", false, func(ctx context.Context, q q, db db) error {
			return q.EnsureItems(ctx, db, inventorydb.EnsureItemsParams{ProductIds: s.products, Locations: texts("l1")})
		}},
		{"EnsureItems", "new", false, func(ctx context.Context, q q, db db) error {
			return q.EnsureItems(ctx, db, inventorydb.EnsureItemsParams{ProductIds: fresh(n), Locations: texts("l1")})
		}},
		{"LockReservations", "new", false, func(ctx context.Context, q q, db db) error {
			_, err := q.LockReservations(ctx, db, inventorydb.LockReservationsParams{ReservationIds: fresh(n)})
			return err
		}},
		{"LockReservations", "pending", false, func(ctx context.Context, q q, db db) error {
			_, err := q.LockReservations(ctx, db, inventorydb.LockReservationsParams{ReservationIds: s.pending})
			return err
		}},
		{"LockReservations", "new, by owner too", false, func(ctx context.Context, q q, db db) error {
			_, err := q.LockReservations(ctx, db, inventorydb.LockReservationsParams{
				ReservationIds: fresh(n),
				OwnerKinds:     texts("order"),
				OwnerIds:       fresh(n),
				Numbers:        small,
			})
			return err
		}},
		{"ArchivedReservations", "new", false, func(ctx context.Context, q q, db db) error {
			_, err := q.ArchivedReservations(ctx, db, fresh(n))
			return err
		}},
		{"LinesOfReservations", "pending", false, func(ctx context.Context, q q, db db) error {
			_, err := q.LinesOfReservations(ctx, db, s.pending)
			return err
		}},
		{"EntriesOfOperations", "existing", false, func(ctx context.Context, q q, db db) error {
			_, err := q.EntriesOfOperations(ctx, db, s.operations)
			return err
		}},
		{"EntriesOfOperations", "new", false, func(ctx context.Context, q q, db db) error {
			_, err := q.EntriesOfOperations(ctx, db, fresh(n))
			return err
		}},
		{"Clock", "", false, func(ctx context.Context, q q, db db) error {
			_, err := q.Clock(ctx, db, inventorydb.ClockParams{ProductIds: s.products})
			return err
		}},
		{"UpdateItems", "existing", false, func(ctx context.Context, q q, db db) error {
			_, err := q.UpdateItems(ctx, db, inventorydb.UpdateItemsParams{
				Waitings:   slices.Repeat([]int64{0}, n),
				ItemIds:    s.items,
				Versions:   s.versions,
				Quantities: slices.Repeat([]int64{5000}, n),
				Reserveds:  numbers,
				Thresholds: numbers,
				Deleteds:   make([]bool, n),
			})
			return err
		}},
		{"InsertReservations", "new", false, func(ctx context.Context, q q, db db) error {
			_, err := q.InsertReservations(ctx, db, inventorydb.InsertReservationsParams{
				ReservationIds:    fresh(n),
				OwnerKinds:        texts("order"),
				OwnerIds:          fresh(n),
				Numbers:           small,
				RequestHashes:     slices.Repeat([][]byte{make([]byte, 32)}, n),
				Statuses:          texts("pending"),
				ExpiresAts:        times,
				WorkflowIds:       texts("order-1"),
				Versions:          numbers,
				Actors:            texts("plans"),
				Reasons:           texts(""),
				ReserveOperations: fresh(n),
				ResolveOperations: fresh(n),
				CreatedAts:        times,
				ResolvedAts:       times,
			})
			return err
		}},
		{"UpdateReservations", "pending", false, func(ctx context.Context, q q, db db) error {
			_, err := q.UpdateReservations(ctx, db, inventorydb.UpdateReservationsParams{
				ReservationIds:    s.pending,
				Versions:          slices.Repeat([]int64{1}, m),
				VersionsAfter:     slices.Repeat([]int64{2}, m),
				Statuses:          slices.Repeat([]string{"released"}, m),
				ExpiresAts:        slices.Repeat([]time.Time{s.now}, m),
				Actors:            slices.Repeat([]string{"plans"}, m),
				Reasons:           slices.Repeat([]string{""}, m),
				ResolveOperations: fresh(m),
				ResolvedAts:       slices.Repeat([]time.Time{s.now}, m),
			})
			return err
		}},
		{"OverdueReservations", "items", false, func(ctx context.Context, q q, db db) error {
			_, err := q.OverdueReservations(ctx, db, inventorydb.OverdueReservationsParams{
				ItemIds: s.heldItems, Limits: slices.Repeat([]int32{1}, m), Now: s.now,
			})
			return err
		}},
		{"CloseReservationLines", "pending", false, func(ctx context.Context, q q, db db) error {
			_, err := q.CloseReservationLines(ctx, db, s.pending)
			return err
		}},
		{"InsertReservationLines", "new", false, func(ctx context.Context, q q, db db) error {
			_, err := q.InsertReservationLines(ctx, db, inventorydb.InsertReservationLinesParams{
				ReservationIds: fresh(n),
				LineNos:        small,
				ItemIds:        s.items,
				Quantities:     numbers,
				Returneds:      make([]int64, n),
				Opens:          slices.Repeat([]bool{true}, n),
				ExpiresAts:     times,
			})
			return err
		}},
		{"UpdateReservationLines", "existing", false, func(ctx context.Context, q q, db db) error {
			_, err := q.UpdateReservationLines(ctx, db, inventorydb.UpdateReservationLinesParams{
				ReservationIds: s.pending,
				LineNos:        slices.Repeat([]int32{1}, m),
				ItemIds:        s.heldItems,
				Returneds:      slices.Repeat([]int64{1}, m),
			})
			return err
		}},
		{"InsertEntries", "new", false, func(ctx context.Context, q q, db db) error {
			_, err := q.InsertEntries(ctx, db, inventorydb.InsertEntriesParams{
				CreatedAt:      s.now,
				OperationIds:   fresh(n),
				ItemIds:        s.items,
				Lines:          small,
				Kinds:          texts("reserved"),
				QuantityDeltas: numbers,
				ReservedDeltas: numbers,
				QuantityAfters: numbers,
				ReservedAfters: numbers,
				VersionAfters:  numbers,
				ReservationIds: fresh(n),
				Actors:         texts("plans"),
				Reasons:        texts(""),
			})
			return err
		}},
		{"InsertEvents", "new", false, func(ctx context.Context, q q, db db) error {
			_, err := q.InsertEvents(ctx, db, inventorydb.InsertEventsParams{
				SchemaVersion:     1,
				CreatedAt:         s.now,
				EventIds:          fresh(n),
				AggregateTypes:    texts("reservation"),
				AggregateIds:      fresh(n),
				AggregateVersions: numbers,
				EventTypes:        texts("inventory.reserved"),
				Payloads:          texts("{}"),
				Headers:           texts("{}"),
			})
			return err
		}},
		{"StockOfProducts", "products", false, func(ctx context.Context, q q, db db) error {
			_, err := q.StockOfProducts(ctx, db, s.products)
			return err
		}},
	}
}

// reads are the queries of lists and administration, which have no batch.
func reads(s sample) []call {
	const all = 1 << 30
	ledgerPage := func(product uuid.UUID, before int64) func(context.Context, q, db) error {
		return func(ctx context.Context, q q, db db) error {
			_, err := q.LedgerPage(ctx, db, inventorydb.LedgerPageParams{
				ProductID:     product,
				FirstLocation: -all,
				LastLocation:  all,
				BeforeEntry:   before,
				PageSize:      page,
			})
			return err
		}
	}
	return []call{
		{"GetReservation", "pending", true, func(ctx context.Context, q q, db db) error {
			_, err := q.GetReservation(ctx, db, s.pending[0])
			return err
		}},
		{"ReservationLineStock", "pending", true, func(ctx context.Context, q q, db db) error {
			_, err := q.ReservationLineStock(ctx, db, s.pending[0])
			return err
		}},
		{"ProductPage", "in the middle", true, func(ctx context.Context, q q, db db) error {
			_, err := q.ProductPage(ctx, db, inventorydb.ProductPageParams{
				AfterProduct: uuid.MustParse("80000000-0000-0000-0000-000000000000"),
				PageSize:     page,
			})
			return err
		}},
		{"ProductHasItems", "the hot product", true, func(ctx context.Context, q q, db db) error {
			_, err := q.ProductHasItems(ctx, db, s.hot)
			return err
		}},
		{"FindLocation", "", true, func(ctx context.Context, q q, db db) error {
			_, err := q.FindLocation(ctx, db, "l1")
			return err
		}},
		{"Locations", "", true, func(ctx context.Context, q q, db db) error {
			_, err := q.Locations(ctx, db)
			return err
		}},
		{"LowStockPage", "all locations", true, func(ctx context.Context, q q, db db) error {
			_, err := q.LowStockPage(ctx, db, inventorydb.LowStockPageParams{
				AfterLocation: 3,
				AfterItem:     100,
				LastLocation:  all,
				PageSize:      page,
			})
			return err
		}},
		{"HoldPage", "the hot product", true, func(ctx context.Context, q q, db db) error {
			_, err := q.HoldPage(ctx, db, inventorydb.HoldPageParams{
				ProductID:      s.hot,
				AfterExpiresAt: s.now,
				PageSize:       page,
			})
			return err
		}},
		{"LedgerPage", "the hot product, first page", true, ledgerPage(s.hot, s.lastEntry+1)},
		{"LedgerPage", "the hot product, in the middle", true, ledgerPage(s.hot, s.lastEntry/2)},
		{"LedgerPage", "another product", true, ledgerPage(s.products[0], s.lastEntry+1)},
		{"ArchivedEntriesOfProduct", "the hot product", true, func(ctx context.Context, q q, db db) error {
			_, err := q.ArchivedEntriesOfProduct(ctx, db, inventorydb.ArchivedEntriesOfProductParams{
				ProductID:     s.hot,
				FirstLocation: -all,
				LastLocation:  all,
			})
			return err
		}},
		{"GetImport", "new", true, func(ctx context.Context, q q, db db) error {
			_, err := q.GetImport(ctx, db, uuid.New())
			return err
		}},
		{"SettleImportRows", "new", true, func(ctx context.Context, q q, db db) error {
			_, err := q.SettleImportRows(ctx, db, inventorydb.SettleImportRowsParams{
				ImportID:    uuid.New(),
				ContentHash: make([]byte, 32),
				SettledRows: []int32{1, 2, 3},
			})
			return err
		}},
		{"UpsertLocations", "one", true, func(ctx context.Context, q q, db db) error {
			return q.UpsertLocations(ctx, db, inventorydb.UpsertLocationsParams{
				Codes:      []string{"l1"},
				Names:      []string{"x"},
				Priorities: []int32{1},
			})
		}},
	}
}
