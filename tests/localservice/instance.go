package localservice

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	// stopTimeout bounds an orderly stop if the caller's context does not.
	stopTimeout = 45 * time.Second
	// abandonTimeout bounds the stop of a server that never became ready: it has no data to flush, and
	// the person who interrupted the start waits.
	abandonTimeout = 5 * time.Second
	// helperPatience is how long a server's helpers may outlive it before they are killed.
	helperPatience = 3 * time.Second
)

// instance is the common part of the three services: a directory that this process has locked, and the
// processes that work in it.
type instance struct {
	title string
	dir   string
	owner *identity
	kinds []processKind // in the order in which they are stopped
	log   *slog.Logger
	held  io.Closer
	ports []int

	processes []*process // in the order in which they were started; the last one is the server itself
	stopping  sync.Mutex
	stopped   bool
	stopErr   error
}

// prepare locks the instance's directory and stops the processes that an earlier run left behind in it.
func prepare(
	ctx context.Context,
	title string,
	o Options,
	owner *identity,
	kinds ...processKind,
) (*instance, error) {
	dir, err := prepareDir(o.Dir, owner, o.Log)
	if err != nil {
		return nil, fmt.Errorf("prepare the directory of %s: %w", title, err)
	}
	held, err := Lock(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", title, err)
	}
	i := &instance{
		title: title,
		dir:   dir,
		owner: owner,
		kinds: kinds,
		log:   o.Log.With("service", title),
		held:  held,
	}
	if err := stopLeftovers(ctx, dir, i.log, kinds...); err != nil {
		return nil, i.abandon(err)
	}
	return i, nil
}

// takePort reserves a port for as long as the instance lives.
func (i *instance) takePort(wanted int, what string) (int, error) {
	port, err := Port(wanted, what, i.log)
	if err == nil {
		i.ports = append(i.ports, port)
	}
	return port, err
}

// run starts one of the instance's processes and waits until it answers. When that fails, the caller stops
// the instance (abandon).
func (i *instance) run(ctx context.Context, p program, probe func(context.Context) error) error {
	proc, err := launch(p)
	if err == nil {
		i.processes = append(i.processes, proc)
		err = proc.awaitReady(ctx, probe)
	}
	return err
}

// abandon stops an instance whose start failed and returns the reason, joined with the errors of the stop.
func (i *instance) abandon(reason error) error {
	ctx, cancel := context.WithTimeout(context.Background(), abandonTimeout)
	defer cancel()
	return errors.Join(fmt.Errorf("start %s: %w", i.title, reason), i.Stop(ctx))
}

// Dir is the directory that holds the data, without links in its path.
func (i *instance) Dir() string { return i.dir }

// PID is the server's process id.
func (i *instance) PID() int { return i.processes[len(i.processes)-1].cmd.Process.Pid }

// Done is closed when the server has ended, on request or by itself.
func (i *instance) Done() <-chan struct{} { return i.processes[len(i.processes)-1].done }

// Stop stops the instance in order and returns once all its processes have ended. It kills and reports a
// process that has not stopped when ctx is over (45 s at most). A context that is over already would kill
// at once: pass a fresh context, not the one that Ctrl-C cancelled. A second call does nothing.
func (i *instance) Stop(ctx context.Context) error {
	i.stopping.Lock()
	defer i.stopping.Unlock()
	if i.stopped {
		return i.stopErr
	}
	i.stopped = true
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()

	var errs []error
	for n := len(i.processes) - 1; n >= 0; n-- {
		errs = append(errs, i.processes[n].halt(ctx))
	}
	if len(i.processes) > 0 {
		names := make([]string, len(i.kinds))
		for n, kind := range i.kinds {
			names[n] = kind.name
		}
		// Helper processes outlive their server by a moment. They are ours, so they get that moment even if
		// ctx is over.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		errs = append(errs, awaitGone(last, helperPatience, i.dir, names...))
	}
	releasePorts(i.ports...)
	errs = append(errs, i.held.Close())
	i.stopErr = errors.Join(errs...)
	return i.stopErr
}
