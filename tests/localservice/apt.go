package localservice

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// fetchTimeout bounds everything that needs the network.
	fetchTimeout = 10 * time.Minute
	// atOnce is the patience with a download, which may be stopped at any moment.
	atOnce = time.Duration(0)
	// downloadOnly is the option that fetches packages and does not install them.
	downloadOnly = "--download-only"
	// unpackPatience is how long packages may go on being unpacked and set up after an interruption:
	// half an installation is worse than a late answer, but Ctrl-C must end within 15 seconds.
	unpackPatience = 10 * time.Second
	// aptGrace is what apt-get gets to stop in order before it is killed.
	aptGrace = 2 * time.Second
)

// errUnreachable says that the package mirror cannot be reached, so that trying again is no use.
var errUnreachable = errors.New("the package mirror cannot be reached")

// unreachable matches apt's untranslated messages about a network that cannot be reached.
var unreachable = regexp.MustCompile(`(?i)could not (resolve|connect)|temporary failure resolving|unable to connect|` +
	`cannot initiate the connection|network is unreachable|connection (failed|timed out)`)

// aptGet runs Debian's package manager.
type aptGet struct {
	path     string
	progress func(string)
}

// aptOptions turn off terminal control, and long waits for another package manager or for a mirror that
// does not answer. apt's own limits add up to minutes, and it tries a file again only after all the others.
var aptOptions = []string{
	"-o", "DPkg::Lock::Timeout=120",
	"-o", "Dpkg::Use-Pty=0",
	"-o", "Acquire::Retries=0",
	"-o", "Acquire::http::Timeout=10",
	"-o", "Acquire::https::Timeout=10",
	"-o", "Acquire::http::ConnectTimeout=10",
}

// run runs apt-get without questions and passes on the lines that show progress. Its error contains
// apt-get's own error message. When ctx ends, run waits for as long as the given patience, then asks
// apt-get and all its child processes to stop, and in the end kills them.
func (a aptGet) run(ctx context.Context, patience time.Duration, args ...string) error {
	cmd := exec.Command(a.path, append(aptOptions[:len(aptOptions):len(aptOptions)], args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
	// A group of its own: a terminal's Ctrl-C must not reach dpkg in the middle of a package.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("run apt-get: %w", err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run apt-get: %w", err)
	}

	wanted, giveUp := context.WithCancel(ctx)
	defer giveUp()
	ended := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		a.interrupt(wanted, ended, cmd.Process.Pid, patience)
	}()

	var said []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if len(said) > 0 && strings.HasPrefix(said[len(said)-1], "Err:") && slices.Contains(args, downloadOnly) {
			// The line below the file's name gives the reason. Without this file the installation fails
			// anyway, and a mirror that does not answer would cost its time limit again for each other file.
			said = append(said, "E: "+line)
			giveUp()
			continue
		}
		said = append(said, line)
		if worthTelling(line, args) {
			a.progress("  " + line)
		}
	}
	err = cmd.Wait()
	close(ended)
	<-stopped

	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("apt-get %s: %w", args[0], context.Cause(ctx))
	case unreachable.MatchString(strings.Join(said, "\n")):
		return fmt.Errorf("%w: %s", errUnreachable, complaint(said))
	default:
		return fmt.Errorf("apt-get %s: %w: %s", args[0], err, complaint(said))
	}
}

// interrupt ends the process group after ctx; it returns when ended is closed.
func (a aptGet) interrupt(ctx context.Context, ended <-chan struct{}, group int, patience time.Duration) {
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	if patience > 0 {
		a.progress("letting the package manager finish what it has begun")
	}
	for _, step := range []struct {
		after  time.Duration
		signal syscall.Signal
	}{{patience, syscall.SIGTERM}, {aptGrace, syscall.SIGKILL}} {
		select {
		case <-ended:
			return
		case <-time.After(step.after):
			_ = syscall.Kill(-group, step.signal)
		}
	}
	<-ended
	if patience > 0 {
		a.progress("the package manager was stopped before it had finished: run `dpkg --configure -a` to repair that")
	}
}

// worthTelling picks the few lines that show progress to a waiting person. Of the lines about packages, it
// picks only those about packages that the caller named.
func worthTelling(line string, args []string) bool {
	if setUp, ok := strings.CutPrefix(line, "Setting up "); ok {
		name, _, _ := strings.Cut(setUp, " ")
		return slices.Contains(args, name)
	}
	for _, prefix := range []string{"Need to get", "Fetched ", "Waiting for cache lock"} {
		if strings.HasPrefix(line, prefix) {
			return !strings.HasPrefix(line, "Need to get 0 B")
		}
	}
	return false
}

// complaint is the first error that apt-get named, or else its last lines of output.
func complaint(said []string) string {
	for _, line := range said {
		if message, ok := strings.CutPrefix(line, "E: "); ok {
			return message
		}
	}
	if len(said) == 0 {
		return "it said nothing"
	}
	return strings.Join(said[max(0, len(said)-5):], "; ")
}
