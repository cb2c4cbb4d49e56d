package localservice

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// procEntry is a process whose current directory lies inside an instance's directory.
type procEntry struct {
	pid, parent int
	name        string
}

// processesIn finds the processes that work inside dir (an absolute path without links) and have one of
// the names. It needs no record of the run that started them, so it also finds a server whose starter was
// killed at the same moment, and it never takes a foreign process with a reused process id for ours.
func processesIn(dir string, names ...string) []procEntry {
	entries, _ := os.ReadDir("/proc")
	var found []procEntry
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		// A process that has just ended, or that belongs to another user, cannot be read: it is not ours.
		cwd, err := os.Readlink(filepath.Join("/proc", e.Name(), "cwd"))
		if err != nil || (cwd != dir && !strings.HasPrefix(cwd, dir+"/")) {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue
		}
		// "pid (name) state parent …": the name may itself hold brackets, so it ends at the last one.
		line := string(stat)
		open, shut := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
		if open < 0 || shut < open {
			continue
		}
		rest := strings.Fields(line[shut+1:])
		if len(rest) < 2 || rest[0] == "Z" || !slices.Contains(names, line[open+1:shut]) {
			continue
		}
		parent, _ := strconv.Atoi(rest[1])
		found = append(found, procEntry{pid: pid, parent: parent, name: line[open+1 : shut]})
	}
	return found
}

// processKind is one kind of process an instance consists of.
type processKind struct {
	name string
	stop syscall.Signal
}

// leftoverTimeout bounds how long a leftover server may take to stop in order.
const leftoverTimeout = 30 * time.Second

// stopLeftovers stops the processes that a killed run left behind in dir, kind by kind in the given order.
func stopLeftovers(ctx context.Context, dir string, log *slog.Logger, kinds ...processKind) error {
	for _, kind := range kinds {
		left := processesIn(dir, kind.name)
		if len(left) == 0 {
			continue
		}
		for _, r := range left {
			// PostgreSQL's server stops its helper processes itself.
			if slices.ContainsFunc(left, func(other procEntry) bool { return other.pid == r.parent }) {
				continue
			}
			log.Info("taking over from a server that an earlier run left behind", "program", kind.name, "pid", r.pid)
			_ = syscall.Kill(r.pid, kind.stop)
		}
		if err := awaitGone(ctx, leftoverTimeout, dir, kind.name); err != nil {
			return fmt.Errorf("stop the %s left behind in %s: %w", kind.name, dir, err)
		}
	}
	return nil
}

// awaitGone waits until no process with one of the given names is left in dir, and kills a process that takes
// longer than the given patience.
func awaitGone(ctx context.Context, patience time.Duration, dir string, names ...string) error {
	deadline := time.Now().Add(patience)
	for {
		left := processesIn(dir, names...)
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			for _, r := range left {
				_ = syscall.Kill(r.pid, syscall.SIGKILL)
			}
			deadline = time.Now().Add(patience)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
