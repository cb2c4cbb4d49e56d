package database

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// landmarks are a table of each database that no other one of ours has.
var landmarks = map[Name]string{Orders: "orders", Inventory: "stock_ledger", Sandbox: "charges"}

// variable is where a database's address is configured.
func variable(name Name) string { return strings.ToUpper(string(name)) + "_DATABASE_URL" }

// refuseOther fails when the database is another one of ours. Migrations are known by their numbers only, so
// those of one database would be taken for those of another.
func refuseOther(ctx context.Context, conn *pgx.Conn, name Name) error {
	for other, table := range landmarks {
		if other == name {
			continue
		}
		var there bool
		if err := conn.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", table).Scan(&there); err != nil {
			return fmt.Errorf("look what is in the %s database (%s): %w", name, variable(name), err)
		}
		if there {
			return fmt.Errorf("%s leads to the %s database, which has the table %s; each service needs a database of its own",
				variable(name), other, table)
		}
	}
	return nil
}

// refuseOtherAt is refuseOther of the database at url.
func refuseOtherAt(ctx context.Context, url string, name Name) (err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("the %s database does not answer (%s): %w", name, variable(name), err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	return refuseOther(ctx, conn, name)
}
