package archive_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/internal/database"
	"holdfast/inventory"
	"holdfast/inventory/archive"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/stock"
)

// answeredTotals sums what the clients of a race did, by the answers that they got.
type answeredTotals struct{ received, sold, ended atomic.Int64 }

// clientLoad is a service with the products that clients work on.
type clientLoad struct {
	inventorytest.Subject
	*answeredTotals
	products []uuid.UUID
}

// run does the work of a client: in each round it reserves, ends the reservation in some way, repeats calls, and
// receives stock.
func (s clientLoad) run(ctx context.Context, rounds int) error {
	for range rounds {
		a, b := s.products[0], s.products[rand.IntN(len(s.products))]
		in := inventorytest.NewReserve(inventorytest.Line(a, 1), inventorytest.Line(b, 2))
		_, err := s.API.Reserve(ctx, in)
		if err != nil {
			return err
		}
		switch rand.IntN(4) {
		case 0:
			_, err = s.API.Release(ctx, in.ReservationID, inventorytest.ReleaseOf(in))
		case 1:
			if _, err = s.API.Confirm(ctx, in.ReservationID, inventorytest.Resolve()); err == nil {
				s.sold.Add(3)
			}
		case 2:
			op := uuid.New()
			receive := stock.Receive{
				OperationID: op,
				ProductID:   b,
				Location:    "near",
				Quantity:    5,
				Actor:       inventorytest.Actor,
			}
			for range 2 { // the service recognises the second one, also if its entry has moved to the archive meanwhile
				if _, err = s.Service.Receive(ctx, receive); err != nil {
					break
				}
			}
			s.received.Add(5)
			if err == nil {
				_, err = s.API.Release(ctx, in.ReservationID, inventorytest.ReleaseOf(in))
			}
		default:
			// The owner releases twice. At the second release the reservation is released, or archived already.
			_, err = s.API.Release(ctx, in.ReservationID, inventorytest.ReleaseOf(in))
			if err == nil {
				_, err = s.API.Release(ctx, in.ReservationID, inventorytest.ReleaseOf(in))
				if errors.Is(err, inventoryapi.ReservationNotFound) {
					err = nil
				}
				_, late := s.API.Reserve(ctx, in)
				if !errors.Is(late, inventoryapi.AlreadyResolved) {
					err = errors.Join(errors.New("the service made a released reservation again"), late)
				}
			}
		}
		if err != nil {
			return err
		}
		s.ended.Add(1)
	}
	return nil
}

// TestArchiveWhileReservationsAreMade runs two archivers, whose sessions end again and again at random moments, beside
// two replicas of the service.
func TestArchiveWhileReservationsAreMade(t *testing.T) {
	t.Parallel()
	url, pool := inventorytest.NewDatabase(t)
	subject := inventorytest.NewSubject(t, inventory.New(inventory.Options{Pool: pool}), pool)
	s := clientLoad{Subject: subject, answeredTotals: &answeredTotals{}}
	for range 4 {
		s.products = append(s.products, s.Stock(t, 10_000))
		s.received.Add(10_000)
	}
	replica := s
	replica.API = s.Service

	archivers, err := database.Open(context.WithoutCancel(t.Context()), url+"&application_name=archivers",
		database.Pool{MaxConns: 2}, "archive", nil)
	require.NoError(t, err)
	defer archivers.Close()

	ctx, stop := context.WithCancel(t.Context())
	var clients, others sync.WaitGroup
	var moved atomic.Int64
	for range 2 {
		others.Go(func() {
			for ctx.Err() == nil {
				o := inventorytest.Everything()
				o.Batch = 1 + rand.IntN(20)
				sum, _ := archive.Run(ctx, archivers, o) // kill may have ended its session
				moved.Add(sum.Rows())
			}
		})
	}
	others.Go(func() { kill(ctx, pool) })
	failed := make([]error, 8)
	for i := range failed {
		client := s
		if i%2 == 1 {
			client = replica
		}
		clients.Go(func() { failed[i] = client.run(context.WithoutCancel(ctx), 15) })
	}
	clients.Wait()
	stop()
	others.Wait()

	require.NoError(t, errors.Join(failed...))
	inventorytest.RequireConsistent(t, pool)
	require.EqualValues(t, 8*15, s.ended.Load())

	rest, err := archive.Run(t.Context(), pool, inventorytest.Everything())
	require.NoError(t, err)
	inventorytest.RequireConsistent(t, pool)
	require.Positive(t, moved.Load()+rest.Rows())
	var live, archived, quantity, reserved int64
	require.NoError(t, pool.QueryRow(t.Context(), `
		SELECT (SELECT count(*) FROM reservations)
				+ (SELECT count(*) FROM reservation_lines)
				+ (SELECT count(*) FROM stock_ledger),
			(SELECT count(*) FROM archive.reservations),
			(SELECT sum(quantity) FROM items),
			(SELECT sum(reserved) FROM items)`).Scan(&live, &archived, &quantity, &reserved))
	require.Zero(t, live, "rows that are not archived although all reservations have ended")
	require.EqualValues(t, 8*15, archived)
	require.Equal(t, s.received.Load()-s.sold.Load(), quantity)
	require.Zero(t, reserved)
}

