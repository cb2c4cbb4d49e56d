package store

import (
	"context"
	"errors"
	"maps"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"holdfast/db/inventorydb"
	"holdfast/internal/database"
	"holdfast/inventory/stock"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// scanned lists the queries that may read whole tables, each with the reason why no request waits for it.
var scanned = map[string]string{
	"StockTotals":               "computed outside of requests, for the remembered statistics",
	"MostReservedProducts":      "computed outside of requests, for the remembered statistics",
	"AllowReset":                "reads no table; only the reset of example data",
	"WipeInventory":             "only the reset of example data",
	"CountBeside":               "only the reset of example data",
	"DeleteImports":             "one row per imported file, and the archive runs it once a day",
	"DeleteOperations":          "one row per operator's change, and the archive runs it once a day",
	"CountOperations":           "one row per operator's change, and the archive runs it once a day",
	"CountOpenReorderProposals": "an index that has only the open proposals, at a scrape of the metrics",
	"CountImports":              "one row per imported file, and the archive runs it once a day",
	"LowStockBelowPage":         "one row per item, for operators; an index would change with every reserve",
	"PendingReservationPage":    "one row per item, for operators; a look-up per item with holds",
	"OverduePage":               "one row per item, for operators and once a minute; a look-up per item with holds",
}

// page is the number of rows that the lists request.
const page = 51

// planned calls every other query with the arguments of a busy service: a batch of twenty requests for the writes, one
// page in the middle of a list for the reads.
func planned(f figures) map[string]func(context.Context, *inventorydb.Queries, inventorydb.DBTX) error {
	type db = inventorydb.DBTX
	type q = *inventorydb.Queries
	n := len(f.products)
	numbers := slices.Repeat([]int64{1}, n)
	small := slices.Repeat([]int32{1}, n)
	texts := slices.Repeat([]string{"order"}, n)
	times := slices.Repeat([]time.Time{f.now}, n)
	const all = math.MaxInt32
	return map[string]func(context.Context, q, db) error{
		"LocationExists": func(ctx context.Context, q q, db db) error {
			_, err := q.LocationExists(ctx, db, "l1")
			return err
		},
		"AuditItemIDs": func(ctx context.Context, q q, db db) error {
			_, err := q.AuditItemIDs(ctx, db, inventorydb.AuditItemIDsParams{After: f.items[0], Size: page})
			return err
		},
		"AuditItems": func(ctx context.Context, q q, db db) error {
			_, err := q.AuditItems(ctx, db, f.items)
			return err
		},
		"AuditReservationIDs": func(ctx context.Context, q q, db db) error {
			_, err := q.AuditReservationIDs(ctx, db, inventorydb.AuditReservationIDsParams{
				After: f.reservations[0], Size: page,
			})
			return err
		},
		"AuditReservations": func(ctx context.Context, q q, db db) error {
			_, err := q.AuditReservations(ctx, db, inventorydb.AuditReservationsParams{Reservations: f.reservations})
			return err
		},
		"AuditHoldings": func(ctx context.Context, q q, db db) error {
			_, err := q.AuditHoldings(ctx, db, inventorydb.AuditHoldingsParams{
				Owners: f.reservations, Reservations: f.reservations,
			})
			return err
		},
		"Clock": func(ctx context.Context, q q, db db) error {
			_, err := q.Clock(ctx, db, inventorydb.ClockParams{ProductIds: f.products, BackorderIds: f.backorders})
			return err
		},
		"BoundStatistics": func(ctx context.Context, q q, db db) error { return q.BoundStatistics(ctx, db, "1000") },
		"LockItems": func(ctx context.Context, q q, db db) error {
			_, err := q.LockItems(ctx, db, inventorydb.LockItemsParams{
				ProductIds: f.products, ReservationIds: f.reservations, BackorderIds: f.backorders,
			})
			return err
		},
		"UpdateItems": func(ctx context.Context, q q, db db) error {
			_, err := q.UpdateItems(ctx, db, inventorydb.UpdateItemsParams{
				ItemIds: f.items, Versions: numbers, Quantities: numbers, Reserveds: numbers, Waitings: numbers,
			})
			return err
		},
		"LockProducts": func(ctx context.Context, q q, db db) error {
			return q.LockProducts(ctx, db, inventorydb.LockProductsParams{ProductIds: f.products, BackorderIds: f.backorders})
		},
		"EnsureItems": func(ctx context.Context, q q, db db) error {
			return q.EnsureItems(ctx, db, inventorydb.EnsureItemsParams{
				ProductIds: f.products, Locations: slices.Repeat([]string{"l1"}, n),
			})
		},
		"StockOfProducts": func(ctx context.Context, q q, db db) error {
			_, err := q.StockOfProducts(ctx, db, f.products)
			return err
		},
		"UpsertLocations": func(ctx context.Context, q q, db db) error {
			return q.UpsertLocations(ctx, db, inventorydb.UpsertLocationsParams{
				Codes: []string{"x"}, Names: []string{"x"}, Priorities: []int32{1},
			})
		},
		"Locations": func(ctx context.Context, q q, db db) error { _, err := q.Locations(ctx, db); return err },
		"GetImport": func(ctx context.Context, q q, db db) error {
			_, err := q.GetImport(ctx, db, f.operations[0])
			return err
		},
		"SettleImportRows": func(ctx context.Context, q q, db db) error {
			_, err := q.SettleImportRows(ctx, db, inventorydb.SettleImportRowsParams{
				ImportID: f.operations[0], ContentHash: make([]byte, 32), SettledRows: small,
			})
			return err
		},
		"Operations": func(ctx context.Context, q q, db db) error {
			_, err := q.Operations(ctx, db, f.operations)
			return err
		},
		"Products": func(ctx context.Context, q q, db db) error { _, err := q.Products(ctx, db, f.products); return err },
		"UpsertProducts": func(ctx context.Context, q q, db db) error {
			_, err := q.UpsertProducts(ctx, db, inventorydb.UpsertProductsParams{
				ProductIds:        f.products,
				Thresholds:        numbers,
				Sellables:         slices.Repeat([]bool{true}, n),
				CatalogueVersions: numbers,
			})
			return err
		},
		"InsertOperations": func(ctx context.Context, q q, db db) error {
			_, err := q.InsertOperations(ctx, db, inventorydb.InsertOperationsParams{
				OperationIds:  f.operations,
				RequestHashes: slices.Repeat([][]byte{make([]byte, 32)}, n),
				Answers:       slices.Repeat([]string{"{}"}, n),
			})
			return err
		},
		"ClaimOperation": func(ctx context.Context, q q, db db) error {
			_, err := q.ClaimOperation(ctx, db, inventorydb.ClaimOperationParams{
				OperationID: f.operations[0], RequestHash: make([]byte, 32), Answer: []byte("{}"),
			})
			return err
		},
		"EntriesOfOperations": func(ctx context.Context, q q, db db) error {
			_, err := q.EntriesOfOperations(ctx, db, f.operations)
			return err
		},
		"InsertEntries": func(ctx context.Context, q q, db db) error {
			_, err := q.InsertEntries(ctx, db, inventorydb.InsertEntriesParams{
				CreatedAt:      f.now,
				OperationIds:   f.operations,
				ItemIds:        f.items,
				Lines:          small,
				Kinds:          texts,
				QuantityDeltas: numbers,
				ReservedDeltas: numbers,
				QuantityAfters: numbers,
				ReservedAfters: numbers,
				VersionAfters:  numbers,
				ReservationIds: f.reservations,
				Actors:         texts,
				Reasons:        texts,
			})
			return err
		},
		"InsertEvents": func(ctx context.Context, q q, db db) error {
			_, err := q.InsertEvents(ctx, db, inventorydb.InsertEventsParams{
				SchemaVersion:     1,
				CreatedAt:         f.now,
				EventIds:          f.operations,
				AggregateTypes:    texts,
				AggregateIds:      f.reservations,
				AggregateVersions: numbers,
				EventTypes:        texts,
				Payloads:          slices.Repeat([]string{"{}"}, n),
				Headers:           slices.Repeat([]string{"{}"}, n),
			})
			return err
		},
		"LockReservations": func(ctx context.Context, q q, db db) error {
			_, err := q.LockReservations(ctx, db, inventorydb.LockReservationsParams{
				ReservationIds: f.reservations, OwnerKinds: texts, OwnerIds: f.reservations, Numbers: small,
			})
			return err
		},
		"LinesOfReservations": func(ctx context.Context, q q, db db) error {
			_, err := q.LinesOfReservations(ctx, db, f.reservations)
			return err
		},
		"OverdueReservations": func(ctx context.Context, q q, db db) error {
			_, err := q.OverdueReservations(ctx, db, inventorydb.OverdueReservationsParams{
				ItemIds: f.items, Limits: small, Now: f.now,
			})
			return err
		},
		"GetReservation": func(ctx context.Context, q q, db db) error {
			_, err := q.GetReservation(ctx, db, f.reservations[0])
			return err
		},
		"ReservationLineStock": func(ctx context.Context, q q, db db) error {
			_, err := q.ReservationLineStock(ctx, db, f.reservations[0])
			return err
		},
		"InsertReservations": func(ctx context.Context, q q, db db) error {
			_, err := q.InsertReservations(ctx, db, inventorydb.InsertReservationsParams{
				ReservationIds:    f.reservations,
				OwnerKinds:        texts,
				OwnerIds:          f.reservations,
				Numbers:           small,
				RequestHashes:     slices.Repeat([][]byte{{}}, n),
				Statuses:          texts,
				ExpiresAts:        times,
				WorkflowIds:       texts,
				Versions:          numbers,
				Actors:            texts,
				Reasons:           texts,
				ReserveOperations: f.operations,
				ResolveOperations: f.operations,
				CreatedAts:        times,
				ResolvedAts:       times,
			})
			return err
		},
		"UpdateReservations": func(ctx context.Context, q q, db db) error {
			_, err := q.UpdateReservations(ctx, db, inventorydb.UpdateReservationsParams{
				ReservationIds:    f.reservations,
				Versions:          numbers,
				VersionsAfter:     numbers,
				Statuses:          texts,
				ExpiresAts:        times,
				Actors:            texts,
				Reasons:           texts,
				ResolveOperations: f.operations,
				ResolvedAts:       times,
			})
			return err
		},
		"InsertReservationLines": func(ctx context.Context, q q, db db) error {
			_, err := q.InsertReservationLines(ctx, db, inventorydb.InsertReservationLinesParams{
				ReservationIds: f.reservations,
				LineNos:        small,
				ItemIds:        f.items,
				Quantities:     numbers,
				Returneds:      numbers,
				Opens:          slices.Repeat([]bool{true}, n),
				ExpiresAts:     times,
			})
			return err
		},
		"CloseReservationLines": func(ctx context.Context, q q, db db) error {
			_, err := q.CloseReservationLines(ctx, db, f.reservations)
			return err
		},
		"UpdateReservationLines": func(ctx context.Context, q q, db db) error {
			_, err := q.UpdateReservationLines(ctx, db, inventorydb.UpdateReservationLinesParams{
				ReservationIds: f.reservations, LineNos: small, ItemIds: f.items, Returneds: numbers,
			})
			return err
		},
		"ProductPage": func(ctx context.Context, q q, db db) error {
			_, err := q.ProductPage(ctx, db, inventorydb.ProductPageParams{AfterProduct: f.products[0], PageSize: page})
			return err
		},
		"ProductHasItems": func(ctx context.Context, q q, db db) error {
			_, err := q.ProductHasItems(ctx, db, f.hot)
			return err
		},
		"FindLocation": func(ctx context.Context, q q, db db) error {
			_, err := q.FindLocation(ctx, db, "l1")
			return err
		},
		"LowStockPage": func(ctx context.Context, q q, db db) error {
			_, err := q.LowStockPage(ctx, db, inventorydb.LowStockPageParams{
				AfterLocation: 1, AfterItem: 100, LastLocation: all, PageSize: page,
			})
			return err
		},
		"ReservationPage": func(ctx context.Context, q q, db db) error {
			_, err := q.ReservationPage(ctx, db, inventorydb.ReservationPageParams{
				BeforeExpiresAt: f.now, Statuses: []string{"confirmed", "expired"}, MostRows: mostRead, PageSize: page,
			})
			return err
		},
		"ReservationPageEnd": func(ctx context.Context, q q, db db) error {
			_, err := q.ReservationPageEnd(ctx, db, inventorydb.ReservationPageEndParams{
				BeforeExpiresAt: f.now, Skipped: mostRead - 1,
			})
			return err
		},
		"ReservationsOfOrderPage": func(ctx context.Context, q q, db db) error {
			_, err := q.ReservationsOfOrderPage(ctx, db, inventorydb.ReservationsOfOrderPageParams{
				OwnerID: uuid.New(), BeforeExpiresAt: f.now, Statuses: []string{"pending"}, PageSize: page,
			})
			return err
		},
		"HoldPage": func(ctx context.Context, q q, db db) error {
			_, err := q.HoldPage(ctx, db, inventorydb.HoldPageParams{
				ProductID: f.hot, AfterExpiresAt: f.now, PageSize: page,
			})
			return err
		},
		"ReorderProposalPage": func(ctx context.Context, q q, db db) error {
			_, err := q.ReorderProposalPage(ctx, db, inventorydb.ReorderProposalPageParams{
				Sample: stock.SalesSample, WindowSeconds: 1e6, Status: "open", BeforeOpenedAt: f.now, PageSize: page,
			})
			return err
		},
		"GetReorderProposal": func(ctx context.Context, q q, db db) error {
			_, err := q.GetReorderProposal(ctx, db, uuid.New())
			return err
		},
		"DismissReorderProposal": func(ctx context.Context, q q, db db) error {
			_, err := q.DismissReorderProposal(ctx, db, inventorydb.DismissReorderProposalParams{ProposalID: uuid.New()})
			return err
		},
		"LowestStock": func(ctx context.Context, q q, db db) error { _, err := q.LowestStock(ctx, db, 20); return err },
		"LedgerPage": func(ctx context.Context, q q, db db) error {
			_, err := q.LedgerPage(ctx, db, inventorydb.LedgerPageParams{
				ProductID:     f.hot,
				FirstLocation: -all,
				LastLocation:  all,
				BeforeEntry:   40_000,
				PageSize:      page,
			})
			return err
		},
	}
}

// TestPlans: no query of a request reads the whole of a growing table. A new query fails this test until it is listed
// above.
func TestPlans(t *testing.T) {
	t.Parallel()
	url := testenv.Database(t)
	_, err := database.Migrate(t.Context(), url, database.Inventory)
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) }()

	made := fill(t, conn)
	calls := planned(made)
	maps.Copy(calls, plannedArchive(made))
	maps.Copy(calls, plannedBackorders(made))
	queries := inventorydb.New()
	for _, name := range methods(queries) {
		if reason := scanned[name]; reason != "" {
			require.NotContains(t, calls, name)
			continue
		}
		require.Contains(t, calls, name, "%s is not listed in planned or in scanned", name)
		r := &capture{}
		err := calls[name](t.Context(), queries, r)
		require.True(t, err == nil || errors.Is(err, errRecorded), "%s: %v", name, err)
		require.NotEmpty(t, r.sql, name)
		plan := explain(t, conn, r)
		require.Empty(t, scans(plan), "%s reads whole tables: %s\n%s", name, r.sql, outline(plan, ""))
	}
	require.Len(t, methods(queries), len(calls)+len(scanned), "every listed query exists")

	// A page of a busy product's history reads one page of each of its items, not all their thousands of entries.
	r := &capture{}
	require.ErrorIs(t, calls["LedgerPage"](t.Context(), queries, r), errRecorded)
	plan := explain(t, conn, r, "ANALYZE")
	require.LessOrEqual(t, read(plan, "stock_ledger"), float64(4*page), outline(plan, ""))
}

func methods(q *inventorydb.Queries) []string {
	typ := reflect.TypeOf(q)
	names := make([]string, typ.NumMethod())
	for i := range names {
		names[i] = typ.Method(i).Name
	}
	return names
}
