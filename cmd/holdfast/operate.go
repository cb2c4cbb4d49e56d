package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"holdfast/internal/auth"
	"holdfast/internal/config"
	"holdfast/internal/temporalclient"
	"holdfast/workers"
	"holdfast/workflows/orderflow"
)

// stackEnv is where the development stack keeps the secrets that it generated.
var stackEnv = filepath.Join(".holdfast", "env")

func newToken() *cobra.Command {
	var subject, role string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use: "token", Args: cobra.NoArgs,
		Short: "Print a token signed with JWT_SECRET, or with the development stack's own secret.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := tokenConfig()
			if err != nil {
				return err
			}
			token, err := auth.Sign(cfg, subject, auth.Role(role), ttl)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), token)
			return nil
		},
	}
	cmd.Flags().StringVar(&subject, "sub", "", "the subject that the token names, as in alice (required)")
	cmd.Flags().StringVar(&role, "role", string(auth.Customer), "customer, operator or admin")
	cmd.Flags().DurationVar(&ttl, "ttl", time.Hour, "how long the token is valid")
	if err := cmd.MarkFlagRequired("sub"); err != nil {
		panic(err) // the flag is defined three lines above
	}
	return cmd
}

// tokenConfig takes the secret from the environment, or else from the development stack of this folder.
func tokenConfig() (auth.Config, error) {
	vars := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		vars[name] = value
	}
	if vars["JWT_SECRET"] == "" && vars["JWT_SECRET_FILE"] == "" {
		f, err := os.Open(stackEnv)
		if err != nil {
			return auth.Config{}, fmt.Errorf("JWT_SECRET is not set and there is no %s here; "+
				"set JWT_SECRET, or run this in the folder where `make up` was run", stackEnv)
		}
		defer f.Close() //nolint:errcheck // only read

		for lines := bufio.NewScanner(f); lines.Scan(); {
			if name, value, ok := strings.Cut(lines.Text(), "="); ok && strings.HasPrefix(name, "JWT_") {
				vars[name] = value
			}
		}
	}
	return config.LoadFrom[auth.Config](vars)
}

func newDeploy() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deploy",
		Short: "Prepare Temporal and roll out worker versions.",
	}
	cmd.AddCommand(newPrepare(), newSetCurrent())
	return cmd
}

// newPrepare creates the namespace and the search attributes that a Temporal server needs before orders can start.
func newPrepare() *cobra.Command {
	var wait, retention time.Duration
	cmd := &cobra.Command{
		Use: "prepare", Args: cobra.NoArgs,
		Short: "Create the namespace, its search attributes and the adoption's schedule if they are missing.",
		Long: "Registers the namespace TEMPORAL_NAMESPACE if it is missing, adds the search attributes that it lacks,\n" +
			"and creates or updates the schedule that takes up orders for which no workflow runs. It returns once the\n" +
			"server accepts all of it. An operator may run it again; several may run it at once. An existing namespace\n" +
			"keeps its settings, its retention among them.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load[temporalclient.Config]()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), wait)
			defer cancel()

			if err := temporalclient.EnsureNamespace(ctx, cfg, retention, orderflow.SearchAttributes()); err != nil {
				return err
			}
			c, err := temporalclient.Dial(ctx, cfg, nil)
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
	cmd.Flags().DurationVar(&wait, "wait", time.Minute, "how long it may take")
	cmd.Flags().DurationVar(&retention, "retention", temporalclient.Retention,
		"how long a new namespace keeps the history of a closed workflow")
	return cmd
}

func newSetCurrent() *cobra.Command {
	var wait time.Duration
	current := &cobra.Command{
		Use: "set-current BUILD_ID", Args: cobra.ExactArgs(1),
		Short: "Start new orders on this version; waits for a worker of it to poll.",
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load[struct {
				Temporal   temporalclient.Config
				Deployment string `env:"TEMPORAL_DEPLOYMENT_NAME" envDefault:"holdfast-orders"`
			}]()
			if err != nil {
				return err
			}

			ctx, cancel := context.WithTimeout(cmd.Context(), wait)
			defer cancel()
			c, err := temporalclient.Dial(ctx, cfg.Temporal, nil)
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
