package database

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// landmarks names for each database a table that it has from its first migration on and that the other databases do not
// have.
var landmarks = map[Name]string{Orders: "orders", Inventory: "items", Sandbox: "charges"}

// variable returns the environment variable with a database's URL.
func variable(name Name) string { return strings.ToUpper(string(name)) + "_DATABASE_URL" }

// refuseOther fails if the connection leads to another database of the project. The migration table has only numbers,
// so a migration of one database would count as the migration with that number of the other.
func refuseOther(ctx context.Context, conn *pgx.Conn, name Name) error {
	others, tables := []Name{}, []string{}
	for other, table := range landmarks {
		if other != name {
			others, tables = append(others, other), append(tables, table)
		}
	}
	var there []bool
	// The simple protocol keeps this statement, which each connection runs once, out of the statement cache.
	err := conn.QueryRow(ctx, `
		SELECT array_agg(to_regclass(name) IS NOT NULL ORDER BY at)
		FROM unnest($1::text[]) WITH ORDINALITY AS t (name, at)`,
		pgx.QueryExecModeSimpleProtocol, tables).Scan(&there)
	if err != nil {
		return fmt.Errorf("look what is in the %s database (%s): %w", name, variable(name), err)
	}
	if i := slices.Index(there, true); i >= 0 {
		return fmt.Errorf("%s leads to the %s database, which has the table %s; each service needs a database of its own",
			variable(name), others[i], tables[i])
	}
	return nil
}

// refuseOtherAt is refuseOther for the database at url.
func refuseOtherAt(ctx context.Context, url string, name Name) (err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return NoAnswer(url, name, err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	return refuseOther(ctx, conn, name)
}
