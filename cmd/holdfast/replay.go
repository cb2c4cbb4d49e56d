package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/workflow"

	"holdfast/internal/config"
	"holdfast/internal/deployment"
	"holdfast/internal/replay"
	"holdfast/internal/temporalclient"
	"holdfast/workers"
)

// The exit statuses of replay.
const (
	exitDiverges = 1
	exitUnread   = 2
)

// exitError is an error with an exit status of its own.
type exitError struct {
	error
	status int
}

func (e exitError) Unwrap() error { return e.error }

// exitStatus is the status with which the process ends after err.
func exitStatus(err error) int {
	var own exitError
	if errors.As(err, &own) {
		return own.status
	}
	return 1
}

// unread marks an error because of which histories were not replayed.
func unread(err error) error { return exitError{error: err, status: exitUnread} }

// replayFlags say which histories to replay.
type replayFlags struct {
	workflowID, runID string
	files             []string
	query             string
	open              bool
	limit             int
}

func newReplay() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay (--workflow-id ID | --file FILE... | --open | --query QUERY)",
		Short: "Replay recorded histories with the workflows of this binary.",
		Long: "Runs each history through the workflows of this binary, with the worker's data converter and interceptors,\n" +
			"and prints ok or the first event at which the code does something else, with the lines of the workflow. It\n" +
			"starts nothing and changes nothing.\n\n" +
			"Before a deployment, run the new binary with --open: would the new code still understand every open order?\n\n" +
			"Exit status: 0 if every history replays, 1 if one diverges, 2 if one was not read or the command is wrong.",
		Example: "  holdfast replay --workflow-id order-0199…\n" +
			"  holdfast replay --file workflows/testdata/*.json\n" +
			"  holdfast replay --open\n" +
			"  holdfast replay --query \"OrderStatus = 'reserved'\" --limit 50",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 && len(f.files) == 0 {
				return unread(fmt.Errorf("%q follows no --file", args[0]))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f.files = append(f.files, args...) // --file *.json
			return runReplay(cmd, f)
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return unread(err) })
	flags := cmd.Flags()
	flags.StringVar(&f.workflowID, "workflow-id", "", "replay this workflow")
	flags.StringVar(&f.runID, "run-id", "", "this run of it instead of the last one")
	flags.StringArrayVar(&f.files, "file", nil,
		"replay files that \"temporal workflow show --output json\" or the Web UI wrote")
	flags.BoolVar(&f.open, "open", false, "replay every open order and reservation")
	flags.StringVar(&f.query, "query", "", "replay the workflows that a list filter matches, the last started first")
	flags.IntVar(&f.limit, "limit", 1000, "how many workflows of --open or --query to replay; 0: all")
	return cmd
}

// sources counts the ways in which the flags name histories.
func (f replayFlags) sources() int {
	n := 0
	for _, given := range []bool{f.workflowID != "", len(f.files) > 0, f.open, f.query != ""} {
		if given {
			n++
		}
	}
	return n
}

func (f replayFlags) check() error {
	switch {
	case f.sources() != 1:
		return errors.New("say which histories to replay by one of --workflow-id, --file, --open and --query")
	case f.runID != "" && f.workflowID == "":
		return errors.New("--run-id needs --workflow-id")
	case f.limit < 0:
		return fmt.Errorf("--limit is %d: at least 0", f.limit)
	}
	return nil
}

func runReplay(cmd *cobra.Command, f replayFlags) error {
	if err := f.check(); err != nil {
		return unread(err)
	}
	cfg, err := config.Load[temporalclient.Config]()
	if err != nil {
		return unread(err)
	}
	replayer := workers.NewReplayer(cfg)
	var sum replaySum
	if len(f.files) > 0 {
		for _, file := range f.files {
			sum.add(cmd.OutOrStdout(), replayFile(replayer, file))
		}
	} else if err := replayServer(cmd, f, cfg, replayer, &sum); err != nil {
		return unread(err)
	}

	fmt.Fprintf(cmd.OutOrStdout(), "%d replayed: %d ok, %d diverge, %d not read\n",
		sum.ok+sum.diverging+sum.unread, sum.ok, sum.diverging, sum.unread)
	switch {
	case sum.diverging > 0:
		return exitError{
			error:  fmt.Errorf("%d histories do not replay with version %s", sum.diverging, version()),
			status: exitDiverges,
		}
	case sum.unread > 0:
		return unread(fmt.Errorf("%d histories were not read", sum.unread))
	}
	return nil
}

