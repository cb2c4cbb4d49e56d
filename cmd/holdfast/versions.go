package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/await"
	"holdfast/internal/deployment"
	"holdfast/workers"
	"holdfast/workflows/orderflow"
)

func newDeployStatus() *cobra.Command {
	var window time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status", Args: arguments(),
		Short: "List the versions of the worker with their workers and open orders.",
		Long: "For each version: what Temporal does with it, how many workers poll each queue, the open workflows that\n" +
			"only its workers carry on, how many of them are stuck (their workflow tasks fail), and how many workflows\n" +
			"ended and failed lately. It changes nothing.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withDeployment(cmd, func(ctx context.Context, d *deployment.Deployment, _ deployConfig) error {
				status, err := d.Status(ctx, window)
				if err != nil {
					return err
				}
				if asJSON {
					encoder := json.NewEncoder(cmd.OutOrStdout())
					encoder.SetIndent("", "  ")
					return encoder.Encode(status)
				}
				return printStatus(cmd.OutOrStdout(), status)
			})
		},
	}
	cmd.Flags().DurationVar(&window, "window", time.Hour, "how far back ended workflows are counted")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printStatus(out io.Writer, s deployment.Status) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "VERSION\tSTATE\tWORKERS\tORDERS\tRESERVATIONS\tOTHERS\tSTUCK\tFAILED (LAST %s)\n", s.Window)
	for _, v := range s.Versions {
		state := string(v.State)
		if v.State == deployment.Ramping {
			state = fmt.Sprintf("%s %v %%", v.State, v.RampPercent)
		}
		polling := v.Workers[orderflow.OrdersQueue]
		count := strconv.Itoa(polling)
		if payments := v.Workers[orderflow.PaymentsQueue]; payments != polling {
			count = fmt.Sprintf("%d (%s: %d)", polling, orderflow.PaymentsQueue, payments)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d of %d\n", v.BuildID, state, count,
			v.Open.Orders, v.Open.Reservations, v.Open.Others, v.Stuck, v.Failed, v.Closed)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if s.Elsewhere > 0 {
		fmt.Fprintf(out, "%d open orders and reservations are on no version: no worker has begun them yet\n", s.Elsewhere)
	}
	for _, v := range s.Versions {
		if v.Open.Total() > 0 && !v.Polls() {
			fmt.Fprintf(out, "version %s has open workflows and no worker: start its workers again, or move them with "+
				"`holdfast deploy move --from %s --to BUILD_ID`\n", v.BuildID, v.BuildID)
		}
	}
	return nil
}

func newDrain() *cobra.Command {
	var wait time.Duration
	var allowOpen bool
	cmd := &cobra.Command{
		Use: "drain BUILD_ID", Args: arguments("BUILD_ID"), Example: "  holdfast deploy drain 1f2e3d4c5b6a --wait 24h",
		Short: "Say whether the last worker of a version may stop.",
		Long: "Exits with status 0 if no new order starts on the version, no open workflow is on it, and Temporal has\n" +
			"confirmed that it is drained, which takes some minutes after the last one has ended. Otherwise it says what\n" +
			"holds the version up and exits with status 1. Run it before the last worker of a version stops. It changes\n" +
			"nothing.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return withDeployment(cmd, func(ctx context.Context, d *deployment.Deployment, _ deployConfig) error {
				err := awaitDrained(ctx, cmd, d, args[0], wait)
				var busy *deployment.Busy
				switch {
				case err == nil:
					fmt.Fprintf(cmd.OutOrStdout(), "version %s is drained: its workers may stop\n", args[0])
				case allowOpen && errors.As(err, &busy) && !busy.Version.State.TakesNewOrders():
					fmt.Fprintf(cmd.OutOrStdout(), "allowed to stop with open workflows: %v\n", err)
				default:
					return err
				}
				return nil
			})
		},
	}
	cmd.Flags().DurationVar(&wait, "wait", 0, "how long to wait for the version to drain")
	cmd.Flags().BoolVar(&allowOpen, "allow-open-orders", false,
		"exit with status 0 although open workflows will wait until a worker of the version runs again")
	return cmd
}

// awaitDrained waits until a version is drained, or returns what holds it up once wait has passed.
func awaitDrained(
	ctx context.Context, cmd *cobra.Command, d *deployment.Deployment, buildID string, wait time.Duration,
) error {
	const interval = 2 * time.Second
	progress := newProgress(cmd.ErrOrStderr())
	defer progress.end()
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var last error
	err := await.Until(waiting, interval, func() error {
		last = d.Drain(ctx, buildID)
		var busy *deployment.Busy
		switch {
		case !errors.As(last, &busy):
			return await.Never(last)
		case busy.Version.State.TakesNewOrders(): // waiting changes nothing about that
			return await.Never(last)
		}
		if wait > 0 {
			progress.at("open workflows", int(busy.Version.Open.Total()), 0)
		}
		return last
	})
	if err == nil {
		return nil
	}
	return last
}

func newMove() *cobra.Command {
	var m deployment.Move
	cmd := &cobra.Command{
		Use: "move --from BUILD_ID --to BUILD_ID", Args: arguments(),
		Short: "Move open orders to another version, after a replay of each.",
		Long: "Pins the open workflows of one version to another one, so that the workers of the first may stop. It\n" +
			"replays the history of each with the code of this binary before it moves any, and moves none if one does\n" +
			"not replay. So run it from the binary of the version --to. You may stop it at any time and run it again.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if m.Batch < 1 {
				return fmt.Errorf("--batch is %d: at least 1", m.Batch)
			}
			return withDeployment(cmd, func(ctx context.Context, d *deployment.Deployment, cfg deployConfig) error {
				return runMove(ctx, cmd, d, cfg, m)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&m.From, "from", "", "the version that carries the workflows on now (required)")
	flags.StringVar(&m.To, "to", "", "the version that takes them over (required)")
	flags.IntVar(&m.Batch, "batch", 50, "how many workflows are moved at once")
	flags.BoolVar(&m.SkipDiverging, "skip-diverging", false, "leave workflows where they are that do not replay")
	flags.BoolVar(&m.DryRun, "dry-run", false, "replay and move nothing")
	flags.DurationVar(&m.WorkerWait, "wait", 30*time.Second, "how long to wait for a worker of the version --to")
	for _, name := range []string{"from", "to"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flag is defined above
		}
	}
	return cmd
}

func runMove(
	ctx context.Context, cmd *cobra.Command, d *deployment.Deployment, cfg deployConfig, m deployment.Move,
) error {
	progress := newProgress(cmd.ErrOrStderr())
	m.Replayer = workers.NewReplayer(cfg.Temporal)
	m.Progress = progress.at
	sum, err := d.Move(ctx, m)
	progress.end()

	out := cmd.OutOrStdout()
	for _, r := range sum.Diverging {
		printResult(out, r)
	}
	fmt.Fprintf(out, "%d open workflows on %s: %d moved to %s, %d do not replay, %d ended meanwhile\n",
		sum.Found, m.From, sum.Moved, m.To, len(sum.Diverging), sum.Ended)
	if m.DryRun && err == nil {
		fmt.Fprintln(out, "dry run: nothing was moved")
	}
	return err
}
