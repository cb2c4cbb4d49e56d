package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"holdfast/bench/load"
)

// ticks is how many clock ticks the kernel counts in a second (proc(5): almost always 100).
const ticks = 100

// cost is what something has used so far: processor time by process and by database, and committed transactions by
// database.
type cost struct {
	cpu     map[string]time.Duration
	commits map[string]int64
}

// backend is how PostgreSQL titles the process that serves a connection: "postgres: user database host(port) state".
var backend = regexp.MustCompile(`^postgres: (?:[^ ]+: )?[^ ]+ ([a-z_]+) [0-9.]+\(`)

// spent reads what has been used so far. The processor time of a connection that has ended is lost.
func (p *platform) spent(ctx context.Context) (cost, error) {
	c := cost{cpu: map[string]time.Duration{}, commits: map[string]int64{}}
	names := map[int]string{}
	for _, child := range p.processes {
		names[child.cmd.Process.Pid] = child.name
	}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		name, ours := names[pid]
		if !ours {
			title, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
			m := backend.FindStringSubmatch(strings.TrimRight(string(title), "\x00"))
			if m == nil {
				continue
			}
			name = "postgres " + m[1]
		}
		c.cpu[name] += processCPU(file)
	}
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err == nil {
		c.cpu["driver"] = time.Duration(own.Utime.Nano() + own.Stime.Nano())
	}
	rows, err := p.admin.Query(ctx, "SELECT datname, xact_commit FROM pg_stat_database WHERE datname IS NOT NULL")
	if err != nil {
		return c, fmt.Errorf("read the transactions: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var commits int64
		if err := rows.Scan(&name, &commits); err != nil {
			return c, fmt.Errorf("read the transactions: %w", err)
		}
		c.commits[name] = commits
	}
	return c, rows.Err()
}

// processCPU reads a process's own user and system time from its stat file.
func processCPU(file string) time.Duration {
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	// pid (comm) state ppid … utime(14) stime(15)
	_, rest, found := strings.Cut(string(raw), ") ")
	fields := strings.Fields(rest)
	if !found || len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * time.Second / ticks
}

// measure runs load and says what one of its requests cost. Requests of the warming-up are in the cost, so the cost is
// divided by all of them, at the measured rate.
func (p *platform) measure(ctx context.Context, name string, run func() load.Sample) (result, error) {
	before, err := p.spent(ctx)
	if err != nil {
		return result{}, err
	}
	begin := time.Now()
	r := result{Name: name, Sample: run()}
	if r.Done == 0 {
		return r, fmt.Errorf("nothing was done, %d failed; the first: %s", r.Failed, r.Error)
	}
	requests := r.Rate * time.Since(begin).Seconds()
	after, err := p.spent(ctx)
	if err != nil {
		return r, err
	}
	r.CPU, r.Commits = map[string]float64{}, map[string]float64{}
	for what, total := range after.cpu {
		if used := (total - before.cpu[what]).Seconds() * 1000 / requests; used >= .05 {
			r.CPU[what] = round(used)
		}
	}
	for database, total := range after.commits {
		if n := float64(total-before.commits[database]) / requests; n >= .5 {
			r.Commits[database] = round(n)
		}
	}
	return r, nil
}

func round(v float64) float64 { return float64(int(v*10+.5)) / 10 }
