package temporalserver

import (
	"context"
	"fmt"

	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql"
	temporalschema "go.temporal.io/server/schema/postgresql/v12"
	"go.temporal.io/server/tools/common/schema"
	"go.temporal.io/server/tools/sql"

	"holdfast/internal/localservice"
)

// stores are Temporal's databases with the schema that the server binary carries for each.
var stores = []struct{ database, schema, version string }{
	{mainDatabase, "postgresql/v12/temporal", temporalschema.Version},
	{visibilityDatabase, "postgresql/v12/visibility", temporalschema.VisibilityVersion},
}

// The plugin is used by its name; this makes sure that it is linked.
var _ = postgresql.PluginNamePGX

// migrate makes Temporal's databases where they are missing and brings their schema to the version
// this server wants. It runs the code of temporal-sql-tool and does nothing on databases that are
// current.
func migrate(ctx context.Context, server string, base config.SQL, logger log.Logger) error {
	for _, store := range stores {
		if err := localservice.CreateDatabase(ctx, server, store.database); err != nil {
			return err
		}
		cfg := onDatabase(base, store.database)
		conn, err := sql.NewConnection(&cfg, logger)
		if err != nil {
			return fmt.Errorf("connect to database %s: %w", store.database, err)
		}
		err = bringUpToDate(conn, store.database, store.schema, store.version, logger)
		conn.Close()
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func bringUpToDate(conn *sql.Connection, database, name, version string, logger log.Logger) error {
	current, err := conn.ReadSchemaVersion()
	if err == nil && current == version {
		return nil
	}
	if err != nil { // no version table yet: a new database
		setup := &schema.SetupConfig{InitialVersion: "0.0"}
		if err := schema.NewSetupSchemaTask(conn, setup, logger).Run(); err != nil {
			return fmt.Errorf("set up the schema of %s: %w", database, err)
		}
	}
	update := &schema.UpdateConfig{DBName: database, SchemaName: name}
	if err := schema.NewUpdateSchemaTask(conn, update, logger).Run(); err != nil {
		return fmt.Errorf("update the schema of %s: %w", database, err)
	}
	return nil
}
