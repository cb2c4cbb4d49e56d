// Package orderstore keeps orders, their timelines and the catalogue in the orders database. The api inserts an order
// (Place). From then on only the order's workflow writes it (Record), and numbers its records, so that a repeated or
// late record changes nothing.
package orderstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/db/ordersdb"
	"holdfast/internal/order"
	"holdfast/internal/promise"
	"holdfast/workflows/orderflow"
)

// Errors of reads.
var (
	// ErrNotFound says that there is no such row.
	ErrNotFound = errors.New("not found")
	// ErrUnreadable says that a row has a value that no version of this program writes. A retry fails too.
	ErrUnreadable = errors.New("the row cannot be read")
)

// Store works on the orders database.
type Store struct {
	pool     *pgxpool.Pool
	q        *ordersdb.Queries
	limits   OpenLimits
	calendar *promise.Calendar
}

// New returns a store on pool.
func New(pool *pgxpool.Pool) *Store { return &Store{pool: pool, q: ordersdb.New()} }

// Promise sets the calendar by which Record promises the arrival of new shipments. Without one it promises nothing.
func (s *Store) Promise(by *promise.Calendar) { s.calendar = by }

// BeginPayment stores the intent of a payment, before the provider is asked for it. It is idempotent. It returns
// orderflow.ErrOrderClosed if the order has ended without being carried out, and orderflow.ErrNoRow if the order is not
// recorded.
func (s *Store) BeginPayment(ctx context.Context, id uuid.UUID, attempt int) error {
	open, err := s.q.BeginPayment(ctx, s.pool, ordersdb.BeginPaymentParams{
		OrderID: id,
		Attempt: int32(attempt), //nolint:gosec // attempts are few
		Closed:  closed,
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return orderflow.ErrNoRow
	case err != nil:
		return fmt.Errorf("store the intent of the payment: %w", err)
	case !open:
		return orderflow.ErrOrderClosed
	}
	return nil
}

// storable returns s without the characters that PostgreSQL cannot store. The api refuses requests with such
// characters, but the text of a payment provider or another service must not make an order unrecordable.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}

// nullable returns v as JSON, or nil if v is a nil pointer or a nil slice.
func nullable[T any](v T) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil || string(raw) == "null" {
		return nil, err
	}
	return raw, nil
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func notFound(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// refusalCode returns the code for why an order was rejected. A workflow that started before View had RefusalCode sets
// only Short.
func refusalCode(v orderflow.View) string {
	if v.RefusalCode == "" && v.State == order.Rejected && len(v.Short) > 0 {
		return orderflow.ErrOutOfStock
	}
	return v.RefusalCode
}
