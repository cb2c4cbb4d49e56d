package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"holdfast/internal/config"
	"holdfast/internal/database"
	"holdfast/internal/orderstore"
	"holdfast/internal/seed"
	"holdfast/inventory"
)

// databases are the addresses that migrate and seed work on.
type databases struct {
	Orders    string `env:"ORDERS_DATABASE_URL,required,notEmpty"`
	Inventory string `env:"INVENTORY_DATABASE_URL,required,notEmpty"`
	Sandbox   string `env:"SANDBOX_DATABASE_URL"` // only where the payment sandbox is used
}

func newMigrate() *cobra.Command {
	var down, confirmed bool
	cmd := &cobra.Command{
		Use: "migrate", Args: cobra.NoArgs,
		Short: "Bring the databases to the newest schema; makes databases that are missing.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load[databases]()
			if err != nil {
				return err
			}
			if down && !confirmed {
				return fmt.Errorf("--down destroys every order and all stock; add --yes to go on")
			}
			urls := map[database.Name]string{database.Orders: cfg.Orders, database.Inventory: cfg.Inventory, database.Sandbox: cfg.Sandbox}
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
		return err
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

func newSeed() *cobra.Command {
	var dataset string
	cmd := &cobra.Command{
		Use: "seed", Args: cobra.NoArgs,
		Short: "Fill the catalogue and the stock with example products; a rerun changes nothing.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load[databases]()
			if err != nil {
				return err
			}
			orders, err := pgxpool.New(cmd.Context(), cfg.Orders)
			if err != nil {
				return fmt.Errorf("open the orders database: %w", err)
			}
			defer orders.Close()
			stock, err := pgxpool.New(cmd.Context(), cfg.Inventory)
			if err != nil {
				return fmt.Errorf("open the inventory database: %w", err)
			}
			defer stock.Close()
			start := time.Now()
			sum, err := seedAll(cmd.Context(), dataset, orders, stock)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "seeded %q: %d products (%d new), %d units received, in %s\n",
				dataset, sum.Products, sum.New, sum.Units, time.Since(start).Round(time.Millisecond))
			return nil
		},
	}
	cmd.Flags().StringVar(&dataset, "dataset", "dev", "dev: 100 products, a fifth of them low on stock · test: 20 products with predictable stock")
	return cmd
}

func seedAll(ctx context.Context, dataset string, orders, stock *pgxpool.Pool) (seed.Summary, error) {
	return seed.Run(ctx, dataset, orderstore.New(orders), inventory.New(inventory.Options{Pool: stock}))
}
