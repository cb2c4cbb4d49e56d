package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"holdfast/bench/load"
	"holdfast/workflows/orderflow"
)

// result is what one run measured.
type result struct {
	Name string `json:"name"`
	load.Sample
	CPU          map[string]float64 `json:"cpu_ms_per_request,omitempty"`       // by process, and by database
	Commits      map[string]float64 `json:"transactions_per_request,omitempty"` // by database
	Decided      int64              `json:"decided,omitempty"`                  // orders whose stock was decided
	DecidedAfter float64            `json:"decided_after_seconds,omitempty"`    // until the last of them
	Goodput      float64            `json:"goodput,omitempty"`                  // decided meanwhile, by the peak
	MemoryMB     map[string]float64 `json:"memory_mb,omitempty"`                // by process
}

func (r result) String() string {
	text := fmt.Sprintf("%-16s %6.1f/s  p50 %.0f  p95 %.0f  p99 %.0f ms  failed %d",
		r.Name, r.Rate, r.P50, r.P95, r.P99, r.Failed)
	if r.Decided > 0 {
		text += fmt.Sprintf("  decided %d after %.1f s", r.Decided, r.DecidedAfter)
	}
	if r.Goodput > 0 {
		text += fmt.Sprintf("  goodput %.2f", r.Goodput)
	}
	if len(r.MemoryMB) > 0 {
		text += "  MB " + list(r.MemoryMB)
	}
	if len(r.Commits) > 0 {
		text += "  tx " + list(r.Commits)
	}
	return text
}

func list(values map[string]float64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		parts = append(parts, fmt.Sprintf("%s %g", name, values[name]))
	}
	return strings.Join(parts, ", ")
}

// ratio compares two kinds of run pair by pair.
type ratio struct {
	What   string    `json:"what"`
	Pairs  []float64 `json:"pairs"`
	Median float64   `json:"median"`
	Floor  float64   `json:"floor,omitempty"`
	Goal   float64   `json:"goal,omitempty"`
}

// history is the size of one paid order's history.
type history struct {
	Events int64 `json:"events"`
	Bytes  int64 `json:"bytes"`
}

type report struct {
	At      time.Time          `json:"at"`
	Commit  string             `json:"commit"`
	Machine string             `json:"machine"`
	Go      string             `json:"go"`
	Results []result           `json:"results"`
	Ratios  []ratio            `json:"ratios,omitempty"`
	History map[string]history `json:"history"`
}

func newReport(ctx context.Context, p *platform) *report {
	r := &report{
		At:      time.Now().UTC().Truncate(time.Second),
		Commit:  "unknown",
		Go:      runtime.Version(),
		Machine: fmt.Sprintf("%d × %s", runtime.NumCPU(), load.Processor()),
		History: map[string]history{},
	}
	if commit, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output(); err == nil {
		r.Commit = strings.TrimSpace(string(commit))
	}
	for name, id := range map[string]func(context.Context) (uuid.UUID, error){
		"paid":     p.onePaid,
		"checkout": p.oneCheckout,
	} {
		if order, err := id(ctx); err == nil {
			r.History[name] = p.history(ctx, order)
		}
	}
	return r
}

func (p *platform) onePaid(ctx context.Context) (uuid.UUID, error) {
	placed, err := p.place(ctx)
	if err != nil {
		return uuid.Nil, err
	}
	_, err = p.send(ctx, "POST", "/api/orders/"+placed.OrderID.String()+"/pay",
		map[string]any{"payment_method": "pm_ok"}, 200, 202)
	if err != nil {
		return uuid.Nil, err
	}
	return placed.OrderID, p.awaitConfirmed(ctx, placed.OrderID)
}

func (p *platform) oneCheckout(ctx context.Context) (uuid.UUID, error) {
	placed, err := p.send(ctx, "POST", "/api/orders", p.body("pm_ok"), 201, 202)
	if err != nil {
		return uuid.Nil, err
	}
	return placed.OrderID, p.awaitConfirmed(ctx, placed.OrderID)
}

// history reads how long the history of an order's workflow is.
func (p *platform) history(ctx context.Context, order uuid.UUID) history {
	id := orderflow.OrderWorkflowID(order)
	d, err := p.temporal.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return history{}
	}
	info := d.GetWorkflowExecutionInfo()
	return history{Events: info.GetHistoryLength(), Bytes: info.GetHistorySizeBytes()}
}

// judge compares the pairs.
func (r *report) judge() {
	add := func(what, above, below string, floor, goal float64) {
		out := ratio{What: what, Floor: floor, Goal: goal}
		rates := map[string]float64{}
		for _, s := range r.Results {
			rates[s.Name] = s.Rate
		}
		for i := 1; rates[fmt.Sprintf("%s-%d", below, i)] > 0; i++ {
			out.Pairs = append(out.Pairs, rates[fmt.Sprintf("%s-%d", above, i)]/rates[fmt.Sprintf("%s-%d", below, i)])
		}
		if len(out.Pairs) == 0 {
			return
		}
		sorted := slices.Sorted(slices.Values(out.Pairs))
		out.Median = sorted[len(sorted)/2]
		r.Ratios = append(r.Ratios, out)
	}
	add("paid orders to bare workflows", "pair-order", "pair-bare", .7, 1)
	add("one-call checkouts to bare workflows", "pair-checkout", "pair-bare", 0, 1.5)
	add("paid orders to workflows of their shape", "pair-order", "pair-shape", 0, 0)
	add("orders, observed to plain", "orders-observed", "orders-plain", 0, .9)
	add("reservations, observed to plain", "reservations-observed", "reservations-plain", 0, .9)
}

func (r *report) print(to io.Writer) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(to, "\n%s, %s, commits durable\n\n", r.Machine, r.Go)
	fmt.Fprintln(w, "\tcallers\tper second\tp50 ms\tp95 ms\tp99 ms\tfailed\tms of CPU\ttransactions\t")
	for _, s := range r.Results {
		cpu, commits := 0.0, 0.0
		for name, v := range s.CPU {
			if name != "driver" {
				cpu += v
			}
		}
		for _, v := range s.Commits {
			commits += v
		}
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%.0f\t%.0f\t%.0f\t%d\t%.1f\t%.1f\t\n",
			s.Name, s.Callers, s.Rate, s.P50, s.P95, s.P99, s.Failed, cpu, commits)
	}
	_ = w.Flush()
	for _, name := range slices.Sorted(maps.Keys(r.History)) {
		h := r.History[name]
		fmt.Fprintf(to, "\nhistory of an order (%s): %d events, %d bytes", name, h.Events, h.Bytes)
	}
	fmt.Fprintln(to)
	for _, q := range r.Ratios {
		fmt.Fprintf(to, "%s: median %.2f of %.2f", q.What, q.Median, q.Pairs)
		if q.Floor > 0 || q.Goal > 0 {
			fmt.Fprintf(to, " (floor %g, goal %g)", q.Floor, q.Goal)
		}
		fmt.Fprintln(to)
	}
}
