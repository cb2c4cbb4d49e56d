package availability_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/tests/fault"
	"holdfast/tests/testenv"
)

// TestUnknownCommitIsInvalidated: the commit happened, its answer did not arrive, and the service cannot reach the
// database any more. The caller gets Unavailable, because the outcome is unknown, and no reader gets the stock from
// before the commit.
func TestUnknownCommitIsInvalidated(t *testing.T) {
	t.Parallel()
	url, pool := inventorytest.NewDatabase(t)
	proxy := fault.NewPostgres(t, url)
	lost := proxy.LoseCommits(1)

	cfg, err := pgxpool.ParseConfig(proxy.URL())
	require.NoError(t, err)
	cfg.MaxConns = 1
	cfg.BeforeConnect = func(context.Context, *pgx.ConnConfig) error {
		if lost.Count() > 0 {
			return errors.New("gone for good")
		}
		return nil
	}
	faulty, err := pgxpool.NewWithConfig(context.WithoutCancel(t.Context()), cfg)
	require.NoError(t, err)
	t.Cleanup(faulty.Close)

	c := inventorytest.NewCache(t, testenv.Redis(t), inventorytest.NewCachePrefix(), inventorytest.CacheTimeout)
	s := inventorytest.NewCachedSubject(t, pool, c)
	p := s.Stock(t, 10)
	available, _ := s.Available(t, p)
	require.EqualValues(t, 10, available)
	_, found := stored(t, c, p)
	require.True(t, found)

	service := inventory.New(inventory.Options{Pool: faulty, Cache: c})
	defer service.Close()
	_, err = service.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 4)))
	require.ErrorIs(t, err, inventoryapi.Unavailable)
	require.Equal(t, 1, lost.Count())
	available, _ = s.Available(t, p)
	require.EqualValues(t, 6, available)
}

// TestOwnersNumberIsOne: the service refuses a new reservation under a number that its owner has used, also if it has
// no reason to look the number up: there is stock, and no request was repeated.
func TestOwnersNumberIsOne(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	p := s.Stock(t, 10)
	in := inventorytest.NewReserve(inventorytest.Line(p, 1))
	_, err := s.API.Reserve(t.Context(), in)
	require.NoError(t, err)
	in.ReservationID, in.OperationID = uuid.New(), uuid.New()
	_, err = s.API.Reserve(t.Context(), in)
	require.ErrorIs(t, err, inventoryapi.AlreadyExists)
	_, reserved := s.Available(t, p)
	require.EqualValues(t, 1, reserved)
	inventorytest.RequireConsistent(t, s.Pool)
}
