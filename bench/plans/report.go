package main

import (
	"fmt"
	"strings"
	"time"

	"holdfast/inventory/store"
)

// report collects all results.
type report struct {
	options                options
	server                 string
	filled                 time.Duration
	findings               []finding
	before, after, rebuilt []size
	alone, beside          measured
	moved                  store.Moved
	batches                int
	archived, vacuumed     time.Duration
	stopped                bool
}

// whole names the queries that read whole tables.
func (r *report) whole() (out []string) {
	for _, f := range r.findings {
		if len(f.whole) > 0 {
			out = append(out, fmt.Sprintf("%s (%s, %d, %s)", f.name, f.on, f.batch, f.mode))
		}
	}
	return out
}

func (r *report) text() string {
	var b strings.Builder
	fmt.Fprint(&b, "# Every plan of the inventory's queries\n\n"+
		"Written by `make plans-inventory`; [what it says](inventory-plans.md).\n\n")
	fmt.Fprintf(&b, "%s; %d items of %d products and a hot one at five locations, %d reservations; filled in %s.\n\n",
		r.server, 5*(r.options.products+1), r.options.products, r.options.reservations, r.filled.Round(time.Second))
	r.plans(&b)
	r.sizes(&b)
	r.archive(&b)
	return b.String()
}

func (r *report) plans(b *strings.Builder) {
	fmt.Fprintln(b, "## Plans\n\n"+
		"| query | arguments | batch | planned for | first | again | pages | plan |\n"+
		"|---|---|--:|---|--:|--:|--:|---|")
	arguments := map[string]string{"custom": "these", "generic": "any"}
	slowest := finding{}
	for _, f := range r.findings {
		fmt.Fprintf(b, "| %s | %s | %d | %s | %s | %s | %d | %s |\n",
			f.name, f.on, f.batch, arguments[f.mode], ms(f.first), ms(f.again), f.pages, f.plan)
		if f.first > slowest.first {
			slowest = f
		}
	}
	fmt.Fprintf(b, "\nThe slowest took %s: %s (%s), %d at once. Tables read whole: %d.\n\n",
		ms(slowest.first), slowest.name, slowest.on, slowest.batch, len(r.whole()))
}

func (r *report) sizes(b *strings.Builder) {
	fmt.Fprintln(b, "## Sizes\n\n"+
		"| table · index | rows | filled | archived and vacuumed | rebuilt |\n"+
		"|---|--:|--:|--:|--:|")
	names := map[string][3]size{}
	var order []string
	for i, list := range [][]size{r.before, r.after, r.rebuilt} {
		for _, s := range list {
			row, known := names[s.name]
			if !known {
				order = append(order, s.name)
			}
			row[i] = s
			names[s.name] = row
		}
	}

	var total [3]int64
	for _, name := range order {
		row := names[name]
		rows := ""
		if row[0].index || row[1].index {
			_, index, _ := strings.Cut(name, "·")
			name = "&nbsp;&nbsp;·" + index
		} else {
			rows = fmt.Sprintf("%d → %d", row[0].rows, row[1].rows)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n",
			name, rows, mb(row[0].bytes), mb(row[1].bytes), mb(row[2].bytes))
		for i := range total {
			total[i] += row[i].bytes
		}
	}
	fmt.Fprintf(b, "| all | | %s | %s | %s |\n\n", mb(total[0]), mb(total[1]), mb(total[2]))
}

func (r *report) archive(b *strings.Builder) {
	m := r.moved
	fmt.Fprintf(b, "## Archiving\n\n"+
		"%d reservations, %d lines, %d entries moved and %d events deleted in %s and %d batches",
		m.Reservations(), m.Lines, m.Entries, m.Events, r.archived.Round(time.Second), r.batches)
	if r.stopped {
		fmt.Fprint(b, " (stopped by the clock, not at the end)")
	}
	fmt.Fprintf(b, "; the vacuum after it took %s.\n\n"+
		"| %d callers reserve | reservations/s | p50 | p99 |\n"+
		"|---|--:|--:|--:|\n", r.vacuumed.Round(time.Second), callers)
	for _, l := range []struct {
		name string
		measured
	}{{"alone", r.alone}, {"while archiving", r.beside}} {
		fmt.Fprintf(b, "| %s | %.0f | %s | %s |\n", l.name, l.rate, ms(l.p50), ms(l.p99))
	}
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond)) }

func mb(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
