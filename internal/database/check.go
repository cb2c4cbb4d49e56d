package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/db/migrations"
	"holdfast/internal/unanswered"
)

// Check reports whether the database at url answers and has every migration of this binary. It writes nothing. The
// error is for the person who starts a command: it names the database and says what to do.
func Check(ctx context.Context, url string, name Name) (err error) {
	conn, err := pgx.Connect(ctx, url)
	if hasCode(err, pgerrcode.InvalidCatalogName) {
		return fmt.Errorf("the %s database does not exist (%s); run: holdfast migrate", name, variable(name))
	}
	if err != nil {
		return NoAnswer(url, name, err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if err := refuseOther(ctx, conn, name); err != nil {
		return err
	}
	return checkMigrated(ctx, conn, name)
}

// Migrated returns a probe of a service's readiness: it fails while the database does not answer or lacks a migration
// of this binary. A database with more migrations, those of a newer version, is well.
func Migrated(pool *pgxpool.Pool, name Name) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := pool.Ping(ctx); err != nil {
			return err //nolint:wrapcheck // the check has the name of the database
		}
		return checkMigrated(ctx, pool, name)
	}
}

// querier is a connection or a pool.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// checkMigrated reports whether a database has every migration of this binary.
func checkMigrated(ctx context.Context, q querier, name Name) error {
	applied := map[int64]bool{}
	rows, err := q.Query(ctx, "SELECT version_id FROM goose_db_version WHERE is_applied")
	if err == nil {
		var versions []int64
		versions, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		for _, v := range versions {
			applied[v] = true
		}
	}
	if err != nil && !hasCode(err, pgerrcode.UndefinedTable) { // a database that was never migrated has no such table
		return fmt.Errorf("read which migrations the %s database has (%s): %w", name, variable(name), err)
	}
	missing, err := missingFrom(name, applied)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("the %s database (%s) lacks %d migrations: %s; run: holdfast migrate",
			name, variable(name), len(missing), strings.Join(missing, ", "))
	}
	return nil
}

// NoAnswer is the error of a connection to the database at url that failed with err.
func NoAnswer(url string, name Name, err error) error {
	if cfg, parseErr := pgx.ParseConfig(url); parseErr == nil && unanswered.IsDial(err) {
		address := net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))
		return fmt.Errorf("the %s database: %w", name, unanswered.New(address, variable(name), err))
	}
	return fmt.Errorf("the %s database does not answer (%s): %w", name, variable(name), err)
}

func missingFrom(name Name, applied map[int64]bool) ([]string, error) {
	files, err := fs.Glob(migrations.FS, string(name)+"/*.sql")
	if err != nil {
		return nil, fmt.Errorf("list the %s migrations: %w", name, err)
	}
	var missing []string
	for _, file := range files {
		file = strings.TrimPrefix(file, string(name)+"/")
		var version int64
		if _, err := fmt.Sscanf(file, "%d_", &version); err != nil {
			return nil, fmt.Errorf("read the number of migration %s: %w", file, err)
		}
		if !applied[version] {
			missing = append(missing, file)
		}
	}
	return missing, nil
}
