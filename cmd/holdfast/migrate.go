package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/config"
	"holdfast/internal/database"
	"holdfast/internal/unanswered"
)

// migrateCommand works on the databases that the environment names, or on one of them.
type migrateCommand struct {
	only string
}

func newMigrate() *cobra.Command {
	m := &migrateCommand{}
	var all, confirmed bool
	cmd := &cobra.Command{
		Use: "migrate", Args: arguments(),
		Short: "Bring the databases to the newest schema, and create databases that are missing.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !all {
				return m.each(cmd, m.up)
			}
			if !confirmed {
				return fmt.Errorf("--down destroys every order and all stock; add --yes to go on")
			}
			return m.each(cmd, m.run(database.MigrateDown))
		},
	}
	cmd.PersistentFlags().StringVar(&m.only, "database", "", "work on this database only: orders, inventory or sandbox")
	cmd.Flags().BoolVar(&all, "down", false, "take every migration back, which destroys all data")
	cmd.Flags().BoolVar(&confirmed, "yes", false, "confirm --down")
	cmd.AddCommand(m.status(), m.down(), m.to())
	return cmd
}

func (m *migrateCommand) status() *cobra.Command {
	return &cobra.Command{
		Use: "status", Args: arguments(), Short: "List the migrations, and which are applied.",
		Long: "Lists the migrations of the databases that the environment names, or else of those of `make up`\n" +
			"in this folder.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			vars, err := readerEnvironment(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			cfg, err := config.LoadFrom[databases](vars)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			err = m.eachOf(cmd, cfg, func(cmd *cobra.Command, name database.Name, url string) error {
				list, err := database.Status(cmd.Context(), url, name)
				for _, one := range list {
					applied := "not applied"
					if !one.At.IsZero() {
						applied = one.At.UTC().Format(time.RFC3339)
					}
					fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", name, one.Version, one.File, applied)
				}
				return err
			})
			if flushErr := w.Flush(); err == nil {
				err = flushErr
			}
			return err
		},
	}
}

func (m *migrateCommand) down() *cobra.Command {
	var confirmed bool
	cmd := &cobra.Command{
		Use: "down", Args: arguments(), Short: "Take the newest migration of one database back.",
		Long: "Takes the newest migration of the database of --database back. What the migration added is lost, so back\n" +
			"up first, and stop the version that needs it.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if m.only == "" {
				return fmt.Errorf("name the database: --database orders, inventory or sandbox")
			}
			if !confirmed {
				return fmt.Errorf("taking a migration back destroys what it added; add --yes to go on")
			}
			return m.each(cmd, m.run(database.MigrateBack))
		},
	}
	cmd.Flags().BoolVar(&confirmed, "yes", false, "confirm that what the migration added is lost")
	return cmd
}

func (m *migrateCommand) to() *cobra.Command {
	var confirmed bool
	cmd := &cobra.Command{
		Use: "to VERSION", Args: arguments("VERSION"), Short: "Bring one database to a version, up or down.",
		Example: "  holdfast migrate to 12 --database orders",
		Long: "Applies the migrations of the database of --database up to VERSION, or takes those above it back. The way\n" +
			"back destroys what they added.",
		RunE: func(cmd *cobra.Command, args []string) error {
			version, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil || version < 0 {
				return fmt.Errorf("%q is not a version; `holdfast migrate status` lists them", args[0])
			}
			if m.only == "" {
				return fmt.Errorf("name the database: --database orders, inventory or sandbox")
			}
			return m.each(cmd, func(cmd *cobra.Command, name database.Name, url string) error {
				current, err := database.Version(cmd.Context(), url, name)
				if err != nil {
					return err
				}
				if version < current && !confirmed {
					return fmt.Errorf("going back from version %d to %d destroys what the migrations between them added; "+
						"add --yes to go on", current, version)
				}
				return m.run(func(ctx context.Context, url string, name database.Name) ([]database.Applied, error) {
					return database.MigrateTo(ctx, url, name, version)
				})(cmd, name, url)
			})
		},
	}
	cmd.Flags().BoolVar(&confirmed, "yes", false, "confirm that what is taken back is lost")
	return cmd
}

// each calls do for each database that has an address, or for the one of --database.
func (m *migrateCommand) each(cmd *cobra.Command, do func(*cobra.Command, database.Name, string) error) error {
	cfg, err := config.Load[databases]()
	if err != nil {
		return err
	}
	return m.eachOf(cmd, cfg, do)
}

func (m *migrateCommand) eachOf(
	cmd *cobra.Command, cfg databases, do func(*cobra.Command, database.Name, string) error,
) error {
	urls := map[database.Name]string{
		database.Orders:    cfg.Orders,
		database.Inventory: cfg.Inventory,
		database.Sandbox:   cfg.Sandbox,
	}
	names := database.Names()
	if m.only != "" {
		if names = []database.Name{database.Name(m.only)}; !slices.Contains(database.Names(), names[0]) {
			return fmt.Errorf("there is no database %q; it is orders, inventory or sandbox", m.only)
		}
		if urls[names[0]] == "" {
			return fmt.Errorf("%s_DATABASE_URL is not set", strings.ToUpper(m.only))
		}
	}

	for _, name := range names {
		if urls[name] == "" {
			continue
		}
		if err := do(cmd, name, urls[name]); err != nil {
			return err
		}
	}
	return nil
}

// up creates the database if it is missing, and applies what is not applied.
func (m *migrateCommand) up(cmd *cobra.Command, name database.Name, url string) error {
	created, err := database.EnsureDatabase(cmd.Context(), url)
	if unanswered.IsDial(err) {
		return database.NoAnswer(url, name, err)
	}
	if err != nil {
		return fmt.Errorf("the %s database: %w", name, err)
	}
	if created {
		fmt.Fprintf(cmd.OutOrStdout(), "%-10s database created\n", name)
	}
	return m.run(database.Migrate)(cmd, name, url)
}

// run makes a step of each that migrates a database and prints what it did, also if it failed after a part.
func (m *migrateCommand) run(
	migrate func(context.Context, string, database.Name) ([]database.Applied, error),
) func(*cobra.Command, database.Name, string) error {
	return func(cmd *cobra.Command, name database.Name, url string) error {
		out := cmd.OutOrStdout()
		applied, err := migrate(cmd.Context(), url, name)
		for _, a := range applied {
			fmt.Fprintf(out, "%-10s %-4s %s\n", name, a.Direction, a.File)
		}
		if err == nil && len(applied) == 0 {
			fmt.Fprintf(out, "%-10s is current\n", name)
		}
		return err
	}
}
