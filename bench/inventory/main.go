// Command inventory measures the inventory service on PostgreSQL with durable commits: a flash sale on
// one product, an even spread over 10,000, the same statements with one reservation per transaction for
// comparison, and the service over HTTP. It prints a table and writes everything as JSON. It stops every
// process that it starts, sends requests to 127.0.0.1 only, and every run has a time limit.
//
//	make bench-inventory
//	go run ./bench/inventory -only hot,pgbench-hot -duration 5s
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
	"holdfast/internal/service"
)

type options struct {
	out      string
	binary   string
	only     []string
	duration time.Duration
	callers  int
	profile  string
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
	flag.StringVar(&o.binary, "binary", "bin/holdfast", "the binary whose inventory process is measured over HTTP")
	flag.StringVar(&only, "only", "", "run only these scenarios, comma-separated: "+strings.Join(names(), ", "))
	flag.DurationVar(&o.duration, "duration", 8*time.Second, "measured time of each run, after 2 s to warm up")
	flag.IntVar(&o.callers, "callers", 200, "concurrent callers")
	flag.StringVar(&o.profile, "profile", "", "write a CPU profile of the last in-process run to this file")
	flag.Parse()
	if o.only, err = load.Select(only, names()); err != nil {
		return err
	}
	service.TuneGC() // as in the inventory process: some scenarios run the service in this process
	env, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, env.stop()) }()

	report := newReport(ctx, env)
	for _, s := range scenarios {
		if len(o.only) > 0 && !slices.Contains(o.only, s.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%-22s %s …\n", s.name, s.what)
		results, err := s.run(ctx, env)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		for _, r := range results {
			if r.Done == 0 || r.Failed > 0 {
				return fmt.Errorf("%s: %d done, %d failed; the first: %s", r.Name, r.Done, r.Failed, r.Error)
			}
		}
		report.Results = append(report.Results, results...)
	}
	report.judge()
	report.print(os.Stdout)
	return load.WriteJSON(o.out, report)
}
