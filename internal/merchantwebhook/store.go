package merchantwebhook

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/db/ordersdb"
	"holdfast/internal/webhook"
)

// Errors of the store.
var (
	ErrNotFound         = errors.New("there is no such webhook subscription")
	ErrDeliveryNotFound = errors.New("there is no such webhook delivery")
	// ErrPending says that the sender still tries the delivery.
	ErrPending = errors.New("the webhook delivery is pending")
	// ErrDisabled says that the subscription gets nothing until it is enabled.
	ErrDisabled = errors.New("the webhook subscription is disabled")
)

// ActorSender is the actor of what the sender does by itself.
const ActorSender = "system"

// Subscription is who gets which events. Its secrets must not leave the platform but in the answers that Create and
// Rotate are for.
type Subscription = ordersdb.WebhookSubscription

// Action is what an operator or the sender did with a subscription.
type Action = ordersdb.WebhookAction

// Store keeps subscriptions and deliveries in the orders database.
type Store struct {
	pool *pgxpool.Pool
	q    *ordersdb.Queries
}

// NewStore returns the store of an orders database.
func NewStore(pool *pgxpool.Pool) *Store { return &Store{pool: pool, q: ordersdb.New()} }

// Wanted is what a subscription shall be. Each event type is exact, or the beginning of types as in "order.*".
type Wanted struct {
	URL         string
	EventTypes  []string
	Description string
}

// Create adds an enabled subscription with a new secret. It gets the events that are published from now on. It is not
// idempotent.
func (s *Store) Create(ctx context.Context, w Wanted, actor string) (Subscription, error) {
	var out Subscription
	id, err := uuid.NewV7()
	if err != nil {
		return out, fmt.Errorf("make an id: %w", err)
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var err error
		out, err = s.q.CreateWebhookSubscription(ctx, tx, ordersdb.CreateWebhookSubscriptionParams{
			SubscriptionID: id,
			Url:            w.URL,
			EventTypes:     w.EventTypes,
			Description:    w.Description,
			Secret:         webhook.NewSecret(),
		})
		if err != nil {
			return err
		}
		return s.log(ctx, tx, id, "create", actor, describe(w))
	})
	if err != nil {
		return Subscription{}, fmt.Errorf("create a webhook subscription: %w", err)
	}
	return out, nil
}

func describe(w Wanted) string { return w.URL + " " + strings.Join(w.EventTypes, " ") }

// Get returns a subscription and the latest 100 actions on it.
func (s *Store) Get(ctx context.Context, id uuid.UUID) (Subscription, []Action, error) {
	out, err := s.q.GetWebhookSubscription(ctx, s.pool, id)
	if err != nil {
		return out, nil, fmt.Errorf("read webhook subscription %s: %w", id, orElse(err, ErrNotFound))
	}
	actions, err := s.q.ListWebhookActions(ctx, s.pool, id)
	if err != nil {
		return out, nil, fmt.Errorf("read the actions on webhook subscription %s: %w", id, err)
	}
	return out, actions, nil
}

// Position is the place of a subscription or delivery in its list.
type Position struct {
	CreatedAt time.Time
	ID        uuid.UUID
}

// First is the position before the first entry.
var First = Position{CreatedAt: farFuture, ID: uuid.Max}

var farFuture = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// List returns the subscriptions behind a position, the latest first. enabled nil returns enabled and disabled ones.
func (s *Store) List(ctx context.Context, enabled *bool, after Position, limit int) ([]Subscription, error) {
	wanted := []bool{true, false}
	if enabled != nil {
		wanted = []bool{*enabled}
	}
	rows, err := s.q.ListWebhookSubscriptions(ctx, s.pool, ordersdb.ListWebhookSubscriptionsParams{
		Enabled:         wanted,
		BeforeCreatedAt: after.CreatedAt,
		BeforeID:        after.ID,
		PageSize:        int32(limit), //nolint:gosec // the contract bounds it
	})
	if err != nil {
		return nil, fmt.Errorf("list webhook subscriptions: %w", err)
	}
	return rows, nil
}

// Change is what an operator changes; nil leaves a part as it is.
type Change struct {
	URL         *string
	EventTypes  []string
	Description *string
	Enabled     *bool
}

