package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
)

// TestRareStatus: among 200,000 reservations, few are expired, and these have the earliest deadlines. No page of their
// list reads more than 20,000 rows, and the pages together have each of them once.
func TestRareStatus(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	_, err := s.Pool.Exec(t.Context(), `
		INSERT INTO reservations (reservation_id, owner_kind, owner_id, number, request_hash, status, expires_at, actor,
			reserve_operation, resolve_operation, created_at, resolved_at)
		SELECT gen_random_uuid(), 'order', gen_random_uuid(), 1, sha256('x'),
			CASE WHEN n <= 3 THEN 'expired' ELSE 'confirmed' END, now() + n / 2 * interval '1 second', 'test',
			gen_random_uuid(), gen_random_uuid(), now(), now()
		FROM generate_series(1, 200000) n`)
	require.NoError(t, err)

	seen := map[uuid.UUID]bool{}
	page, pages := inventoryapi.Page{Limit: 2}, 0
	for {
		pages++
		began := time.Now()
		list, err := s.API.(inventoryapi.Queries).Reservations(t.Context(), inventoryapi.ReservationFilter{
			Statuses: []inventoryapi.Status{inventoryapi.StatusExpired},
		}, page)
		require.NoError(t, err)
		t.Logf("page %d has %d items, %s", pages, len(list.Items), time.Since(began))
		for _, r := range list.Items {
			require.False(t, seen[r.ReservationID])
			seen[r.ReservationID] = true
		}
		if page.Cursor = list.NextCursor; page.Cursor == "" {
			break
		}
	}
	require.Len(t, seen, 3)
	require.Equal(t, 11, pages, "ten of 20,000 reservations each, and the rest of the last")
}
