package orderstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"holdfast/db/ordersdb"
	"holdfast/internal/order"
)

// ErrOrdersLeft says that Wipe has refused because there are orders or reservations that are not example data.
var ErrOrdersLeft = errors.New("there are orders or reservations that are not from seeding")

// seedingLock is the key of the advisory lock that a seeder holds ("seed" in ASCII).
const seedingLock = 0x73656564

// LockSeeding waits for the lock that one seeder of this database holds at a time. The caller holds the lock until it
// calls release. The lock takes a connection of the pool for that time; if the connection is lost, the lock is free.
func (s *Store) LockSeeding(ctx context.Context) (release func(), err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to lock out other seeders: %w", err)
	}
	if err := s.q.LockSeeding(ctx, conn, seedingLock); err != nil {
		conn.Release()
		return nil, fmt.Errorf("lock out other seeders: %w", err)
	}
	return func() {
		if err := s.q.UnlockSeeding(context.WithoutCancel(ctx), conn, seedingLock); err != nil {
			_ = conn.Conn().Close(context.WithoutCancel(ctx)) // this releases the lock too
		}
		conn.Release()
	}, nil
}

// Contents counts what a wipe would delete.
type Contents struct {
	Products, Orders    int64
	ForeignReservations int64 // registered by clients and not by the seeder
	ForeignProducts     int64 // not in the seeder's data sets
}

// Examples identifies the data that the seeder writes.
type Examples struct {
	Issuer   string      // of the seeder's reservations
	Products []uuid.UUID // of all data sets
}

// Contents counts the rows that a wipe would delete.
func (s *Store) Contents(ctx context.Context, examples Examples) (Contents, error) {
	n, err := s.q.CountCatalogue(ctx, s.pool, ordersdb.CountCatalogueParams{
		SeedIssuer: examples.Issuer,
		Examples:   examples.Products,
	})
	if err != nil {
		return Contents{}, fmt.Errorf("count what there is: %w", err)
	}
	return Contents(n), nil
}

// ReservationsOf returns the ids of the registered reservations of an issuer, or of all issuers for "".
func (s *Store) ReservationsOf(ctx context.Context, issuer string) ([]uuid.UUID, error) {
	ids, err := s.q.ReservationsOfIssuer(ctx, s.pool, issuer)
	if err != nil {
		return nil, fmt.Errorf("list reservations: %w", err)
	}
	return ids, nil
}

// OpenOrderWorkflows returns the workflow ids of the orders that may still change.
func (s *Store) OpenOrderWorkflows(ctx context.Context) ([]string, error) {
	var open []string
	for _, state := range order.States() {
		if !state.Closed() {
			open = append(open, string(state))
		}
	}
	ids, err := s.q.OpenOrderWorkflows(ctx, s.pool, open)
	if err != nil {
		return nil, fmt.Errorf("list open orders: %w", err)
	}
	return ids, nil
}

// Wipe deletes the catalogue, orders, registered reservations and events in one transaction. First it locks the tables
// against other transactions and counts again. If there is data that is not example data, it returns ErrOrdersLeft and
// deletes nothing, unless force is set.
func (s *Store) Wipe(ctx context.Context, examples Examples, force bool) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := s.q.LockForReset(ctx, tx); err != nil {
			return fmt.Errorf("lock the orders database: %w", err)
		}
		n, err := s.q.CountCatalogue(ctx, tx, ordersdb.CountCatalogueParams{
			SeedIssuer: examples.Issuer,
			Examples:   examples.Products,
		})
		if err != nil {
			return fmt.Errorf("count what there is: %w", err)
		}
		if !force && Contents(n).foreign() {
			return ErrOrdersLeft
		}
		if err := s.q.WipeOrders(ctx, tx); err != nil {
			return fmt.Errorf("wipe the orders database: %w", err)
		}
		return nil
	})
}

func (c Contents) foreign() bool {
	return c.Orders > 0 || c.ForeignReservations > 0 || c.ForeignProducts > 0
}
