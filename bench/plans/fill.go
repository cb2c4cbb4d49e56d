package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/database"
)

//go:embed fill.sql
var fillSQL string

// fill makes the rows, table by table.
func fill(ctx context.Context, url string, o options, r *report) error {
	start := time.Now()
	if _, err := database.EnsureDatabase(ctx, url); err != nil {
		return err
	}
	if _, err := database.Migrate(ctx, url, database.Inventory); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()

	values := strings.NewReplacer(
		"$products", strconv.FormatInt(o.products, 10),
		"$reservations", strconv.FormatInt(o.reservations, 10))
	for _, part := range strings.Split(fillSQL, "-- name: ")[1:] {
		name, sql, _ := strings.Cut(part, "\n")
		at := time.Now()
		if err := fillOne(ctx, conn, name, values.Replace(sql)); err != nil {
			return fmt.Errorf("fill %s: %w", name, err)
		}
		fmt.Fprintf(os.Stderr, "fill %-18s %s\n", name, time.Since(at).Round(time.Millisecond))
	}
	for _, sql := range []string{"VACUUM (ANALYZE, FREEZE)", "CHECKPOINT"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	r.filled = time.Since(start)
	return nil
}

// fillOne fills a table without its indexes and triggers, or runs another step.
func fillOne(ctx context.Context, conn *pgx.Conn, table, sql string) error {
	var drop, restore []string
	var oid *uint32
	if err := conn.QueryRow(ctx, "SELECT to_regclass('public.' || $1::text)::oid", table).Scan(&oid); err != nil {
		return err
	}
	if oid != nil {
		rows, err := conn.Query(ctx, `
			SELECT format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', conrelid::regclass, conname),
				format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
			FROM pg_constraint WHERE conrelid = $1 AND contype IN ('p', 'u')
			UNION ALL
			SELECT format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
			FROM pg_index x
			WHERE indrelid = $1 AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = x.indexrelid)`, *oid)
		if err != nil {
			return err
		}
		var d, c string
		if _, err := pgx.ForEachRow(rows, []any{&d, &c}, func() error {
			drop, restore = append(drop, d), append(restore, c)
			return nil
		}); err != nil {
			return err
		}
		if table == "locations" { // it is small, and other tables refer to its key
			drop, restore = nil, nil
		} else {
			drop = append(drop,
				"SET LOCAL holdfast.reset = 'on'",
				"TRUNCATE "+table,
				fmt.Sprintf("ALTER TABLE %s DISABLE TRIGGER USER", table))
			restore = append([]string{fmt.Sprintf("ALTER TABLE %s ENABLE TRIGGER USER", table)}, restore...)
		}
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, s := range append(append(drop, sql), restore...) {
			if _, err := tx.Exec(ctx, s); err != nil {
				return fmt.Errorf("%.60s: %w", s, err)
			}
		}
		return nil
	})
}
