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

// archiveConfig names the database of the archive command.
type archiveConfig struct {
	Inventory string `env:"INVENTORY_DATABASE_URL,required,notEmpty"`
}

// day is the unit of the default ages.
const day = 24 * time.Hour

func newArchive() *cobra.Command {
	var o archive.Options
	cmd := &cobra.Command{
		Use: "archive", Args: arguments(),
		Short: "Move finished reservations and old ledger entries out of the way, while the service runs.",
		Long: "Moves finished reservations with their lines, and old entries of the stock ledger, into the schema\n" +
			"\"archive\" of the inventory database, and deletes events that were published, or processed, long ago. The\n" +
			"service runs on. Each batch is a transaction of its own, so an operator may stop or kill the command at any\n" +
			"time and run it again, also twice at once.\n\n" +
			"The command archives a ledger entry after its reservation, and the entries of an item in the order of\n" +
			"its history. It keeps sums of the entries that it archived, so that counters still equal the ledger. A\n" +
			"confirmed reservation stays longer, because a return of its stock needs it. Every age is at least 48h,\n" +
			"because callers may repeat a call for that long.\n\n" +
			"An archived reservation cannot be made again. The service answers a reserve under its id with\n" +
			"already_resolved, and any other request for it with reservation_not_found and a detail that says why. It\n" +
			"recognises receipts, adjustments and transfers for ever by their operation id.",
		RunE: func(cmd *cobra.Command, _ []string) error { return runArchive(cmd, o) },
	}
	flags := cmd.Flags()
	flags.DurationVar(&o.OlderThan, "older-than", 90*day,
		"least age of released and expired reservations and of ledger entries")
	flags.DurationVar(&o.ConfirmedOlderThan, "confirmed-older-than", 400*day,
		"least age of confirmed reservations, which returns need")
	flags.DurationVar(&o.OutboxOlderThan, "outbox-older-than", 30*day,
		"least age of published and of processed events, which are deleted")
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

	// The pool has limits of its own: a batch takes longer than a request may, and waits only for another batch.
	limits := database.Pool{
		MaxConns:         1,
		ConnectTimeout:   5 * time.Second,
		StatementTimeout: 5 * time.Minute,
		LockTimeout:      time.Minute,
		IndexOnly:        true,
	}
	pool, err := database.Open(context.WithoutCancel(cmd.Context()), cfg.Inventory, limits, "archive", nil)
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
	fmt.Fprintf(out, "reservations  %d: %d confirmed, %d released, %d expired, %d tombstones; %d lines\n",
		sum.Reservations(), sum.Confirmed, sum.Released, sum.Expired, sum.Tombstones, sum.Lines)
	fmt.Fprintf(out, "ledger        %d entries\n", sum.Entries)
	fmt.Fprintf(out,
		"deleted       %d published events, %d processed events, %d records of imports and named operations\n",
		sum.Events, sum.Processed, sum.Imports)
	fmt.Fprintf(out, "batches       %d\n", sum.Batches)
	fmt.Fprintf(out, "time          %s\n", time.Since(start).Round(time.Millisecond))
	if err != nil {
		return fmt.Errorf("archive: %w; the work counted above is done; run this again to go on", err)
	}
	if sum.Stopped {
		fmt.Fprintln(out, "stopped before the end; run this again to go on")
	}
	return nil
}
