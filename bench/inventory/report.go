package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"holdfast/bench/load"
)

// result is one row of the table.
type result struct {
	Name string `json:"name"`
	What string `json:"what"`
	load.Sample
	// ServiceCPU is that of the process under test, with the callers if they run in the same process.
	ServiceCPU float64 `json:"service_cpu_us_per_request,omitempty"`
	// DriverCPU is that of the callers, if they run in a process of their own.
	DriverCPU float64 `json:"driver_cpu_us_per_request,omitempty"`
	// PostgresCPU is that of all PostgreSQL processes.
	PostgresCPU float64 `json:"postgres_cpu_us_per_request,omitempty"`
	DriverShare float64 `json:"driver_share_of_cpu,omitempty"`
	Memory      float64 `json:"service_peak_memory_mb,omitempty"`
}

// target is a number that the service has to reach.
type target struct {
	What   string  `json:"what"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Floor  float64 `json:"floor"`
	Goal   float64 `json:"goal,omitempty"`
	AtMost bool    `json:"at_most,omitempty"` // the floor is a ceiling
	Met    bool    `json:"met"`
}

type report struct {
	At       time.Time         `json:"at"`
	Commit   string            `json:"commit"`
	Machine  string            `json:"machine"`
	Go       string            `json:"go"`
	Settings map[string]string `json:"postgres"`
	Results  []result          `json:"results"`
	Targets  []target          `json:"targets"`
}

func newReport(ctx context.Context, e *environment) *report {
	commit, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	if err != nil {
		commit = []byte("unknown")
	}
	return &report{
		At:       time.Now().UTC().Truncate(time.Second),
		Commit:   strings.TrimSpace(string(commit)),
		Go:       runtime.Version(),
		Machine:  fmt.Sprintf("%d × %s", runtime.NumCPU(), load.Processor()),
		Settings: e.settings,
	}
}

func (r *report) find(name string) *result {
	for i := range r.Results {
		if r.Results[i].Name == name {
			return &r.Results[i]
		}
	}
	return nil
}

// judge compares the results with the targets, and leaves out targets whose scenario did not run.
func (r *report) judge() {
	add := func(t target) {
		t.Met = t.Value >= t.Floor
		if t.AtMost {
			t.Met = t.Value <= t.Floor
		}
		r.Targets = append(r.Targets, t)
	}
	hot, spread, http := r.find("hot"), r.find("spread"), r.find("http-hot")
	if hot != nil {
		add(target{What: "one hot product, in process", Value: hot.Rate, Unit: "/s", Floor: 20000, Goal: 30000})
		add(target{What: "p99 of that", Value: hot.P99, Unit: "ms", Floor: 20, AtMost: true})
		if b := r.find("pgbench-hot"); b != nil {
			add(target{What: "times pgbench, one per transaction", Value: hot.Rate / b.Rate, Unit: "×", Floor: 10})
		}
	}
	if s := r.find("hot-two-replicas"); s != nil {
		add(target{What: "two replicas on one product", Value: s.Rate, Unit: "/s", Floor: 8000})
	}
	if b := r.find("pgbench-spread"); spread != nil && b != nil {
		add(target{What: "10,000 products, times pgbench", Value: spread.Rate / b.Rate, Unit: "×", Floor: 1.5})
	}
	if http != nil {
		add(target{What: "one hot product, over HTTP", Value: http.Rate, Unit: "/s", Floor: 5000, Goal: 8000})
		add(target{What: "p99 of that", Value: http.P99, Unit: "ms", Floor: 100, AtMost: true})
	}
	if idle, bare := r.find("http-idle"), r.find("bare-transaction"); idle != nil && bare != nil {
		add(target{
			What:   "idle reserve over HTTP, p50 above the bare transaction",
			Value:  idle.P50 - bare.P50,
			Unit:   "ms",
			Floor:  1,
			AtMost: true,
		})
	}
	if s := r.find("backorders-grant"); s != nil {
		add(target{What: "10,000 backorders granted by one receipt", Value: s.P99 / 1000, Unit: "s", Floor: 10, AtMost: true})
	}
	if s := r.find("read-cached"); s != nil {
		add(target{What: "availability at 2,000/s, warm cache, p95", Value: s.P95, Unit: "ms", Floor: 5, AtMost: true})
	}

	memory := 0.0
	for _, s := range r.Results {
		memory = max(memory, s.Memory)
	}
	if memory > 0 {
		add(target{What: "peak memory of the service", Value: memory, Unit: "MB", Floor: 200, AtMost: true})
	}
}

func (r *report) print(to io.Writer) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(to, "\n%s, %s, PostgreSQL %s, commits durable\n\n", r.Machine, r.Go, r.Settings["server_version"])
	fmt.Fprintln(w, "\tcallers\tper second\tp50 ms\tp95 ms\tp99 ms\tfailed\tµs service\tµs driver\tµs postgres\t")
	for _, s := range r.Results {
		fmt.Fprintf(w, "%s\t%d\t%.0f\t%.2f\t%.2f\t%.2f\t%d\t%.1f\t%.1f\t%.1f\t\n",
			s.Name, s.Callers, s.Rate, s.P50, s.P95, s.P99, s.Failed, s.ServiceCPU, s.DriverCPU, s.PostgresCPU)
	}
	_ = w.Flush()
	fmt.Fprintln(to)

	w = tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, t := range r.Targets {
		bound, verdict := "at least", "met"
		if t.AtMost {
			bound = "at most"
		}
		if !t.Met {
			verdict = "MISSED"
		}
		goal := ""
		if t.Goal > 0 {
			goal = fmt.Sprintf("goal %.0f", t.Goal)
		}
		fmt.Fprintf(w, "%s\t%.2f %s\t%s %g\t%s\t%s\t\n", t.What, t.Value, t.Unit, bound, t.Floor, goal, verdict)
	}
	_ = w.Flush()
}
