package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/config"
	"holdfast/internal/database"
	"holdfast/inventory/archive"
)

// archiveConfig is the one database that the archive is in.
type archiveConfig struct {
	Inventory string `env:"INVENTORY_DATABASE_URL,required,notEmpty"`
}

// day is what ages are thought in.
const day = 24 * time.Hour

func newArchive() *cobra.Command {
	var o archive.Options
	cmd := &cobra.Command{
		Use: "archive", Args: cobra.NoArgs,
		Short: "Move finished reservations and old ledger entries out of the way, while the service runs.",
		Long: "Moves finished reservations with their lines, and old entries of the stock ledger, into the schema \"archive\" of the\n" +
			"inventory database, and deletes events that were published, or processed, long ago. The service runs on; each\n" +
			"batch is a transaction of its own, so this may be stopped or killed at any time and run again, also twice at once.\n\n" +
			"An entry follows its reservation, and the entries of an item leave in the order of its history: sums of what left\n" +
			"are kept, so that counters still equal the ledger. A confirmed reservation stays longer, because its stock can be\n" +
			"returned while it is here. No age may be below 48h, because calls may be repeated for that long.\n\n" +
			"Nothing that is archived comes to be a second time: a reserve under its id is answered already_resolved, everything\n" +
			"else that names it reservation_not_found with a detail that says so. Receipts, adjustments and transfers are\n" +
			"recognised for ever by their operation id.",
		RunE: func(cmd *cobra.Command, _ []string) error { return runArchive(cmd, o) },
	}
	flags := cmd.Flags()
	flags.DurationVar(&o.OlderThan, "older-than", 90*day, "least age of released and expired reservations and of ledger entries")
	flags.DurationVar(&o.ConfirmedOlderThan, "confirmed-older-than", 400*day, "least age of confirmed reservations, which returns need")
	flags.DurationVar(&o.OutboxOlderThan, "outbox-older-than", 30*day, "least age of published and of processed events, which are deleted")
	flags.IntVar(&o.Batch, "batch", 5000, "rows per transaction")
	flags.DurationVar(&o.Pause, "pause", 50*time.Millisecond, "how long to rest after each batch")
	flags.BoolVar(&o.DryRun, "dry-run", false, "write nothing and count what would be moved")
	o.ImportsOlderThan = 90 * day
	return cmd
}

func runArchive(cmd *cobra.Command, o archive.Options) error {
	start := time.Now()
	if err := o.Check(); err != nil {
		return err
	}
	cfg, err := config.Load[archiveConfig]()
	if err != nil {
		return err
	}
	if err := database.Check(cmd.Context(), cfg.Inventory, database.Inventory); err != nil {
		return err
	}
	// Its own limits: a batch takes longer than a request may, and waits only for another batch.
	pool, err := database.Open(context.WithoutCancel(cmd.Context()), cfg.Inventory, database.Pool{
		MaxConns: 1, ConnectTimeout: 5 * time.Second, StatementTimeout: 5 * time.Minute, LockTimeout: time.Minute, IndexOnly: true,
	}, "archive", nil)
	if err != nil {
		return err
	}
	defer pool.Close()
	progress := newProgress(cmd.ErrOrStderr())
	o.Progress = func(step string, done int) { progress.at(step, done, 0) }
	sum, err := archive.Run(cmd.Context(), pool, o)
	progress.end()
	out := cmd.OutOrStdout()
	if o.DryRun {
		fmt.Fprintln(out, "dry run: nothing was written")
	}
	fmt.Fprintf(out, "reservations  %d: %d confirmed, %d released, %d expired, %d tombstones; %d lines\nledger        %d entries\n"+
		"deleted       %d published events, %d processed events, %d records of imports and named operations\nbatches       %d\ntime          %s\n",
		sum.Reservations(), sum.Confirmed, sum.Released, sum.Expired, sum.Tombstones, sum.Lines, sum.Entries,
		sum.Events, sum.Processed, sum.Imports, sum.Batches, time.Since(start).Round(time.Millisecond))
	if err != nil {
		return fmt.Errorf("archive: %w; what is counted above is done, run this again to go on", err)
	}
	if sum.Stopped {
		fmt.Fprintln(out, "stopped before the end; run this again to go on")
	}
	return nil
}
