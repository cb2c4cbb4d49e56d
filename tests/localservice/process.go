package localservice

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// program describes how to run one server process.
type program struct {
	name  string // as /proc shows it, for messages and for finding the process again
	path  string
	args  []string
	env   []string
	dir   string // its current directory: inside the instance's, so that leftovers are recognised
	log   string // file that receives its output
	owner *identity
	stop  syscall.Signal // asks it to stop in order
}

// process is a running server.
type process struct {
	program
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended and err is set
	err  error
}

// launch starts a server in a process group of its own, so that a terminal's Ctrl-C does not reach it
// before the caller stops it. The server does not inherit the caller's environment: a variable such as
// PGDATA or RABBITMQ_NODENAME in the caller's shell must not change where the server works.
func launch(p program) (*process, error) {
	if err := keepOneOldLog(p.log); err != nil {
		return nil, err
	}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", p.name, err)
	}
	defer func() { _ = out.Close() }()
	cmd := exec.Command(p.path, p.args...)
	cmd.Env = append([]string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"LANG=C.UTF-8",
		"HOME=" + p.dir,
	}, p.env...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: p.owner.credential()}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}

	started := &process{program: p, cmd: cmd, done: make(chan struct{})}
	go func() {
		ended := make(chan struct{})
		var bounding sync.WaitGroup
		bounding.Go(func() { boundLog(p.log, maxLog, logInterval, ended) })
		started.err = cmd.Wait()
		close(ended)
		bounding.Wait()
		close(started.done)
	}()
	return started, nil
}

// halt asks the process to stop, waits, and kills its group once ctx is over.
func (p *process) halt(ctx context.Context) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(p.stop); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
		return fmt.Errorf("%s did not stop in time and was killed: %w", p.name, ctx.Err())
	}
}

// probeTimeout bounds one attempt of a readiness probe; readyTimeout bounds all attempts together if the
// caller's context does not.
const (
	probeInterval = 30 * time.Millisecond
	probeTimeout  = 3 * time.Second
	readyTimeout  = 2 * time.Minute
)

// awaitReady tries the probe until it succeeds. When the process ends first, the error carries the end
// of its log, which usually says why.
func (p *process) awaitReady(ctx context.Context, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		try, done := context.WithTimeout(ctx, probeTimeout)
		err := probe(try)
		done()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it was ready (%v); the end of %s:\n%s",
				p.name, p.err, p.log, tail(p.log)) //nolint:errorlint // nil if the process exited with 0
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w (last answer: %w); the end of %s:\n%s",
				p.name, ctx.Err(), err, p.log, tail(p.log))
		case <-time.After(probeInterval):
		}
	}
}

const (
	// maxLog is how many bytes a server's log may have before it is set aside. The last log that was set aside is kept.
	maxLog = 10 << 20
	// logInterval is how often the size of the log is checked.
	logInterval = 5 * time.Second
)

// keepOneOldLog keeps the log of the previous run only.
func keepOneOldLog(log string) error {
	if err := os.Rename(log, oldLog(log)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("set the earlier log aside: %w", err)
	}
	return nil
}

func oldLog(log string) string { return log + ".old" }

// boundLog keeps the log of a running server below limit bytes, as far as one interval's growth allows, until stop is
// closed. PostgreSQL and Redis cannot bound their own logs. The server keeps its file open, so boundLog copies the
// content to the old log and empties the file; the server appends, so it goes on writing at the new end. A line that is
// written between the copy and the emptying is lost. If the copy fails, because the disk is full for example, boundLog
// empties the log anyway.
func boundLog(log string, limit int64, interval time.Duration, stop <-chan struct{}) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		if info, err := os.Stat(log); err != nil || info.Size() <= limit {
			continue
		}
		_ = copyFile(log, oldLog(log))
		_ = os.Truncate(log, 0)
	}
}

// copyFile replaces the content of to by that of from.
func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// tail returns the last lines of a log.
func tail(log string) string {
	f, err := os.Open(log)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	const most = 4096
	if info, err := f.Stat(); err == nil && info.Size() > most {
		_, _ = f.Seek(-most, io.SeekEnd)
	}
	end, _ := io.ReadAll(f)
	lines := strings.Split(string(bytes.TrimSpace(end)), "\n")
	return strings.Join(lines[max(0, len(lines)-25):], "\n")
}
