// Command holdfast is every process of the platform and its operators' commands in one binary.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
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
		newDemo(), newOrder(), newViews(), newHealth(), newVersion(),
	)
	return root
}

// process makes a command that runs one process until it is told to stop.
func process[C any](name, short string, run func(context.Context, C, service.Env) error) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load[struct {
				config.Common
				Process C
			}]()
			if err != nil {
				return err
			}

			service.TuneGC()
			log := telemetry.NewLogger(os.Stdout, name, cfg.LogLevel)
			env := service.Env{Log: log, Registry: telemetry.NewRegistry(), OnListen: func(net.Addr) {}}
			log.Info("starting", "version", version())
			if err := run(cmd.Context(), cfg.Process, env); err != nil {
				return err
			}
			log.Info("stopped")
			return nil
		},
	}
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of this binary.", Args: cobra.NoArgs,
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