// Update changes a subscription. A subscription that is disabled puts its pending deliveries on hold. One that is
// enabled gets what is published from then on; what is on hold stays there until an operator sends it again.
func (s *Store) Update(ctx context.Context, id uuid.UUID, c Change, actor string) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		old, err := s.q.LockWebhookSubscription(ctx, tx, id)
		if err != nil {
			return orElse(err, ErrNotFound)
		}
		w := Wanted{URL: old.Url, EventTypes: old.EventTypes, Description: old.Description}
		if c.URL != nil {
			w.URL = *c.URL
		}
		if c.EventTypes != nil {
			w.EventTypes = c.EventTypes
		}
		if c.Description != nil {
			w.Description = *c.Description
		}
		if c.URL != nil || c.EventTypes != nil || c.Description != nil {
			if err := s.change(ctx, tx, id, w, actor); err != nil {
				return err
			}
		}
		switch {
		case c.Enabled == nil || *c.Enabled == old.Enabled:
			return nil
		case *c.Enabled:
			return s.enable(ctx, tx, id, actor)
		default:
			return s.disable(ctx, tx, id, actor, "an operator has switched it off")
		}
	})
	if err != nil {
		return fmt.Errorf("change webhook subscription %s: %w", id, err)
	}
	return nil
}

func (s *Store) change(ctx context.Context, tx pgx.Tx, id uuid.UUID, w Wanted, actor string) error {
	err := s.q.UpdateWebhookSubscription(ctx, tx, ordersdb.UpdateWebhookSubscriptionParams{
		SubscriptionID: id,
		Url:            w.URL,
		EventTypes:     w.EventTypes,
		Description:    w.Description,
	})
	if err != nil {
		return err
	}
	return s.log(ctx, tx, id, "update", actor, describe(w))
}

func (s *Store) enable(ctx context.Context, tx pgx.Tx, id uuid.UUID, actor string) error {
	// A consumer that began before the subscription was disabled may have added a pending delivery afterwards.
	if _, err := s.q.HoldWebhookDeliveries(ctx, tx, id); err != nil {
		return err
	}
	if err := s.q.EnableWebhookSubscription(ctx, tx, id); err != nil {
		return err
	}
	return s.log(ctx, tx, id, "enable", actor, "")
}

// disable does nothing if the subscription is disabled.
func (s *Store) disable(ctx context.Context, tx pgx.Tx, id uuid.UUID, actor, reason string) error {
	n, err := s.q.DisableWebhookSubscription(ctx, tx, ordersdb.DisableWebhookSubscriptionParams{
		SubscriptionID: id, Reason: reason,
	})
	if err != nil || n == 0 {
		return err
	}
	if _, err := s.q.HoldWebhookDeliveries(ctx, tx, id); err != nil {
		return err
	}
	return s.log(ctx, tx, id, "disable", actor, reason)
}

// Rotate gives a subscription a new secret. The one before it stays valid for the given time; a still older one ends.
func (s *Store) Rotate(ctx context.Context, id uuid.UUID, overlap time.Duration, actor string) (Subscription, error) {
	var out Subscription
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := s.q.LockWebhookSubscription(ctx, tx, id); err != nil {
			return orElse(err, ErrNotFound)
		}
		var err error
		out, err = s.q.RotateWebhookSecret(ctx, tx, ordersdb.RotateWebhookSecretParams{
			SubscriptionID: id, OverlapSeconds: overlap.Seconds(), Secret: webhook.NewSecret(),
		})
		if err != nil {
			return err
		}
		return s.log(ctx, tx, id, "rotate_secret", actor, fmt.Sprintf("the old secret is valid for %s more", overlap))
	})
	if err != nil {
		return Subscription{}, fmt.Errorf("rotate the secret of webhook subscription %s: %w", id, err)
	}
	return out, nil
}

// Delete deletes a subscription and its secrets. Nothing more is sent to it, except by attempts that are under way.
func (s *Store) Delete(ctx context.Context, id uuid.UUID, actor string) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		n, err := s.q.DeleteWebhookSubscription(ctx, tx, id)
		switch {
		case err != nil:
			return err
		case n == 0:
			return ErrNotFound
		}
		return s.log(ctx, tx, id, "delete", actor, "")
	})
	if err != nil {
		return fmt.Errorf("delete webhook subscription %s: %w", id, err)
	}
	return nil
}

func (s *Store) log(ctx context.Context, tx pgx.Tx, id uuid.UUID, action, actor, detail string) error {
	return s.q.LogWebhookAction(ctx, tx, ordersdb.LogWebhookActionParams{
		SubscriptionID: id, Action: action, Actor: actor, Detail: detail,
	})
}

// orElse returns missing in place of the error that says that a row is missing.
func orElse(err, missing error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return missing
	}
	return err
}
