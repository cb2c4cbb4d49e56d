package notification

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/db/ordersdb"
	"holdfast/internal/money"
)

// The statuses of a notification.
const (
	Pending = "pending" // it waits, or is being sent
	Sent    = "sent"    // the channel has taken it
	Skipped = "skipped" // it is not sent, for the reason in its detail
	Refused = "failed"  // it cannot be sent; an operator may send it again
)

// Errors of the store.
var (
	ErrNotFound = errors.New("there is no such notification")
	// ErrPending says that a notification cannot be sent again, because it still waits to be sent.
	ErrPending = errors.New("the notification is pending")
)

// Notification is a row of the table.
type Notification = ordersdb.Notification

// Action says who has asked for a notification again.
type Action = ordersdb.NotificationAction

// New is a notification that the table may not have yet.
type New struct {
	EventID    uuid.UUID
	OrderID    uuid.UUID
	Kind       Kind
	OccurredAt time.Time
	Amount     *money.Amount // that the event is about, if it has one
	Skip       string        // why the notification is not sent; empty means that it is
}

// Store is the table of notifications in the orders database.
type Store struct {
	pool *pgxpool.Pool
	q    *ordersdb.Queries
}

// NewStore returns the store of an orders database.
func NewStore(pool *pgxpool.Pool) *Store { return &Store{pool: pool, q: ordersdb.New()} }

// Add inserts a notification in the caller's transaction. If there is one of the same event and kind, it changes
// nothing.
func (s *Store) Add(ctx context.Context, tx pgx.Tx, n New) error {
	arg := ordersdb.AddNotificationParams{
		NotificationID: uuid.NewSHA1(n.EventID, []byte(n.Kind)),
		EventID:        n.EventID,
		OrderID:        n.OrderID,
		Kind:           string(n.Kind),
		OccurredAt:     n.OccurredAt,
		Status:         Pending,
		Detail:         n.Skip,
	}
	if n.Amount != nil {
		arg.AmountMinor, arg.Currency = n.Amount.Minor, n.Amount.Currency
	}
	if n.Skip != "" {
		arg.Status = Skipped
	}
	if _, err := s.q.AddNotification(ctx, tx, arg); err != nil {
		return fmt.Errorf("add a notification of event %s: %w", n.EventID, err)
	}
	return nil
}

// Lease leases at most size notifications that are due. After the given time other dispatchers may lease them.
func (s *Store) Lease(ctx context.Context, size int, lease time.Duration) ([]Notification, error) {
	rows, err := s.q.LeaseNotifications(ctx, s.pool, ordersdb.LeaseNotificationsParams{
		Size:         int32(size), //nolint:gosec // Config.Validate bounds it
		LeaseSeconds: lease.Seconds(),
	})
	if err != nil {
		return nil, fmt.Errorf("lease notifications: %w", err)
	}
	return rows, nil
}

// Outcome is how an attempt to send a notification ended.
type Outcome struct {
	Status  string
	Channel string        // if it was sent
	Detail  string        // for operators; it has no personal data
	Tried   bool          // the attempt counts
	Delay   time.Duration // of a notification that stays pending: until the next attempt
}

// Settle ends the lease of a notification, and reports whether this lease was still the last one. If it was not,
// another dispatcher has leased the notification since, and Settle changes nothing.
func (s *Store) Settle(ctx context.Context, n Notification, o Outcome) (bool, error) {
	arg := ordersdb.SettleNotificationParams{
		NotificationID: n.NotificationID,
		Leases:         n.Leases,
		Status:         o.Status,
		Channel:        o.Channel,
		Detail:         o.Detail,
		DelaySeconds:   o.Delay.Seconds(),
	}
	if o.Tried {
		arg.Tried = 1
	}
	changed, err := s.q.SettleNotification(ctx, s.pool, arg)
	if err != nil {
		return false, fmt.Errorf("settle notification %s: %w", n.NotificationID, err)
	}
	return changed > 0, nil
}

// Get returns a notification and who has asked for it again.
func (s *Store) Get(ctx context.Context, id uuid.UUID) (Notification, []Action, error) {
	n, err := s.q.GetNotification(ctx, s.pool, id)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return n, nil, fmt.Errorf("read notification %s: %w", id, err)
	}
	actions, err := s.q.ListNotificationActions(ctx, s.pool, id)
	if err != nil {
		return n, nil, fmt.Errorf("read the actions on notification %s: %w", id, err)
	}
	return n, actions, nil
}

// Position is the place of a notification in a list.
type Position struct {
	CreatedAt time.Time
	ID        uuid.UUID
}

// First is the position before the first notification.
var First = Position{CreatedAt: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), ID: uuid.Max}

// ListOfOrder returns the notifications of an order behind a position, newest first. An empty status matches all.
func (s *Store) ListOfOrder(
	ctx context.Context, order uuid.UUID, status string, after Position, limit int,
) ([]Notification, error) {
	rows, err := s.q.ListNotificationsOfOrder(ctx, s.pool, ordersdb.ListNotificationsOfOrderParams{
		OrderID:         order,
		BeforeCreatedAt: after.CreatedAt,
		BeforeID:        after.ID,
		Status:          status,
		PageSize:        int32(limit), //nolint:gosec // the contract bounds it
	})
	if err != nil {
		return nil, fmt.Errorf("list the notifications of order %s: %w", order, err)
	}
	return rows, nil
}

// ListByStatus returns the notifications in a status behind a position, newest first.
func (s *Store) ListByStatus(ctx context.Context, status string, after Position, limit int) ([]Notification, error) {
	rows, err := s.q.ListNotificationsByStatus(ctx, s.pool, ordersdb.ListNotificationsByStatusParams{
		Status:          status,
		BeforeCreatedAt: after.CreatedAt,
		BeforeID:        after.ID,
		PageSize:        int32(limit), //nolint:gosec // the contract bounds it
	})
	if err != nil {
		return nil, fmt.Errorf("list %s notifications: %w", status, err)
	}
	return rows, nil
}

// SendAgain makes a notification that was sent, skipped or refused pending again. It returns ErrPending if the
// notification still waits to be sent. A repeat after it was sent sends it once more.
func (s *Store) SendAgain(ctx context.Context, id uuid.UUID, actor string) error {
	changed, err := s.q.SendNotificationAgain(ctx, s.pool, ordersdb.SendNotificationAgainParams{
		NotificationID: id, Actor: actor,
	})
	if err == nil && changed == 0 {
		if _, _, err = s.Get(ctx, id); err == nil {
			err = ErrPending
		}
	}
	if err != nil {
		return fmt.Errorf("send notification %s again: %w", id, err)
	}
	return nil
}

// Backlog is what waits to be sent.
type Backlog struct {
	Waiting int64         // at most backlogLimit
	Oldest  time.Duration // age of the oldest of them; 0 if none waits
}

// backlogLimit bounds the count of a backlog.
const backlogLimit = 10_000

// Backlog counts the notifications that wait.
func (s *Store) Backlog(ctx context.Context) (Backlog, error) {
	r, err := s.q.NotificationBacklog(ctx, s.pool, backlogLimit)
	if err != nil {
		return Backlog{}, fmt.Errorf("count the notifications that wait: %w", err)
	}
	return Backlog{Waiting: r.Waiting, Oldest: max(0, r.At.Sub(r.Oldest))}, nil
}