// kill ends the archivers' sessions at random moments, as kill -9 of their process would.
func kill(ctx context.Context, pool *pgxpool.Pool) {
	for ctx.Err() == nil {
		_, _ = pool.Exec(ctx, `
			SELECT pg_terminate_backend(pid), pg_sleep(random() * 0.05) FROM pg_stat_activity
			WHERE application_name = 'archivers' AND datname = current_database() AND random() < 0.3`)
		_, _ = pool.Exec(ctx, "SELECT pg_sleep(random() * 0.03)")
	}
}

// TestArchiversTakeTurns: two archivers at once share the work, and neither fails because of the other.
func TestArchiversTakeTurns(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	for range 4 {
		history(t, s)
	}
	o := inventorytest.Everything()
	o.Batch = 3
	sums, errs := make([]archive.Summary, 2), make([]error, 2)
	var wg sync.WaitGroup
	for i := range sums {
		wg.Go(func() { sums[i], errs[i] = archive.Run(t.Context(), s.Pool, o) })
	}
	wg.Wait()

	require.NoError(t, errors.Join(errs...))
	rest, err := archive.Run(t.Context(), s.Pool, o)
	require.NoError(t, err)
	all := sums[0].Add(sums[1].Moved).Add(rest.Moved)
	require.EqualValues(t, 4*6, all.Reservations())
	require.EqualValues(t, 4*(3+24), all.Entries)
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestArchiveSkipsLockedReservations: the archive leaves a reservation that a request has locked for its next run.
func TestArchiveSkipsLockedReservations(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	locked := history(t, s)
	tx, err := s.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = tx.Exec(t.Context(), "SELECT 1 FROM reservations WHERE reservation_id = $1 FOR NO KEY UPDATE",
		locked.ReservationID)
	require.NoError(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan archive.Summary, 1)
	go func() {
		sum, _ := archive.Run(ctx, s.Pool, inventorytest.Everything())
		done <- sum
	}()
	select {
	case sum := <-done:
		require.EqualValues(t, 5, sum.Reservations())
	case <-ctx.Done():
		require.Fail(t, "the archiver waits for a locked reservation")
	}

	require.NoError(t, tx.Rollback(t.Context()))
	rest, err := archive.Run(t.Context(), s.Pool, inventorytest.Everything())
	require.NoError(t, err)
	require.EqualValues(t, 1, rest.Reservations())
	inventorytest.RequireConsistent(t, s.Pool)
}

// TestArchiveFinishesTheBatch: a run that is told to stop in the middle of a transaction commits the transaction.
func TestArchiveFinishesTheBatch(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	history(t, s)
	tx, err := s.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = tx.Exec(t.Context(), "LOCK TABLE archive.reservations")
	require.NoError(t, err)

	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	var sum archive.Summary
	go func() {
		var err error
		sum, err = archive.Run(ctx, s.Pool, inventorytest.Everything())
		done <- err
	}()
	require.Eventually(t, func() bool {
		var waits bool
		err := s.Pool.QueryRow(t.Context(), `
			SELECT EXISTS (SELECT 1 FROM pg_locks
				WHERE NOT granted AND relation = 'archive.reservations'::regclass)`).Scan(&waits)
		return err == nil && waits
	}, 10*time.Second, time.Millisecond)

	stop()
	require.NoError(t, tx.Rollback(t.Context()))
	require.NoError(t, <-done)
	require.True(t, sum.Stopped)
	require.EqualValues(t, 6, sum.Reservations())
	require.Zero(t, sum.Entries)
	inventorytest.RequireConsistent(t, s.Pool)
}
