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

// resident is a process whose current directory lies inside an instance's directory.
type resident struct {
	pid, parent int
	name        string
}

// residents finds the processes that work inside dir (an absolute path without links) and carry one of
// the names. It needs no record written by the run that started them, so it also finds a server whose
// starter was killed in the same instant, and it cannot mistake a foreign process that was given an
// old process id.
func residents(dir string, names ...string) []resident {
	entries, _ := os.ReadDir("/proc")
	var found []resident
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		// Reading a process that has just ended, or that belongs to somebody else, fails: not ours.
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
		found = append(found, resident{pid: pid, parent: parent, name: line[open+1 : shut]})
	}
	return found
}

// species is one kind of process an instance consists of.
type species struct {
	name string
	stop syscall.Signal
}

// evictTimeout bounds how long a server left behind may take to stop in order.
const evictTimeout = 30 * time.Second

// evict stops what a killed run left behind in dir, one kind after the other in the given order.
func evict(ctx context.Context, dir string, log *slog.Logger, kinds ...species) error {
	for _, kind := range kinds {
		left := residents(dir, kind.name)
		if len(left) == 0 {
			continue
		}
		for _, r := range left {
			// PostgreSQL's helper processes are stopped by the server they belong to.
			if slices.ContainsFunc(left, func(other resident) bool { return other.pid == r.parent }) {
				continue
			}
			log.Info("taking over from a server that an earlier run left behind", "program", kind.name, "pid", r.pid)
			_ = syscall.Kill(r.pid, kind.stop)
		}
		if err := awaitGone(ctx, evictTimeout, dir, kind.name); err != nil {
			return fmt.Errorf("stop the %s left behind in %s: %w", kind.name, dir, err)
		}
	}
	return nil
}

// awaitGone waits until no process of the given names is left in dir, and kills those that take longer
// than the given patience.
func awaitGone(ctx context.Context, patience time.Duration, dir string, names ...string) error {
	deadline := time.Now().Add(patience)
	for {
		left := residents(dir, names...)
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
