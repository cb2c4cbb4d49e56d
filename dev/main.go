// Command holdfast-dev runs the services that the platform needs on a developer's machine: it installs
// the backing services, runs an embedded Temporal server, and makes both available to the tests. It is a
// module of its own, so that the production binaries never link the Temporal server.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"holdfast/internal/service"
)

func main() {
	// Without this, a write to a pipe whose reader has ended would end the process at once and leave every
	// server running: Ctrl-C in `make up | tee log` ends tee first.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	service.TuneGC()
	ctx, stop := signal.NotifyContext(context.Background(), stopSignals()...)
	err := rootCommand().ExecuteContext(ctx)
	stop()
	var exit exitCode
	switch {
	case errors.As(err, &exit):
		os.Exit(int(exit))
	case err != nil:
		fmt.Fprintln(os.Stderr, "holdfast-dev:", err)
		os.Exit(1)
	}
}

// stopSignals are the signals that stop this program: Ctrl-C, a service manager's, and that of a closed
// terminal window, unless nohup makes the program ignore it.
func stopSignals() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "holdfast-dev",
		Short:         "Run the services that Holdfast needs on this machine",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(installCommand(), temporalCommand(), testenvCommand(), upCommand())
	return root
}

// exitCode ends the program with another command's status. That command has reported its own error.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit status %d", int(e)) }
