package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/archive"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/store"
)

// TestAuditReadsOneMoment: an audit that has begun does not see what happens meanwhile.
func TestAuditReadsOneMoment(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	product := s.Stock(t, 5)
	reserve := inventorytest.NewReserve(inventorytest.Line(product, 2))
	_, err := s.API.Reserve(t.Context(), reserve)
	require.NoError(t, err)
	begun, err := store.New(s.Pool).AuditSnapshot(t.Context())
	require.NoError(t, err)
	defer begun.Close(t.Context())

	_, err = s.API.Confirm(t.Context(), reserve.ReservationID, inventorytest.Resolve())
	require.NoError(t, err)
	_, err = s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(product, 1)))
	require.NoError(t, err)

	ids, err := begun.ReservationIDs(t.Context(), uuid.Nil, 10)
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{reserve.ReservationID}, ids)
	reservations, err := begun.Reservations(t.Context(), ids, 0)
	require.NoError(t, err)
	require.Equal(t, "pending", reservations[0].Status)
	requireItem(t, begun, 5, 2)
}

// requireItem requires the counters of the only item that has stock, which the ledger and the reservations explain.
func requireItem(t *testing.T, s *store.AuditSnapshot, quantity, reserved int64) {
	t.Helper()
	ids, err := s.ItemIDs(t.Context(), 0, 10)
	require.NoError(t, err)
	items, err := s.Items(t.Context(), ids)
	require.NoError(t, err)
	for _, i := range items {
		if i.Quantity > 0 {
			require.Equal(t, []int64{quantity, reserved, quantity, reserved, reserved},
				[]int64{i.Quantity, i.Reserved, i.LedgerQuantity, i.LedgerReserved, i.Held})
			return
		}
	}
	require.Fail(t, "no item has stock")
}

// TestAuditSeesTheArchive: the counters follow from the ledger also after old entries are archived, and an archived
// reservation still explains what an order has taken.
func TestAuditSeesTheArchive(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := inventorytest.NewService(t)
	reserve := inventorytest.NewReserve(inventorytest.Line(s.Stock(t, 5), 2))
	_, err := s.API.Reserve(ctx, reserve)
	require.NoError(t, err)
	_, err = s.API.Confirm(ctx, reserve.ReservationID, inventorytest.Resolve())
	require.NoError(t, err)
	require.NoError(t, pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `SET LOCAL session_replication_role = replica;
			UPDATE reservations
			SET created_at = created_at - interval '500 days', resolved_at = resolved_at - interval '500 days';
			UPDATE stock_ledger SET created_at = created_at - interval '500 days';
			UPDATE outbox SET created_at = created_at - interval '500 days'`)
		return err
	}))
	moved, err := archive.Run(ctx, s.Pool, archive.Options{
		OlderThan:          90 * 24 * time.Hour,
		ConfirmedOlderThan: 400 * 24 * time.Hour,
		OutboxOlderThan:    30 * 24 * time.Hour,
		ImportsOlderThan:   90 * 24 * time.Hour,
		Batch:              100,
		Progress:           func(string, int) {},
	})
	require.NoError(t, err)
	require.EqualValues(t, 1, moved.Confirmed)
	require.Positive(t, moved.Entries)

	begun, err := store.New(s.Pool).AuditSnapshot(ctx)
	require.NoError(t, err)
	defer begun.Close(ctx)
	requireItem(t, begun, 3, 0)
	holdings, err := begun.Holdings(ctx, []uuid.UUID{reserve.OwnerID}, []uuid.UUID{reserve.ReservationID})
	require.NoError(t, err)
	require.Equal(t, map[uuid.UUID][]store.Holding{reserve.OwnerID: {{
		OwnerID:       reserve.OwnerID,
		ReservationID: reserve.ReservationID,
		Status:        "confirmed",
		Quantity:      2,
	}}}, holdings)
}
