package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/spf13/cobra"

	"holdfast/dev/stack"
	"holdfast/internal/auth"
	"holdfast/internal/firstorder"
)

func upCommand() *cobra.Command {
	var exit, observe bool
	var dir string
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run the whole platform on this machine until Ctrl-C",
		Long: "Installs what is missing, starts everything on private ports, migrates, seeds, places a first order\n" +
			"and prints its timeline. Data stays below --dir, and the next run uses it again.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			defer answerSignals(out)()
			s, err := stack.Start(cmd.Context(), dir, out)
			if err != nil {
				return err
			}
			if observe {
				err = s.Observe(cmd.Context())
			}
			if err == nil {
				err = show(cmd.Context(), s, out, exit)
			}
			if cmd.Context().Err() == nil {
				fmt.Fprintln(out, stopping)
			}
			stopErr := s.Stop()
			if stopErr == nil {
				fmt.Fprintln(out, "stopped; nothing is left running")
			}
			return errors.Join(err, stopErr)
		},
	}
	cmd.Flags().BoolVar(&exit, "exit", false,
		"stop once the first order is confirmed; the exit status tells whether it was")
	cmd.Flags().BoolVar(&observe, "observe", false,
		"also run a Prometheus that collects all metrics and has the alert rules")
	cmd.Flags().StringVar(&dir, "dir", ".holdfast", "the directory for data, logs and settings")
	return cmd
}

// show places the first order, prints it, and then waits until ctx ends or a process fails; with exit it does
// not wait.
func show(ctx context.Context, s *stack.Stack, out io.Writer, exit bool) error {
	token, err := s.Token("alice", auth.Customer)
	if err != nil {
		return err
	}
	order, timeline, err := s.PlaceFirstOrder(ctx, token)
	if ctx.Err() != nil {
		return stack.Interrupted(ctx)
	}
	if err != nil {
		return err
	}

	firstorder.PrintTimeline(out, order, timeline)
	s.Describe(out, token)
	if exit {
		return nil
	}
	fmt.Fprintln(out, "Everything is running; Ctrl-C stops it.")
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.Failed():
		return err
	}
}

const stopping = "stopping …"

// answerSignals prints at once that a signal has arrived: the stop takes a moment, and a person who sees no
// answer presses Ctrl-C again. The returned function ends it.
func answerSignals(out io.Writer) (end func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, stopSignals()...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		answer := stopping
		for range signals {
			fmt.Fprintln(out, answer)
			answer = "still stopping, which takes a few seconds …"
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}
