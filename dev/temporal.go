package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
	"go.temporal.io/server/common/dynamicconfig"

	"holdfast/dev/temporalserver"
)

func temporalCommand() *cobra.Command {
	var cfg temporalserver.Config
	var onStdinClose bool
	settings := map[string]string{}
	cmd := &cobra.Command{
		Use:   "temporal",
		Short: "Run the embedded Temporal server until SIGINT or SIGTERM",
		Long: "Runs a whole Temporal server on the given PostgreSQL server and prints its address, host:port, as the\n" +
			"first line of standard output once clients can use it. With a Web UI, its address is on standard error.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := context.WithCancel(cmd.Context())
			defer stop()
			if onStdinClose {
				// The parent process holds the other end of the pipe. If it is killed, the kernel closes the pipe.
				go func() {
					_, _ = io.Copy(io.Discard, cmd.InOrStdin())
					stop()
				}()
			}
			cfg.DynamicConfig = map[dynamicconfig.Key]any{}
			for key, value := range settings {
				cfg.DynamicConfig[dynamicconfig.MakeKey(key)] = value
			}
			cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
			server, err := temporalserver.Start(ctx, cfg)
			if err != nil {
				return err
			}
			if url := server.UIURL(); url != "" {
				fmt.Fprintln(cmd.ErrOrStderr(), "Web UI:", url)
			}
			fmt.Fprintln(cmd.OutOrStdout(), server.Address())
			<-ctx.Done()
			return server.Stop()
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&cfg.PostgresURL, "postgres-url", "",
		"a database of the PostgreSQL server that holds Temporal's databases")
	flags.StringVar(&cfg.Database, "database", temporalserver.DefaultDatabase,
		"name of the main database; the other one has the same name with _visibility")
	flags.IntVar(&cfg.FrontendPort, "port", 7233, "port for clients; 0 picks one")
	flags.IntVar(&cfg.UIPort, "ui-port", 8233, "port of the Web UI; 0 picks one, -1 leaves it out")
	flags.StringVar(&cfg.DefaultNamespace, "default-namespace", "holdfast", "namespace that the Web UI opens")
	flags.StringToStringVar(&settings, "setting", nil,
		"a key of Temporal's dynamic configuration and its value, for tests that cannot wait for a production delay")
	flags.BoolVar(&onStdinClose, "exit-on-stdin-close", false, "also stop when standard input closes")
	_ = cmd.MarkFlagRequired("postgres-url")
	return cmd
}
