package inventory_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/stock"
)

// failedEvents returns the data of the published refusals.
func failedEvents(t *testing.T, s inventorytest.Subject) []inventoryapi.FailedEvent {
	t.Helper()
	rows, err := s.Pool.Query(t.Context(),
		"SELECT payload FROM outbox WHERE event_type = $1 ORDER BY aggregate_version", inventoryapi.EventFailed)
	require.NoError(t, err)
	raw, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	require.NoError(t, err)
	out := make([]inventoryapi.FailedEvent, len(raw))
	for i := range raw {
		require.NoError(t, json.Unmarshal(raw[i], &out[i]))
	}
	return out
}

// TestRefusalsAreAnnounced: a rush of refusals is counted exactly and causes few events. A reserve that succeeds causes
// none.
func TestRefusalsAreAnnounced(t *testing.T) {
	t.Parallel()
	_, pool := inventorytest.NewDatabase(t)
	service := inventory.New(inventory.Options{Pool: pool, AnnounceRefusals: true})
	s := inventorytest.NewSubject(t, service, pool)
	p, other := s.Stock(t, 3), s.Stock(t, 1)
	_, err := s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 1)))
	require.NoError(t, err)

	const rush = 300
	var g errgroup.Group
	g.SetLimit(20)
	for range rush {
		g.Go(func() error {
			_, err := s.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(p, 7)))
			if !errors.Is(err, inventoryapi.InsufficientStock) {
				return errors.New("the reserve was not refused")
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	in := inventorytest.NewReserve(inventorytest.Line(other, 2))
	_, err = s.API.Reserve(t.Context(), in)
	require.ErrorIs(t, err, inventoryapi.InsufficientStock)
	service.Close() // announces what is left

	perProduct := map[uuid.UUID][]inventoryapi.FailedEvent{}
	for _, e := range failedEvents(t, s) {
		perProduct[e.ProductID] = append(perProduct[e.ProductID], e)
	}
	var requests, quantity int64
	for _, e := range perProduct[p] {
		requests, quantity = requests+e.Requests, quantity+e.Quantity
		require.LessOrEqual(t, len(e.Reservations), 10)
		require.False(t, e.Until.Before(e.Since))
	}
	require.EqualValues(t, rush, requests)
	require.EqualValues(t, 7*rush, quantity)
	require.Less(t, len(perProduct[p]), rush/10, "a rush of refusals is no rush of events")
	require.Len(t, perProduct[other], 1)
	require.Equal(t, []inventoryapi.RefusedReservation{{
		ReservationID: in.ReservationID, OwnerKind: in.OwnerKind, OwnerID: in.OwnerID, Requested: 2, Available: 1,
	}}, perProduct[other][0].Reservations)
}

// TestRefusalsWaitForTheDatabase: counts that cannot be written are kept and written later.
func TestRefusalsWaitForTheDatabase(t *testing.T) {
	t.Parallel()
	product, down := uuid.New(), true
	var got []stock.Event
	r := inventory.NewRefusals(func(_ context.Context, list []stock.Event) error {
		if down {
			return errors.New("the database is down")
		}
		got = append(got, list...)
		return nil
	}, prometheus.NewRegistry())
	refuse := func() {
		r.Add(inventorytest.NewReserve(inventorytest.Line(product, 2)),
			[]inventoryapi.ShortLine{{ProductID: product, Requested: 2}})
	}

	refuse()
	r.Flush()
	require.Empty(t, got)
	refuse()
	down = false
	r.Flush()
	require.Len(t, got, 1)
	data := got[0].Data.(inventoryapi.FailedEvent)
	require.EqualValues(t, 2, data.Requests)
	require.Len(t, data.Reservations, 2)

	r.Flush()
	require.Len(t, got, 1, "nothing is written twice")
}
