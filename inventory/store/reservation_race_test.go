package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

// TestStaleReservationRefused: of two writers that read the same version of a reservation, the second writes nothing.
// An extension changes no item, so no item's version could detect the conflict.
func TestStaleReservationRefused(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	in := inventorytest.NewReserve(inventorytest.Line(s.Stock(t, 1), 1))
	_, err := s.API.Reserve(t.Context(), in)
	require.NoError(t, err)

	to := inventoryapi.ExtendRequest{ExpiresAt: time.Now().Add(2 * time.Hour), Actor: inventorytest.Actor}
	request, err := stock.NewExtend(in.ReservationID, to, "")
	require.NoError(t, err)
	var reads stock.Reads
	request.Reads(&reads)
	var stale stock.Changes
	st := store.New(s.Pool)
	require.NoError(t, st.Decide(t.Context(), reads, func(b *stock.Book) (stock.Changes, error) {
		_, err := stock.Decide(b, request)
		stale = b.Changes()
		return stock.Changes{}, err
	}))

	later := inventoryapi.ExtendRequest{
		ExpiresAt: time.Now().Add(3 * time.Hour).Truncate(time.Second),
		Actor:     inventorytest.Actor,
	}
	_, err = s.API.Extend(t.Context(), in.ReservationID, later)
	require.NoError(t, err)

	err = st.Decide(t.Context(), reads, func(*stock.Book) (stock.Changes, error) { return stale, nil })
	require.ErrorIs(t, err, store.ErrVersionConflict)
	after, err := s.API.GetReservation(t.Context(), in.ReservationID)
	require.NoError(t, err)
	require.True(t, later.ExpiresAt.Equal(after.ExpiresAt))
}

// TestReservationIsLockedBeforeItIsRead: a transaction that waits for a reservation's lock reads the reservation after
// the wait. So it does not conflict with a change that another transaction committed meanwhile.
func TestReservationIsLockedBeforeItIsRead(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	registry := prometheus.NewRegistry()
	service := inventory.New(inventory.Options{Pool: s.Pool, Registry: registry})
	in := inventorytest.NewReserve(inventorytest.Line(s.Stock(t, 1), 1))
	_, err := service.Reserve(t.Context(), in)
	require.NoError(t, err)

	tx, err := s.Pool.Begin(context.WithoutCancel(t.Context()))
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(),
		"UPDATE reservations SET version = version + 1 WHERE reservation_id = $1", in.ReservationID)
	require.NoError(t, err)
	extended := make(chan error, 1)
	go func() {
		_, err := service.Extend(t.Context(), in.ReservationID, inventoryapi.ExtendRequest{
			ExpiresAt: time.Now().Add(time.Hour), Actor: inventorytest.Actor,
		})
		extended <- err
	}()
	inventorytest.AwaitBlocked(t, s.Pool)
	require.NoError(t, tx.Commit(t.Context()))
	require.NoError(t, <-extended)

	after, err := service.GetReservation(t.Context(), in.ReservationID)
	require.NoError(t, err)
	require.EqualValues(t, 3, after.Version)
	require.Zero(t, retries(t, registry))
}

// retries returns the number of batches that were decided again after a conflict.
func retries(t *testing.T, registry *prometheus.Registry) (n float64) {
	t.Helper()
	all, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range all {
		if family.GetName() != "inventory_batch_retries_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			n += m.GetCounter().GetValue()
		}
	}
	return n
}

// TestKeysRefuseASecondWriter: unique keys refuse a second row that a rule overlooks, or that two replicas write at the
// same time: the id of a reservation, the owner's number, a line of a reservation, the event of an aggregate's version
// and the item of a product at a location.
func TestKeysRefuseASecondWriter(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	p := s.Stock(t, 10)
	in := inventorytest.NewReserve(inventorytest.Line(p, 1))
	_, err := s.API.Reserve(t.Context(), in)
	require.NoError(t, err)

	for _, c := range []struct {
		constraint string
		copied     string
	}{
		{"reservations_pkey", `
			INSERT INTO reservations SELECT (r).* FROM (SELECT r FROM reservations r) x`},
		{"reservations_owner_key", `
			INSERT INTO reservations (reservation_id, owner_kind, owner_id, number,
				request_hash, status, expires_at, actor, reserve_operation, created_at)
			SELECT gen_random_uuid(), owner_kind, owner_id, number,
				request_hash, status, expires_at, actor, reserve_operation, created_at
			FROM reservations`},
		{"reservation_lines_pkey", `
			INSERT INTO reservation_lines SELECT (l).* FROM (SELECT l FROM reservation_lines l) x`},
		{"outbox_aggregate_version_key", `
			INSERT INTO outbox
			SELECT (jsonb_populate_record(o, jsonb_build_object('event_id', gen_random_uuid()))).* FROM outbox o`},
		{"items_product_location_key", `
			INSERT INTO items (product_id, location_id) SELECT product_id, location_id FROM items`},
	} {
		_, err := s.Pool.Exec(t.Context(), c.copied)
		require.ErrorContains(t, err, c.constraint)
	}

	// The same number of the owner under another id is refused as AlreadyExists, not retried as a conflict.
	other := in
	other.ReservationID, other.OperationID = uuid.New(), uuid.New()
	_, err = s.API.Reserve(t.Context(), other)
	require.ErrorIs(t, err, inventoryapi.AlreadyExists)
	inventorytest.RequireConsistent(t, s.Pool)
}
