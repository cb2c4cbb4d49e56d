package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/catalogsync"
	"holdfast/internal/config"
)

func newSync() *cobra.Command {
	var o catalogsync.Options
	cmd := &cobra.Command{
		Use: "sync", Args: cobra.NoArgs,
		Short: "Give each active product of the catalogue that inventory does not know its first stock.",
		Long: "Copies the active products of the catalogue to inventory: one without any stock-keeping gets the default quantity at\n" +
			"the location. Existing stock is never changed, so it can be run again at any time, also after it was stopped.",
		RunE: func(cmd *cobra.Command, _ []string) error { return runSync(cmd, o) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.DryRun, "dry-run", false, "write nothing and say what would happen")
	flags.Int64Var(&o.Quantity, "default-quantity", 100, "how much of a new product there is")
	flags.StringVar(&o.Location, "location", "main", "the code of the location that it lies at")
	return cmd
}

func runSync(cmd *cobra.Command, o catalogsync.Options) error {
	start := time.Now()
	cfg, err := config.Load[databases]()
	if err != nil {
		return err
	}
	stores, err := openStores(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	defer stores.close()
	progress := newProgress(cmd.ErrOrStderr())
	o.Progress = func(done int) { progress.at("products", done, 0) }
	sum, err := catalogsync.Run(cmd.Context(), stores.orders, stores.stock, o)
	progress.end()
	if err != nil && sum.Seen() == 0 {
		return fmt.Errorf("sync: %w", err) // nothing was begun
	}
	out := cmd.OutOrStdout()
	if o.DryRun {
		fmt.Fprintln(out, "dry run: nothing was written")
	}
	fmt.Fprintf(out, "new       %d, with %d units each at %s\nexisting  %d, unchanged\nskipped   %d, inactive\nfailed    %d\n",
		sum.New, o.Quantity, o.Location, sum.Existing, sum.Skipped, len(sum.Failed))
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
