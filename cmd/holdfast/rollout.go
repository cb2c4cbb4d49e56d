package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/deployment"
	"holdfast/workers"
)

// gateFlags are the flags of the commands that check a version first.
type gateFlags struct {
	gate   deployment.Gate
	force  bool
	reason string
}

func (f *gateFlags) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.IntVar(&f.gate.ReplayLimit, "replay-limit", 500,
		"how many open orders to replay, the last started first; 0: all")
	flags.DurationVar(&f.gate.Window, "window", 15*time.Minute, "how far back failed workflows are counted")
	flags.Float64Var(&f.gate.MaxFailureRise, "max-failure-rise", 5,
		"by how many percentage points more workflows may fail than on the current version")
	flags.DurationVar(&f.gate.WorkerWait, "wait", 30*time.Second, "how long to wait for a worker of the version")
	flags.BoolVar(&f.force, "force", false, "go on although the checks find a problem; needs --reason")
	flags.StringVar(&f.reason, "reason", "", "why --force is right; kept in the version's metadata")
}

// change makes a change that the gate checks. If --force is given, it makes the change without the gate and notes the
// reason.
func (f *gateFlags) change(
	cmd *cobra.Command, buildID, what string,
	apply func(context.Context, *deployment.Deployment, *deployment.Gate) error,
) error {
	if f.force && f.reason == "" {
		return errors.New("--force needs --reason: say why the version may get orders in spite of its problems")
	}
	return withDeployment(cmd, func(ctx context.Context, d *deployment.Deployment, cfg deployConfig) error {
		if f.force {
			if err := apply(ctx, d, nil); err != nil {
				return err
			}
			return d.NoteForced(ctx, buildID, what, f.reason, actor())
		}

		errs := cmd.ErrOrStderr()
		if version() != buildID {
			fmt.Fprintf(errs, "note: the replays run the workflows of this binary, which is version %s; "+
				"run this command from the binary of %s\n", version(), buildID)
		}
		progress := newProgress(errs)
		gate := f.gate
		gate.Replayer = workers.NewReplayer(cfg.Temporal)
		gate.Progress = func(done, total int) { progress.at("replayed", done, total) }
		err := apply(ctx, d, &gate)
		progress.end()
		return hint(err, "--force --reason '...' goes on all the same")
	})
}

// hint adds how to go on to the error of a version that is not fit.
func hint(err error, how string) error {
	var refused *deployment.Refused
	if errors.As(err, &refused) {
		return fmt.Errorf("%w\n  %s", err, how)
	}
	return err
}

// actor names the person or the job that runs a command.
func actor() string {
	host, _ := os.Hostname()
	for _, name := range []string{"SUDO_USER", "USER", "LOGNAME"} {
		if user := os.Getenv(name); user != "" {
			return user + "@" + host
		}
	}
	return host
}

// gateHelp says what the gate checks.
const gateHelp = "Before it changes anything, it checks that a worker of the version polls every queue, that no\n" +
	"workflow on it is stuck, that not many more workflows fail on it than on the current version, and that the open\n" +
	"orders of the other versions replay with the code of this binary. If a check fails, it says what to do and exits\n" +
	"with status 1."

func newRamp() *cobra.Command {
	var flags gateFlags
	cmd := &cobra.Command{
		Use: "ramp BUILD_ID PERCENT", Args: arguments("BUILD_ID", "PERCENT"),
		Example: "  holdfast deploy ramp 1f2e3d4c5b6a 10",
		Short:   "Start a share of the new orders on a version.",
		Long: "Starts PERCENT of the new orders on the version BUILD_ID and the others on the current version. Open\n" +
			"orders stay where they are. 0 takes the ramp back.\n\n" + gateHelp,
		RunE: func(cmd *cobra.Command, args []string) error {
			percent, err := strconv.ParseFloat(args[1], 32)
			if err != nil {
				return fmt.Errorf("%q is not a share: choose 0 to 100 percent", args[1])
			}
			err = flags.change(cmd, args[0], fmt.Sprintf("ramp to %v %%", percent),
				func(ctx context.Context, d *deployment.Deployment, gate *deployment.Gate) error {
					if percent == 0 {
						gate = nil // fewer orders on a version need no check
					}
					return d.Ramp(ctx, args[0], float32(percent), gate)
				})
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "%v %% of the new orders start on %s\n", percent, args[0])
			}
			return err
		},
	}
	flags.define(cmd)
	return cmd
}

func newPromote() *cobra.Command {
	var flags gateFlags
	cmd := &cobra.Command{
		Use: "promote BUILD_ID", Args: arguments("BUILD_ID"), Example: "  holdfast deploy promote 1f2e3d4c5b6a",
		Short: "Start all new orders on a version.",
		Long:  "Makes the version BUILD_ID current. Open orders stay where they are.\n\n" + gateHelp,
		RunE: func(cmd *cobra.Command, args []string) error {
			err := flags.change(cmd, args[0], "promote",
				func(ctx context.Context, d *deployment.Deployment, gate *deployment.Gate) error {
					return d.Promote(ctx, args[0], gate)
				})
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "all new orders start on %s\n", args[0])
			}
			return err
		},
	}
	flags.define(cmd)
	return cmd
}

func newRollback() *cobra.Command {
	var to string
	var force bool
	cmd := &cobra.Command{
		Use: "rollback", Args: arguments(),
		Short: "Start new orders on the earlier version again.",
		Long: "Takes back a ramp. If no version ramps, it makes the version current that was current before. Orders\n" +
			"that began on the newer version stay on it: keep its workers, or move them with `holdfast deploy move`.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withDeployment(cmd, func(ctx context.Context, d *deployment.Deployment, _ deployConfig) error {
				v, err := d.Rollback(ctx, to, force)
				if err != nil {
					return hint(err, "--force goes back all the same")
				}
				fmt.Fprintf(cmd.OutOrStdout(), "all new orders start on %s\n", v.BuildID)
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the build id to go back to, if it is not the last one that was current")
	cmd.Flags().BoolVar(&force, "force", false, "go back although no worker of that version polls")
	return cmd
}
