package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // registers the "pgx" driver that goose works through
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"holdfast/db/migrations"
)

// Name is the name of a database of the project, and of the directory of its migrations.
type Name string

// The databases, one per service.
const (
	Orders    Name = "orders"
	Inventory Name = "inventory"
	Sandbox   Name = "sandbox"
)

// Names lists every database that has migrations.
func Names() []Name { return []Name{Orders, Inventory, Sandbox} }

// Applied is one migration that a run applied or took back.
type Applied struct {
	File      string
	Direction string // "up" or "down"
}

// Migrate brings the database at url to the newest schema. Concurrent runs are safe: a session-level advisory lock lets
// one run work while the others wait, and then they have nothing to do.
func Migrate(ctx context.Context, url string, name Name) ([]Applied, error) {
	return withProvider(ctx, url, name, func(p *goose.Provider) ([]*goose.MigrationResult, error) {
		return p.Up(ctx)
	})
}

// MigrateDown takes every migration back, newest first. It destroys data.
func MigrateDown(ctx context.Context, url string, name Name) ([]Applied, error) {
	return withProvider(ctx, url, name, func(p *goose.Provider) ([]*goose.MigrationResult, error) {
		return p.DownTo(ctx, 0)
	})
}

// MigrateBack takes the newest migration back. It destroys what the migration added. It returns nothing if there is
// none.
func MigrateBack(ctx context.Context, url string, name Name) ([]Applied, error) {
	return withProvider(ctx, url, name, func(p *goose.Provider) ([]*goose.MigrationResult, error) {
		result, err := p.Down(ctx)
		if errors.Is(err, goose.ErrNoNextVersion) {
			return nil, nil
		}
		if result == nil {
			return nil, err
		}
		return []*goose.MigrationResult{result}, err
	})
}

// MigrateTo applies migrations, or takes them back, until version is the newest that is applied. 0 is the empty
// database. It returns an error if no migration has the version.
func MigrateTo(ctx context.Context, url string, name Name, version int64) ([]Applied, error) {
	return withProvider(ctx, url, name, func(p *goose.Provider) ([]*goose.MigrationResult, error) {
		known := slices.ContainsFunc(p.ListSources(), func(s *goose.Source) bool { return s.Version == version })
		if version != 0 && !known {
			return nil, fmt.Errorf("there is no migration %d; `holdfast migrate status` lists them", version)
		}
		current, err := p.GetDBVersion(ctx)
		if err != nil {
			return nil, err
		}
		if version < current {
			return p.DownTo(ctx, version)
		}
		return p.UpTo(ctx, version)
	})
}

// Version returns the newest version that is applied, 0 if none is.
func Version(ctx context.Context, url string, name Name) (version int64, err error) {
	_, err = withProvider(ctx, url, name, func(p *goose.Provider) ([]*goose.MigrationResult, error) {
		version, err = p.GetDBVersion(ctx)
		return nil, err
	})
	return version, err
}

// Migration is one migration of this binary, and when it was applied.
type Migration struct {
	Version int64
	File    string
	At      time.Time // zero: not applied
}

// Status lists the migrations of this binary, oldest first.
func Status(ctx context.Context, url string, name Name) (list []Migration, err error) {
	_, err = withProvider(ctx, url, name, func(p *goose.Provider) ([]*goose.MigrationResult, error) {
		status, err := p.Status(ctx)
		for _, s := range status {
			m := Migration{Version: s.Source.Version, File: s.Source.Path}
			if s.State == goose.StateApplied {
				m.At = s.AppliedAt
			}
			list = append(list, m)
		}
		return nil, err
	})
	return list, err
}

func withProvider(
	ctx context.Context,
	url string,
	name Name,
	run func(*goose.Provider) ([]*goose.MigrationResult, error),
) (done []Applied, err error) {
	if err := refuseOtherAt(ctx, url, name); err != nil {
		return nil, err
	}
	files, err := fs.Sub(migrations.FS, string(name))
	if err != nil {
		return nil, fmt.Errorf("open the %s migrations: %w", name, err)
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return nil, fmt.Errorf("make the migration lock: %w", err)
	}
	conn, err := sql.Open("pgx", url)
	if err != nil {
		return nil, fmt.Errorf("open the %s database: %w", name, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()

	p, err := goose.NewProvider(goose.DialectPostgres, conn, files, goose.WithSessionLocker(locker))
	if err != nil {
		return nil, fmt.Errorf("read the %s migrations: %w", name, err)
	}
	results, err := run(p)
	for _, r := range results {
		done = append(done, Applied{File: r.Source.Path, Direction: r.Direction})
	}
	if err != nil {
		return done, fmt.Errorf("migrate the %s database: %w", name, err)
	}
	return done, nil
}

// EnsureDatabase creates the database that url names if it is missing, through the server's "postgres" database. It is
// idempotent, also if two processes call it at once.
func EnsureDatabase(ctx context.Context, url string) (created bool, err error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return false, fmt.Errorf("parse the database URL: %w", err)
	}
	name := cfg.Database
	cfg.Database = "postgres"
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return false, fmt.Errorf("connect to create database %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()

	var exists bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)", name).Scan(&exists)
	if err != nil {
		return false, fmt.Errorf("look for database %s: %w", name, err)
	}
	if exists {
		return false, nil
	}

	_, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
	if IsUniqueViolation(err, "pg_database_datname_index") || hasCode(err, pgerrcode.DuplicateDatabase) {
		return false, nil // another process was first
	}
	if err != nil {
		return false, fmt.Errorf("create database %s: %w", name, err)
	}
	return true, nil
}
