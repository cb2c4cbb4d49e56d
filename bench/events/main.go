// Command events measures the relay: how many events a second it publishes with RabbitMQ's confirms, how much memory it
// uses while it drains a long backlog, and how long an event takes from its commit to a consumer. It runs the relays of
// the events process (internal/outbox) without its consumers, on a PostgreSQL server with durable commits and on a
// RabbitMQ server of its own, prints a table and writes everything as JSON. What it starts it stops, it aims at
// 127.0.0.1 only, and every run is bounded in time.
//
//	make bench-events
//	go run ./bench/events -only drain -rows 100000
//
// What events cost the orders is the difference of two runs of bench/orders: -only pay-20, without and with -events.
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
	out      string
	rows     int
	rate     float64
	duration time.Duration
}

// report is what a run measured.
type report struct {
	At         time.Time      `json:"at"`
	Processor  string         `json:"processor"`
	Processors int            `json:"processors"`
	PostgreSQL string         `json:"postgresql"`
	RabbitMQ   string         `json:"rabbitmq"`
	Drain      *drainResult   `json:"drain,omitempty"`
	Latency    *latencyResult `json:"latency,omitempty"`
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
	scenarios := []string{"drain", "latency"}
	flag.StringVar(&o.out, "out", "", "write the results as JSON to this file")
	flag.StringVar(&only, "only", "", "run only these scenarios, comma-separated: "+strings.Join(scenarios, ", "))
	flag.IntVar(&o.rows, "rows", 1_000_000, "events that wait when the drain begins")
	flag.Float64Var(&o.rate, "rate", 500, "events a second of the latency run")
	flag.DurationVar(&o.duration, "duration", 30*time.Second, "time of the latency run")
	flag.Parse()
	chosen, err := load.Select(only, scenarios)
	if err != nil {
		return err
	}
	e, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.stop()) }()

	r := report{At: time.Now().UTC(), Processor: load.Processor(), Processors: runtime.NumCPU()}
	if err := e.versions(ctx, &r); err != nil {
		return err
	}
	if chosen == nil || slices.Contains(chosen, "latency") {
		if r.Latency, err = e.latency(ctx); err != nil {
			return fmt.Errorf("latency: %w", err)
		}
		fmt.Println(r.Latency)
	}
	if chosen == nil || slices.Contains(chosen, "drain") {
		if r.Drain, err = e.drain(ctx); err != nil {
			return fmt.Errorf("drain: %w", err)
		}
		fmt.Println(r.Drain)
	}
	return load.WriteJSON(o.out, r)
}
