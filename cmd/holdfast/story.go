package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/config"
	"holdfast/internal/story"
)

// stackLogs are the logs of the development stack of this folder.
var stackLogs = filepath.Join(".holdfast", "log", "*.log")

// storyTimeout bounds one request that a story makes.
const storyTimeout = 10 * time.Second

// storyConfig says where traces are kept.
type storyConfig struct {
	Jaeger string `env:"JAEGER_URL"` // of Jaeger's query API, as in http://127.0.0.1:16686; empty means none
}

func newStory() *cobra.Command {
	var gateway string
	var logs []string
	cmd := &cobra.Command{
		Use:   "story ORDER-ID | ORDER-NUMBER | CORRELATION-ID",
		Short: "Print what happened to one order: timeline, payments, events, spans and logs in one table",
		Long: "Prints the timeline, the payments, the events, the spans and the log lines of an order, sorted by time.\n" +
			"The order is named by its id, by its number as in HF-104233, or by the correlation id of a request that acted\n" +
			"on it. The logs are those of `make up` in this folder, or the files of --logs; --logs - reads standard input.\n" +
			"Spans come from Jaeger's query API at JAEGER_URL. The command signs an operator's token as `holdfast token`.",
		Args:    arguments("ORDER-ID, ORDER-NUMBER or CORRELATION-ID"),
		Example: "  holdfast story HF-104233",
		RunE: func(cmd *cobra.Command, args []string) error {
			lines, err := readLogs(cmd.InOrStdin(), logs)
			if err != nil {
				return err
			}
			traces, err := config.Load[storyConfig]()
			if err != nil {
				return err
			}
			cfg, err := tokenConfig()
			if err != nil {
				return err
			}
			token, err := auth.Sign(cfg, "story", auth.Operator, time.Minute)
			if err != nil {
				return err
			}

			client := &http.Client{Timeout: storyTimeout}
			from := story.Client{Gateway: gateway, Token: token, HTTP: client}
			orders, err := from.Find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			for _, o := range orders {
				if err := tell(cmd, from, o, lines, traces.Jaeger); err != nil {
					return err
				}
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&gateway, "gateway", "http://127.0.0.1:3000", "where this command reaches the gateway")
	flags.StringSliceVar(&logs, "logs", nil, "files with the processes' logs, or - for standard input")
	return cmd
}

// readLogs reads the named logs, or those of the development stack.
func readLogs(in io.Reader, files []string) (*story.Logs, error) {
	if len(files) == 0 {
		files, _ = filepath.Glob(stackLogs) // the pattern is a constant
	}
	logs := &story.Logs{}
	for _, name := range files {
		if name == "-" {
			if err := logs.Read(in); err != nil {
				return nil, err
			}
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("open a log: %w", err)
		}
		if err := errors.Join(logs.Read(f), f.Close()); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return logs, nil
}

// tell prints the story of one order.
func tell(cmd *cobra.Command, from story.Client, o orderapi.Order, logs *story.Logs, jaeger string) error {
	entries, err := from.Records(cmd.Context(), o)
	if err != nil {
		return err
	}
	lines, traces := logs.About(o)
	entries = append(entries, lines...)

	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "Order %s, %s, is %s (%s).\n", o.Number, o.Total, o.Status, o.OrderID)
	switch {
	case jaeger == "":
		fmt.Fprintln(out, "No spans: JAEGER_URL is not set.")
	case len(traces) == 0:
		fmt.Fprintln(out, "No spans: no log line of the order names a trace.")
	default:
		spans, err := story.Spans(cmd.Context(), from.HTTP, jaeger, traces)
		if err != nil {
			fmt.Fprintf(out, "Not all spans: %v\n", err)
		}
		entries = append(entries, spans...)
	}
	if len(lines) == 0 {
		fmt.Fprintln(out, "No log line names the order: give the files of the logs with --logs.")
	}
	story.Sort(entries)
	return story.Print(out, entries, terminalWidth(out))
}