// replayFile replays a file; its result names the file instead of the workflow.
func replayFile(replayer *replay.Replayer, file string) replay.Result {
	out := replay.Result{Execution: workflow.Execution{ID: file}}
	f, err := os.Open(file)
	if err != nil {
		out.Err = err
		return out
	}
	defer f.Close() //nolint:errcheck // only read

	h, err := replay.Read(f)
	if err != nil {
		out.Err = err
		return out
	}
	out.Events = len(h.GetEvents())
	out.Err = replayer.Replay(h)
	return out
}

// replayServer replays the histories of a server. Its error says why it could not list or connect.
func replayServer(
	cmd *cobra.Command, f replayFlags, cfg temporalclient.Config, replayer *replay.Replayer, sum *replaySum,
) error {
	dialing, cancel := context.WithTimeout(cmd.Context(), connectTimeout)
	defer cancel()
	c, err := dialTemporal(dialing, cfg)
	if err != nil {
		return err
	}
	defer c.Close()

	executions, err := f.executions(cmd.Context(), c)
	if err != nil {
		return err
	}
	progress := newProgress(cmd.ErrOrStderr())
	done := 0
	err = replayer.ReplayAll(cmd.Context(), c, executions, func(r replay.Result) {
		done++
		if f.workflowID == "" {
			progress.clear()
		}
		if r.IsGone() && f.workflowID == "" {
			r.Err = nil // it was deleted after it was listed
		}
		sum.add(cmd.OutOrStdout(), r)
		if f.workflowID == "" {
			progress.at("replayed", done, len(executions))
		}
	})
	if err == nil && f.limit > 0 && len(executions) == f.limit {
		fmt.Fprintf(cmd.ErrOrStderr(), "stopped after %d workflows; --limit 0 replays all\n", f.limit)
	}
	return err
}

func (f replayFlags) executions(ctx context.Context, c client.Client) ([]workflow.Execution, error) {
	switch {
	case f.workflowID != "":
		return []workflow.Execution{{ID: f.workflowID, RunID: f.runID}}, nil
	case f.open:
		return replay.List(ctx, c, deployment.OpenQuery(), f.limit)
	}
	return replay.List(ctx, c, f.query, f.limit)
}

// replaySum counts results.
type replaySum struct{ ok, diverging, unread int }

func (s *replaySum) add(out io.Writer, r replay.Result) {
	switch {
	case r.Err == nil:
		s.ok++
	case r.Diverges():
		s.diverging++
	default:
		s.unread++
	}
	printResult(out, r)
}

// printResult prints what the replay of one history says.
func printResult(out io.Writer, r replay.Result) {
	name := r.Execution.ID
	if r.Execution.RunID != "" {
		name += " run " + r.Execution.RunID
	}
	var d *replay.Divergence
	switch {
	case r.Err == nil:
		fmt.Fprintf(out, "ok        %s (%d events)\n", name, r.Events)
	case errors.As(r.Err, &d):
		fmt.Fprintf(out, "diverges  %s (%d events)\n", name, r.Events)
		fmt.Fprintf(out, "          at event %d, %s: %s\n", d.EventID, d.EventType, d.Reason)
		for _, step := range d.Steps {
			fmt.Fprintf(out, "          the code does: %s\n", step)
		}
	default:
		fmt.Fprintf(out, "not read  %s: %v\n", name, r.Err)
	}
}
