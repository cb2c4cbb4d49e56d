// Command gateway measures what the gateway costs: the latency that it adds, its throughput against Go's plain
// httputil.ReverseProxy, how much smaller a list gets by gzip, and the memory of 10,000 open connections. It runs the
// real binary with everything switched on: tokens, limits in Redis, breaker, access log. In the same run, in
// alternation, it asks the service itself and the plain proxy. What it starts it stops, it aims at 127.0.0.1 only, and
// every run is bounded in time.
//
//	make bench-gateway
//	go run ./bench/gateway -only throughput -pairs 9
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"holdfast/bench/load"
)

type options struct {
	out         string
	bin         string
	pairs       int
	callers     int
	rate        float64
	connections int
	duration    time.Duration
}

// report is what a run measured.
type report struct {
	At          time.Time          `json:"at"`
	Processor   string             `json:"processor"`
	Processors  int                `json:"processors"`
	Go          string             `json:"go"`
	Latency     *latencyResult     `json:"latency,omitempty"`
	Throughput  *throughputResult  `json:"throughput,omitempty"`
	Compression *compressionResult `json:"compression,omitempty"`
	Connections *connectionResult  `json:"connections,omitempty"`
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
	var only, role, target string
	scenarios := []string{"latency", "throughput", "compression", "connections"}
	flag.StringVar(&o.out, "out", "", "write the results as JSON to this file")
	flag.StringVar(&o.bin, "bin", "bin", "the directory of holdfast")
	flag.StringVar(&only, "only", "", "run only these scenarios, comma-separated: "+strings.Join(scenarios, ", "))
	flag.IntVar(&o.pairs, "pairs", 7, "rounds of each measurement; the results are medians")
	flag.IntVar(&o.callers, "callers", 32, "callers of the throughput run")
	flag.Float64Var(&o.rate, "rate", 2000, "requests a second of the latency run")
	flag.IntVar(&o.connections, "connections", 10_000, "open connections of the memory run")
	flag.DurationVar(&o.duration, "duration", 5*time.Second, "time of each run")
	flag.StringVar(&role, "role", "", "internal: be a child process, service or proxy")
	flag.StringVar(&target, "target", "", "internal: where the proxy leads")
	flag.Parse()
	if role != "" {
		return child(ctx, role, target)
	}
	chosen, err := load.Select(only, scenarios)
	if err != nil {
		return err
	}
	e, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.stop()) }()

	r := report{At: time.Now().UTC(), Processor: load.Processor(), Processors: runtime.NumCPU(), Go: runtime.Version()}
	for _, s := range []struct {
		name string
		run  func(context.Context, *report) (fmt.Stringer, error)
	}{
		{"compression", e.compression},
		{"latency", e.latency},
		{"throughput", e.throughput},
		{"connections", e.connect},
	} {
		if chosen != nil && !slices.Contains(chosen, s.name) {
			continue
		}
		result, err := s.run(ctx, &r)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Println(result)
	}
	return load.WriteJSON(o.out, r)
}
