// Command holdfast is every process of the platform and its operators' commands in one binary.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"holdfast/api"
	"holdfast/api/server"
	"holdfast/gateway"
	"holdfast/internal/codecserver"
	"holdfast/internal/config"
	"holdfast/internal/deadletter"
	"holdfast/internal/merchantwebhook"
	"holdfast/internal/notification"
	"holdfast/internal/payment/sandboxserver"
	"holdfast/internal/service"
	"holdfast/internal/telemetry"
	"holdfast/inventory"
	"holdfast/workers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newRoot().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "holdfast:", err)
		os.Exit(exitStatus(err))
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "holdfast",
		Short: "Order fulfilment: every order is a durable workflow.",
		Long: "Holdfast runs each of its processes and its operators' commands from this one binary.\n" +
			"Processes are configured by the environment only; .env.example lists every variable.",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	contracts := gateway.Contracts{
		API:           api.Spec,
		Inventory:     inventory.OpenAPI,
		DeadMessages:  deadletter.OpenAPI,
		Webhooks:      merchantwebhook.OpenAPI,
		Notifications: notification.OpenAPI,
	}
	inventoryDocs := server.Document{Name: "Inventory", File: "inventory.yaml", Spec: inventory.OpenAPI}
	root.AddCommand(
		process("gateway", "Run the entrance for clients (port 3000).", gateway.Run(contracts)),
		process("api", "Run the orders interface (port 3001).", server.Run(inventoryDocs)),
		process("inventory", "Run the inventory service (port 8080).", inventory.Run),
		process("worker", "Run the worker that carries out orders (metrics on port 9090).", workers.Run),
		process("payment-sandbox", "Run the sandbox payment provider, which moves no real money (port 3003).",
			sandboxserver.Run),
		process("codec", "Run the server that shows operators encrypted payloads in Temporal's Web UI (port 9093).",
			codecserver.Run),
		newEvents(),
		newMigrate(), newSeed(), newSync(), newArchive(), newAudit(), newToken(), newSecrets(), newDeploy(), newReplay(),
		newDemo(), newOrder(), newStory(), newViews(), newHealth(), newVersion(),
	)
	refuseUnknown(root)
	return root
}

// refuseUnknown makes a command that only has subcommands refuse a word that is none of them, as the root does. Cobra
// prints the command's help and succeeds.
func refuseUnknown(root *cobra.Command) {
	for _, c := range root.Commands() {
		if !c.HasSubCommands() || c.Runnable() {
			continue
		}
		c.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownSubcommand(cmd, args[0])
		}
	}
}

// profiles says where a process serves Go's profiles.
type profiles struct {
	Address string `env:"PROFILE_ADDRESS"` // empty: it serves none
}

// Validate refuses an address that another machine can reach.
func (p profiles) Validate() error { return service.CheckProfileAddress(p.Address) }

// process makes a command that runs one process until it is told to stop.
func process[C any](name, short string, run func(context.Context, C, service.Env) error) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load[struct {
				config.Common
				Profiles profiles
				Process  C
			}]()
			if err != nil {
				return err
			}

			service.TuneGC()
			log, level, stop := newLog(cmd.Context(), name, cfg.LogLevel)
			defer stop()
			tracing, err := telemetry.NewTracing(cmd.Context(), cfg.Trace, name, version())
			if err != nil {
				return err
			}
			defer func() {
				if err := tracing.Stop(cmd.Context()); err != nil {
					log.Warn("spans are lost", "error", err)
				}
			}()
			env := service.Env{
				Tracing:  tracing,
				Log:      log,
				LogLevel: level,
				Registry: telemetry.NewRegistry(),
				OnListen: func(net.Addr) {},
			}
			log.Info("starting", "version", version())
			parts := []service.Part{{Name: name, Run: func(ctx context.Context) error {
				return run(ctx, cfg.Process, env)
			}}}
			if cfg.Profiles.Address != "" {
				parts = append(parts, service.Part{Name: "profiles", Run: func(ctx context.Context) error {
					return service.ServeProfiles(ctx, cfg.Profiles.Address, log, level)
				}})
			}
			if err := service.Run(cmd.Context(), parts...); err != nil {
				return err
			}
			log.Info("stopped")
			return nil
		},
	}
}

// newLog returns the log of a process and its level, which signals change until stop is called.
func newLog(ctx context.Context, name string, began slog.Level) (log *slog.Logger, level *slog.LevelVar, stop func()) {
	level = new(slog.LevelVar)
	level.Set(began)
	log = telemetry.NewLogger(os.Stdout, name, level)
	return log, level, followLevelSignals(ctx, log, level)
}

// followLevelSignals lets an operator change the level of the log without a restart: SIGUSR1 sets debug, and SIGUSR2
// sets the level of LOG_LEVEL again. It returns the function that ends that.
func followLevelSignals(ctx context.Context, log *slog.Logger, level *slog.LevelVar) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	more, less := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(more, syscall.SIGUSR1)
	signal.Notify(less, syscall.SIGUSR2)

	var following sync.WaitGroup
	following.Go(func() { telemetry.FollowLevelSignals(ctx, log, level, more, less) })
	return func() {
		signal.Stop(more)
		signal.Stop(less)
		cancel()
		following.Wait()
	}
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of this binary.", Args: arguments(),
		Run: func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), version()) },
	}
}

// buildVersion is set by the Makefile (-ldflags -X) to the commit.
var buildVersion string

func version() string {
	if buildVersion != "" {
		return buildVersion
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
