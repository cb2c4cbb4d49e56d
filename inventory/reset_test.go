package inventory_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventorytest"
)

// TestLedgerIsWipedWholeOrNotAtAll: the setting of a reset allows only TRUNCATE of the ledger, and ends with its
// transaction.
func TestLedgerIsWipedWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	s.Stock(t, 5)
	for _, sql := range []string{"UPDATE stock_ledger SET reason = 'x'", "DELETE FROM stock_ledger"} {
		tx, err := s.Pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "SET LOCAL holdfast.reset = 'on'")
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), sql)
		require.NoError(t, tx.Rollback(t.Context()))
		require.ErrorContains(t, err, "append-only", sql)
	}

	conn, err := s.Pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SET LOCAL holdfast.reset = 'on'")
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	_, err = conn.Exec(t.Context(), "TRUNCATE stock_ledger")
	require.ErrorContains(t, err, "append-only", "the setting must end with its transaction")

	require.NoError(t, s.Service.Wipe(t.Context()))
	var entries int
	require.NoError(t, s.Pool.QueryRow(t.Context(), "SELECT count(*) FROM stock_ledger").Scan(&entries))
	require.Zero(t, entries)
	inventorytest.RequireConsistent(t, s.Pool)
}
