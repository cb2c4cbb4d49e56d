// Command orders measures how many orders a second the whole platform carries out, and what one costs. It runs the real
// binary, one process each, behind the gateway, on a PostgreSQL server with durable commits and a Temporal server of
// its own, and measures beside it, in alternation, how many workflows with one activity that does nothing the same
// Temporal server carries out. It prints a table and writes everything as JSON. What it starts it stops, it aims at
// 127.0.0.1 only, and every run is bounded in time.
//
//	make bench-orders
//	go run ./bench/orders -only pairs,pay-20 -duration 10s
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"holdfast/bench/load"
)

type options struct {
	out      string
	bin      string
	only     []string
	duration time.Duration
	pairs    int
	settings string
	events   bool
	logFiles bool // the processes write what they log to files
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	var o options
	var only string
	flag.StringVar(&o.out, "out", "", "write the results as JSON to this file")
	flag.StringVar(&o.bin, "bin", "bin", "the directory of holdfast and holdfast-dev")
	flag.StringVar(&only, "only", "", "run only these scenarios, comma-separated: "+strings.Join(names(), ", "))
	flag.DurationVar(&o.duration, "duration", 12*time.Second, "measured time of each run, after 3 s to warm up")
	flag.IntVar(&o.pairs, "pairs", 5, "how many pairs of orders and bare workflows are compared")
	flag.StringVar(&o.settings, "set", "", "further environment of the platform's processes: NAME=VALUE,NAME=VALUE")
	flag.BoolVar(&o.events, "events", false,
		"publish the events to a RabbitMQ of the benchmark's own; compare with a run without, in alternation")
	flag.Parse()
	if o.only, err = load.Select(only, names()); err != nil {
		return err
	}
	p, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	report := newReport(ctx, p)
	chosen := scenarios
	if len(o.only) > 0 {
		chosen = slices.DeleteFunc(slices.Concat(scenarios, onDemand), func(s scenario) bool {
			return !slices.Contains(o.only, s.name)
		})
	}
	for _, s := range chosen {
		fmt.Fprintf(os.Stderr, "%-16s %s …\n", s.name, s.what)
		results, err := s.run(ctx, p)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		for _, r := range results {
			fmt.Fprintln(os.Stderr, "  ", r)
		}
		report.Results = append(report.Results, results...)
	}
	report.judge()
	report.print(os.Stdout)
	return load.WriteJSON(o.out, report)
}
