package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"holdfast/tests/testenv"
)

func testenvCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "testenv -- COMMAND [ARGUMENT…]",
		Short: "Run a command with one set of backing services for its tests",
		Long: "Finds PostgreSQL, Redis, RabbitMQ and Temporal as the tests would, each once, names them in the command's\n" +
			"environment, and stops what it started when the command ends. The exit status is the command's.",
		Example: "  holdfast-dev testenv -- go test ./...",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			env := testenv.New(cmd.ErrOrStderr())
			defer func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				// The command's own status says more than a failure to clean up, and it comes first.
				if closing := env.Close(ctx); closing != nil {
					err = errors.Join(err, fmt.Errorf("stop the test environment: %w", closing))
				}
			}()
			vars, err := env.Vars()
			if err != nil {
				return err
			}
			return runWith(cmd, vars, args)
		},
	}
}

// runWith runs the command in this process's own group, so that Ctrl-C reaches it from the terminal. It passes
// on SIGTERM, which only this process gets. In both cases the services outlive the command.
func runWith(cmd *cobra.Command, vars, args []string) error {
	child := exec.Command(args[0], args[1:]...)
	child.Env = append(os.Environ(), vars...)
	child.Stdin, child.Stdout, child.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	if err := child.Start(); err != nil {
		return fmt.Errorf("run %s: %w", args[0], err)
	}
	passOn := context.AfterFunc(cmd.Context(), func() { _ = child.Process.Signal(syscall.SIGTERM) })
	defer passOn()
	err := child.Wait()
	var failed *exec.ExitError
	if !errors.As(err, &failed) {
		return err
	}
	if status, ok := failed.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitCode(128 + int(status.Signal())) // the status that a shell reports
	}
	return exitCode(failed.ExitCode())
}
