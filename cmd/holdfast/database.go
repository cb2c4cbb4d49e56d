package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"holdfast/internal/config"
	"holdfast/internal/database"
	"holdfast/internal/redisclient"
)

// databases are the addresses that migrate, seed and sync work on.
type databases struct {
	Orders    string `env:"ORDERS_DATABASE_URL,required,notEmpty"`
	Inventory string `env:"INVENTORY_DATABASE_URL,required,notEmpty"`
	Sandbox   string `env:"SANDBOX_DATABASE_URL"` // only if the payment sandbox is used

	Redis redisclient.Config // of the inventory service's cache, if it has one
}

func newMigrate() *cobra.Command {
	var down, confirmed bool
	cmd := &cobra.Command{
		Use: "migrate", Args: cobra.NoArgs,
		Short: "Bring the databases to the newest schema, and create databases that are missing.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load[databases]()
			if err != nil {
				return err
			}
			if down && !confirmed {
				return fmt.Errorf("--down destroys every order and all stock; add --yes to go on")
			}

			urls := map[database.Name]string{
				database.Orders:    cfg.Orders,
				database.Inventory: cfg.Inventory,
				database.Sandbox:   cfg.Sandbox,
			}
			for _, name := range database.Names() {
				if urls[name] == "" {
					continue
				}
				if err := migrate(cmd, name, urls[name], down); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&down, "down", false, "take every migration back, which destroys all data")
	cmd.Flags().BoolVar(&confirmed, "yes", false, "confirm --down")
	return cmd
}

func migrate(cmd *cobra.Command, name database.Name, url string, down bool) error {
	out := cmd.OutOrStdout()
	run := database.Migrate
	if down {
		run = database.MigrateDown
	} else if created, err := database.EnsureDatabase(cmd.Context(), url); err != nil {
		return fmt.Errorf("the %s database: %w", name, err)
	} else if created {
		fmt.Fprintf(out, "%-10s database created\n", name)
	}
	applied, err := run(cmd.Context(), url, name)
	for _, a := range applied {
		fmt.Fprintf(out, "%-10s %-4s %s\n", name, a.Direction, a.File)
	}
	if err == nil && len(applied) == 0 {
		fmt.Fprintf(out, "%-10s is current\n", name)
	}
	return err
}
