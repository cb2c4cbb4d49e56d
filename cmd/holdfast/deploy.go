package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/config"
	"holdfast/internal/deployment"
	"holdfast/internal/temporalclient"
	"holdfast/workers"
	"holdfast/workflows/orderflow"
)

// deployConfig names the worker deployment that the commands below work on.
type deployConfig struct {
	Temporal   temporalclient.Config
	Deployment string `env:"TEMPORAL_DEPLOYMENT_NAME" envDefault:"holdfast-orders"`
}

func newDeploy() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deploy",
		Short: "Prepare Temporal and roll out worker versions.",
		Long: "Open orders stay on the version of the worker that began them. A roll-out starts a worker of the new\n" +
			"version beside the old one, ramps new orders to it, promotes it, and keeps the old workers until their orders\n" +
			"have ended (drain). docs/guides/operators.md goes through it.",
	}
	cmd.AddCommand(
		newPrepare(), newSetCurrent(),
		newDeployStatus(), newRamp(), newPromote(), newRollback(), newDrain(), newMove(),
	)
	return cmd
}

// newPrepare creates the namespace and the search attributes that a Temporal server needs before orders can start.
func newPrepare() *cobra.Command {
	var wait, retention time.Duration
	var check bool
	cmd := &cobra.Command{
		Use: "prepare", Args: arguments(),
		Short: "Create the namespace, its search attributes and the adoption's schedule if they are missing.",
		Long: "Registers the namespace TEMPORAL_NAMESPACE if it is missing, adds the search attributes that it lacks,\n" +
			"and creates or updates the schedule that takes up orders for which no workflow runs. It returns once the\n" +
			"server accepts all of it. An operator may run it again; several may run it at once.\n\n" +
			"If the namespace has another retention, or a search attribute of another type, it changes nothing and lists\n" +
			"every difference with its remedy. --check only looks: it lists what is missing and what differs, and exits\n" +
			"with status 1 if there is any.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load[temporalclient.Config]()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), wait)
			defer cancel()

			if check {
				return checkPrepared(ctx, cmd, cfg, retention)
			}
			if err := temporalclient.EnsureNamespace(ctx, cfg, retention, orderflow.SearchAttributes()); err != nil {
				return noTemporal(cfg, err)
			}
			c, err := dialTemporal(ctx, cfg)
			if err != nil {
				return err
			}
			defer c.Close()

			if err := workers.ScheduleAdoption(ctx, c); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "namespace %s at %s is ready for orders\n", cfg.Namespace, cfg.Address)
			return nil
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "change nothing and say what is missing or different")
	cmd.Flags().DurationVar(&wait, "wait", time.Minute, "how long it may take")
	cmd.Flags().DurationVar(&retention, "retention", temporalclient.Retention,
		"how long the namespace keeps the history of a closed workflow")
	return cmd
}

// checkPrepared lists what prepare would add or refuse.
func checkPrepared(
	ctx context.Context, cmd *cobra.Command, cfg temporalclient.Config, retention time.Duration,
) error {
	c, err := dialTemporal(ctx, cfg)
	if err != nil {
		return err
	}
	defer c.Close()

	state, err := temporalclient.InspectNamespace(ctx, c, cfg.Namespace, retention, orderflow.SearchAttributes())
	if err != nil {
		return err
	}
	scheduled := false
	if !slices.Contains(state.Missing, "namespace "+cfg.Namespace) {
		if scheduled, err = workers.HasAdoption(ctx, c); err != nil {
			return err
		}
	}
	if !scheduled {
		state.Missing = append(state.Missing, "schedule "+orderflow.AdoptionSchedule)
	}
	for _, m := range state.Missing {
		fmt.Fprintln(cmd.OutOrStdout(), "missing    "+m)
	}
	for _, d := range state.Different {
		fmt.Fprintln(cmd.OutOrStdout(), "different  "+d)
	}
	if n := len(state.Missing) + len(state.Different); n > 0 {
		return fmt.Errorf("namespace %s at %s is not ready for orders: %d things are missing or different",
			cfg.Namespace, cfg.Address, n)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "namespace %s at %s is ready for orders\n", cfg.Namespace, cfg.Address)
	return nil
}

func newSetCurrent() *cobra.Command {
	var wait time.Duration
	current := &cobra.Command{
		Use: "set-current BUILD_ID", Args: arguments("BUILD_ID"), Example: "  holdfast deploy set-current 1f2e3d4c5b6a",
		Short: "Start new orders on this version; waits for a worker of it to poll.",
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load[deployConfig]()
			if err != nil {
				return err
			}

			ctx, cancel := context.WithTimeout(cmd.Context(), wait)
			defer cancel()
			c, err := dialTemporal(ctx, cfg.Temporal)
			if err != nil {
				return err
			}
			defer c.Close()

			if err := workers.MakeCurrent(ctx, c, cfg.Deployment, args[0]); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "new orders of %s start on %s\n", cfg.Deployment, args[0])
			return nil
		},
	}
	current.Flags().DurationVar(&wait, "wait", 30*time.Second, "how long to wait for a worker of the version")
	return current
}

// withDeployment connects to Temporal for one command.
func withDeployment(
	cmd *cobra.Command, run func(context.Context, *deployment.Deployment, deployConfig) error,
) error {
	cfg, err := config.Load[deployConfig]()
	if err != nil {
		return err
	}
	dialing, cancel := context.WithTimeout(cmd.Context(), connectTimeout)
	defer cancel()
	c, err := dialTemporal(dialing, cfg.Temporal)
	if err != nil {
		return err
	}
	defer c.Close()
	return run(cmd.Context(), deployment.New(c, cfg.Temporal.Namespace, cfg.Deployment), cfg)
}
