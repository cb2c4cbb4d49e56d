package temporalserver

import (
	"context"
	"fmt"

	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	temporalschema "go.temporal.io/server/schema/postgresql/v12"
	"go.temporal.io/server/tools/common/schema"
	"go.temporal.io/server/tools/sql"

	"holdfast/tests/localservice"
)

// migrate makes Temporal's databases if they are missing and brings their schema to the version that this
// server needs. It runs the code of temporal-sql-tool, and does not change databases that are current.
func migrate(ctx context.Context, server string, db databases, logger log.Logger) error {
	for _, store := range []struct {
		cfg             config.SQL
		schema, version string
	}{
		{db.main, "postgresql/v12/temporal", temporalschema.Version},
		{db.visibility, "postgresql/v12/visibility", temporalschema.VisibilityVersion},
	} {
		if err := localservice.CreateDatabase(ctx, server, store.cfg.DatabaseName); err != nil {
			return err
		}
		conn, err := sql.NewConnection(&store.cfg, logger)
		if err != nil {
			return fmt.Errorf("connect to database %s: %w", store.cfg.DatabaseName, err)
		}
		err = bringUpToDate(conn, store.cfg.DatabaseName, store.schema, store.version, logger)
		conn.Close()
		if err != nil {
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
