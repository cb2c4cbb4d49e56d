package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// books are the tables of this program.
type books struct{ pool *pgxpool.Pool }

// schema has the inbox: the events that this program has applied. Delete rows that are older than a message can be.
const schema = `
CREATE TABLE IF NOT EXISTS inbox (
	event_id   uuid PRIMARY KEY,
	applied_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS orders (
	order_id uuid PRIMARY KEY,
	state    text NOT NULL,
	version  bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS revenue (
	currency     text PRIMARY KEY,
	amount_minor bigint NOT NULL
);`

func (b books) prepare(ctx context.Context) error {
	if _, err := b.pool.Exec(ctx, schema); err != nil {
		return fmt.Errorf("create the tables: %w", err)
	}
	return nil
}

// apply applies an event once, however often it comes: the row of the inbox commits together with the effect.
func (b books) apply(ctx context.Context, e event) error {
	err := pgx.BeginFunc(ctx, b.pool, func(tx pgx.Tx) error {
		done, err := tx.Exec(ctx, `INSERT INTO inbox (event_id) VALUES ($1) ON CONFLICT DO NOTHING`, e.ID)
		if err != nil || done.RowsAffected() == 0 {
			return err
		}
		if err := setState(ctx, tx, e); err != nil {
			return err
		}
		switch e.Type {
		case "order.paid":
			return addRevenue(ctx, tx, e, 1)
		case "order.refunded":
			return addRevenue(ctx, tx, e, -1)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("apply event %s: %w", e.ID, err)
	}
	return nil
}

// setState keeps the newest state of an order. An event that comes late does not overwrite it.
func setState(ctx context.Context, tx pgx.Tx, e event) error {
	var data struct {
		State string `json:"state"`
	}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO orders (order_id, state, version) VALUES ($1, $2, $3)
		ON CONFLICT (order_id) DO UPDATE SET state = excluded.state, version = excluded.version
		WHERE orders.version < excluded.version`, e.AggregateID, data.State, e.AggregateVersion)
	return err
}

// addRevenue counts money. It does not depend on the order of the events, so an event that comes late counts too.
func addRevenue(ctx context.Context, tx pgx.Tx, e event, sign int64) error {
	var data struct {
		Amount *struct {
			Minor    int64  `json:"amount_minor"`
			Currency string `json:"currency"`
		} `json:"amount"`
	}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	if data.Amount == nil { // the document says that it may be unknown
		return nil
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO revenue (currency, amount_minor) VALUES ($1, $2)
		ON CONFLICT (currency) DO UPDATE SET amount_minor = revenue.amount_minor + excluded.amount_minor`,
		data.Amount.Currency, sign*data.Amount.Minor)
	return err
}
