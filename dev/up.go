package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"holdfast/api/orderapi"
	"holdfast/dev/stack"
	"holdfast/internal/auth"
)

func upCommand() *cobra.Command {
	var exit bool
	var dir string
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run the whole platform on this machine until Ctrl-C",
		Long: "Installs what is missing, starts everything on private ports, migrates, seeds, places a first order and prints\n" +
			"its timeline. Data stays below --dir and is found again.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			out := cmd.OutOrStdout()
			s, err := stack.Start(cmd.Context(), dir, out)
			if err != nil {
				return err
			}
			defer func() {
				fmt.Fprintln(out, "stopping …")
				if stopErr := s.Stop(); err == nil {
					err = stopErr
				}
			}()
			token, err := s.Token("alice", auth.Customer)
			if err != nil {
				return err
			}
			order, timeline, err := s.PlaceFirstOrder(cmd.Context(), token)
			if err != nil {
				return err
			}
			printTimeline(out, order, timeline)
			s.Describe(out, token)
			if exit {
				return nil
			}
			fmt.Fprintln(out, "Everything is running; Ctrl-C stops it.")
			select {
			case <-cmd.Context().Done():
				return nil
			case err := <-s.Failed():
				return err
			}
		},
	}
	cmd.Flags().BoolVar(&exit, "exit", false, "stop once the first order is confirmed; the exit status tells whether it was")
	cmd.Flags().StringVar(&dir, "dir", ".holdfast", "where data, logs and settings are kept")
	return cmd
}

func printTimeline(out io.Writer, order orderapi.Order, timeline []orderapi.TimelineEntry) {
	fmt.Fprintf(out, "\nOrder %s, %s, is %s:\n\n", order.OrderID, order.Total, order.Status)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, e := range timeline {
		fmt.Fprintf(w, "  %d\t%s\t%s\t%s\n", e.Seq, e.At.Local().Format("15:04:05.000"), e.Event, e.Actor)
	}
	_ = w.Flush()
}
