package testenv

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
)

// watchdog is a small shell that outlives this process by a moment. It holds the reading end of a pipe, and
// the kernel closes the writing end when this process ends, also by a panic, a test time-out or SIGKILL. The
// shell then ends every process that works inside the directory, and removes the directory.
//
// The kernel's parent-death signal would be simpler. But the kernel sends it when the *thread* that started a
// server ends, and Go can prevent that only if a thread is given up for good. It would also leave the
// directories behind, and it does not reach a server's helper processes.
type watchdog struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

// The servers get ten seconds to stop in order, which releases their shared memory, before they are
// killed. The script finds processes by their current directory, so it also finds a process that was started
// at the moment in which the test was killed.
const watchdogScript = `
trap '' INT TERM HUP QUIT
dir=$1
read -r word
[ "$word" = dismissed ] && exit 0
sweep() {
	left=
	for link in /proc/[0-9]*/cwd; do
		cwd=$(readlink "$link" 2>/dev/null) || continue
		case $cwd in "$dir" | "$dir"/*)
			left=1
			pid=${link#/proc/}
			kill -"$1" "${pid%/cwd}" 2>/dev/null
			;;
		esac
	done
}
sweep TERM
tries=0
while [ -n "$left" ] && [ $tries -lt 100 ]; do
	sleep 0.1
	sweep 0
	tries=$((tries + 1))
done
while [ -n "$left" ] && [ $tries -lt 150 ]; do
	sweep KILL
	sleep 0.1
	tries=$((tries + 1))
done
rm -rf "$dir"
`

// watch starts a watchdog for a directory, given without links in its path.
func watch(dir string) (*watchdog, error) {
	cmd := exec.Command("/bin/sh", "-c", watchdogScript, "sh", dir)
	cmd.Dir = "/"
	// The watchdog has a group of its own, so that a signal to this process's group does not end it. It has
	// no output, because go test waits until every process has closed the test's output.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the watchdog: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the watchdog: %w", err)
	}
	return &watchdog{cmd: cmd, pipe: pipe}, nil
}

// dismiss ends the watchdog without any effect, after all services were stopped in order.
func (w *watchdog) dismiss() error {
	_, err := io.WriteString(w.pipe, "dismissed\n")
	if err := errors.Join(err, w.pipe.Close(), w.cmd.Wait()); err != nil {
		return fmt.Errorf("dismiss the watchdog: %w", err)
	}
	return nil
}
