package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/catalogsync"
	"holdfast/internal/config"
)

// syncConfig is what sync reads from the environment; a flag comes before its variable.
type syncConfig struct {
	Databases databases
	Quantity  int64 `env:"SYNC_DEFAULT_QUANTITY" envDefault:"100"`
}

func newSync() *cobra.Command {
	var o catalogsync.Options
	cmd := &cobra.Command{
		Use: "sync", Args: arguments(),
		Short: "Give first stock to each active product of the catalogue that inventory does not know.",
		Long: "Copies the active products of the catalogue to inventory. A product that inventory does not know gets the\n" +
			"default quantity at the location. The command never changes existing stock, so an operator can run it again\n" +
			"at any time, also after it was stopped.",
		RunE: func(cmd *cobra.Command, _ []string) error { return runSync(cmd, o) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.DryRun, "dry-run", false, "write nothing and report what would happen")
	flags.Int64Var(&o.Quantity, "default-quantity", 100,
		"how many units a new product gets; without it SYNC_DEFAULT_QUANTITY counts")
	flags.StringVar(&o.Location, "location", "main", "the code of the location that gets the units")
	return cmd
}

func runSync(cmd *cobra.Command, o catalogsync.Options) error {
	start := time.Now()
	cfg, err := config.Load[syncConfig]()
	if err != nil {
		return err
	}
	if !cmd.Flags().Changed("default-quantity") {
		o.Quantity = cfg.Quantity
	}
	stores, err := openStores(cmd.Context(), cfg.Databases)
	if err != nil {
		return err
	}
	defer stores.close()

	progress := newProgress(cmd.ErrOrStderr())
	o.Progress = func(done int) { progress.at("products", done, 0) }
	sum, err := catalogsync.Run(cmd.Context(), stores.orders, stores.stock, o)
	progress.end()
	if err != nil && sum.Seen() == 0 {
		return fmt.Errorf("sync: %w", err) // it has done nothing
	}

	out := cmd.OutOrStdout()
	if o.DryRun {
		fmt.Fprintln(out, "dry run: nothing was written")
	}
	fmt.Fprintf(out, "new       %d, with %d units each at %s\n", sum.New, o.Quantity, o.Location)
	fmt.Fprintf(out, "existing  %d, unchanged\n", sum.Existing)
	fmt.Fprintf(out, "skipped   %d, inactive\n", sum.Skipped)
	fmt.Fprintf(out, "failed    %d\n", len(sum.Failed))
	for _, f := range sum.Failed {
		fmt.Fprintf(out, "          %s (%s): %v\n", f.SKU, f.ProductID, f.Err)
	}
	fmt.Fprintf(out, "time      %s\n", time.Since(start).Round(time.Millisecond))
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	if n := len(sum.Failed); n > 0 {
		return fmt.Errorf("sync: %d products failed; each is named above", n)
	}
	return nil
}
