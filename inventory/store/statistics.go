package store

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/db/inventorydb"
	"holdfast/inventory/inventoryapi"
)

// Statistics reads figures over all stock, and up to howMany products with the largest reserved quantities, as of one
// moment. It scans all items, so no request may wait for it. The database stops it after limit, rounded up to a
// millisecond.
func (s *Store) Statistics(
	ctx context.Context, howMany int, limit time.Duration,
) (inventoryapi.Statistics, inventoryapi.MostReserved, error) {
	var totals inventorydb.StockTotalsRow
	var most []inventorydb.MostReservedProductsRow
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, s.pool, snapshot, func(tx pgx.Tx) (err error) {
		if err = s.q.BoundStatistics(ctx, tx, strconv.FormatInt(limit.Milliseconds()+1, 10)); err != nil {
			return err
		}
		if totals, err = s.q.StockTotals(ctx, tx); err != nil {
			return err
		}
		most, err = s.q.MostReservedProducts(ctx, tx, size(howMany))
		return err
	})
	if err != nil {
		return inventoryapi.Statistics{}, inventoryapi.MostReserved{}, fmt.Errorf("compute statistics: %w", err)
	}

	stats := inventoryapi.Statistics{
		AsOf:                totals.AsOf.UTC(),
		Items:               totals.Items,
		Products:            totals.Products,
		Locations:           totals.Locations,
		Quantity:            totals.Quantity,
		Reserved:            totals.Reserved,
		Available:           totals.Quantity - totals.Reserved,
		LowStockCount:       totals.LowStock,
		OutOfStockCount:     totals.OutOfStock,
		PendingReservations: totals.Pending,
	}
	if stats.Items > 0 {
		stats.AverageAvailable = float64(stats.Available) / float64(stats.Items)
	}
	if stats.Quantity > 0 {
		stats.ReservationRate = float64(stats.Reserved) / float64(stats.Quantity)
	}

	top := inventoryapi.MostReserved{AsOf: stats.AsOf, Items: make([]inventoryapi.ReservedProduct, len(most))}
	for i, m := range most {
		top.Items[i] = inventoryapi.ReservedProduct{
			ProductID: m.ProductID,
			Quantity:  m.Quantity,
			Reserved:  m.Reserved,
			Available: m.Quantity - m.Reserved,
		}
	}
	return stats, top, nil
}
