package inventorytest

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/archive"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
)

// Everything returns options that archive all finished reservations of any age: only tests may go below the minimum
// age.
func Everything() archive.Options { return archive.Options{Batch: 100} }

// Backdate moves the times of all rows into the past, as waiting would, and marks all events as published one second
// after they were written.
func Backdate(t testing.TB, pool *pgxpool.Pool, by time.Duration) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	require.NoError(t, pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		for _, sql := range []string{
			"SET LOCAL session_replication_role = replica", // no triggers: the ledger is append-only
			`UPDATE reservations SET created_at = created_at - $1::interval,
				resolved_at = resolved_at - $1::interval, expires_at = expires_at - $1::interval`,
			"UPDATE stock_ledger SET created_at = created_at - $1::interval",
			`UPDATE outbox SET created_at = created_at - $1::interval,
				published_at = created_at - $1::interval + interval '1 second'`,
			"UPDATE processed_events SET processed_at = processed_at - $1::interval",
			"UPDATE stock_imports SET updated_at = updated_at - $1::interval",
		} {
			args := []any{by}
			if sql[0] == 'S' {
				args = nil
			}
			if _, err := tx.Exec(ctx, sql, args...); err != nil {
				return err
			}
		}
		return nil
	}))
}

// Archive tests an implementation against the contract for archived reservations and entries: no request creates one of
// them a second time.
func Archive(t *testing.T, s Subject, q inventoryapi.Queries) {
	p := s.Stock(t, 50)
	released, confirmed, expired := NewReserve(Line(p, 1)), NewReserve(Line(p, 2)), NewReserve(Line(p, 3))
	tomb, pending := NewReserve(Line(p, 4)), NewReserve(Line(p, 5))
	for _, in := range []inventoryapi.ReserveRequest{released, confirmed, expired, pending} {
		_, err := s.API.Reserve(t.Context(), in)
		require.NoError(t, err)
	}
	_, err := s.API.Release(t.Context(), released.ReservationID, ReleaseOf(released))
	require.NoError(t, err)
	_, err = s.API.Release(t.Context(), tomb.ReservationID, ReleaseOf(tomb))
	require.NoError(t, err)
	_, err = s.API.Confirm(t.Context(), confirmed.ReservationID, Resolve())
	require.NoError(t, err)
	back := ReturnOf(inventoryapi.ReturnLine{LineNo: 1, Quantity: 1})
	_, err = s.API.Return(t.Context(), confirmed.ReservationID, back)
	require.NoError(t, err)
	s.Age(t, expired.ReservationID)
	_, err = s.API.Expire(t.Context(), expired.ReservationID, Resolve())
	require.NoError(t, err)

	receipt := stock.Receive{
		OperationID: uuid.New(),
		ProductID:   s.Stock(t, 1),
		Location:    "near",
		Quantity:    7,
		Actor:       Actor,
	}
	_, err = s.Service.Receive(t.Context(), receipt)
	require.NoError(t, err)
	before, err := s.API.Availability(t.Context(), p, 1)
	require.NoError(t, err)

	sum, err := archive.Run(t.Context(), s.Pool, Everything())
	require.NoError(t, err)
	require.EqualValues(t, 4, sum.Reservations())
	require.EqualValues(t, 3, sum.Lines)
	require.EqualValues(t, 6, sum.Entries,
		"all entries of the receipt's product; of the other product those before the first pending reservation")
	RequireConsistent(t, s.Pool)

	for _, c := range []struct {
		status inventoryapi.Status
		in     inventoryapi.ReserveRequest
	}{
		{inventoryapi.StatusReleased, released},
		{inventoryapi.StatusConfirmed, confirmed},
		{inventoryapi.StatusExpired, expired},
	} {
		_, err = s.API.Reserve(t.Context(), c.in)
		require.ErrorIs(t, err, inventoryapi.AlreadyResolved)
		var is *inventoryapi.StatusError
		require.ErrorAs(t, err, &is)
		require.Equal(t, c.status, is.Status)
	}
	_, err = s.API.Reserve(t.Context(), tomb)
	require.ErrorIs(t, err, inventoryapi.AlreadyResolved, "a tombstone stays a tombstone")

	for _, in := range []inventoryapi.ReserveRequest{released, confirmed, expired, tomb} {
		id := in.ReservationID
		for _, c := range []struct {
			what string
			call func() error
		}{
			{"get", func() error { _, err := s.API.GetReservation(t.Context(), id); return err }},
			{"confirm", func() error { _, err := s.API.Confirm(t.Context(), id, Resolve()); return err }},
			{"release", func() error { _, err := s.API.Release(t.Context(), id, ReleaseOf(in)); return err }},
			{"expire", func() error { _, err := s.API.Expire(t.Context(), id, Resolve()); return err }},
			{"return", func() error { _, err := s.API.Return(t.Context(), id, back); return err }},
			{"extend", func() error {
				later := inventoryapi.ExtendRequest{ExpiresAt: time.Now().Add(time.Hour), Actor: Actor}
				_, err := s.API.Extend(t.Context(), id, later)
				return err
			}},
		} {
			err := c.call()
			require.ErrorIs(t, err, inventoryapi.ReservationNotFound, c.what)
			require.ErrorContains(t, err, "archived", c.what)
		}
	}

	again, err := s.Service.Receive(t.Context(), receipt)
	require.NoError(t, err)
	require.True(t, again[0].Replayed, "a receipt acts once, also if its entry is archived")
	require.EqualValues(t, 7, again[0].Quantity)

	_, err = s.API.Confirm(t.Context(), pending.ReservationID, Resolve())
	require.NoError(t, err, "a pending reservation can still be confirmed")
	after, err := s.API.Availability(t.Context(), p, 1)
	require.NoError(t, err)
	require.Equal(t, before.AvailableQuantity, after.AvailableQuantity)

	ledger, err := q.Ledger(t.Context(), p, "", inventoryapi.Page{})
	require.NoError(t, err)
	require.EqualValues(t, 4, ledger.ArchivedEntries)
	require.Len(t, ledger.Items, 6)
	far, err := q.Ledger(t.Context(), p, "far", inventoryapi.Page{})
	require.NoError(t, err)
	require.Zero(t, far.ArchivedEntries)
	whole, err := q.Ledger(t.Context(), receipt.ProductID, "", inventoryapi.Page{})
	require.NoError(t, err)
	require.EqualValues(t, 2, whole.ArchivedEntries)
	require.Empty(t, whole.Items)
	RequireConsistent(t, s.Pool)
}
