package localservice

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Install brings the missing packages onto the machine and reports each step. It needs root and
// apt-get; without them the error says exactly what to run instead. The packages' own servers are
// kept from starting, now and at the next boot, because the stack runs private instances. Calling it
// with nothing missing does nothing.
func Install(ctx context.Context, progress func(message string)) error {
	missing := Missing()
	if len(missing) == 0 {
		return nil
	}
	titles, names := make([]string, len(missing)), make([]string, len(missing))
	for i, p := range missing {
		titles[i], names[i] = p.Title, p.Debian
	}
	what := strings.Join(titles, ", ")
	apt, err := exec.LookPath("apt-get")
	switch {
	case err != nil:
		return fmt.Errorf("%s not found, and this machine has no apt-get: install them with your package manager so that postgres, redis-server and rabbitmq-server can be found in PATH", what)
	case os.Geteuid() != 0:
		return fmt.Errorf("%s not found; run: sudo apt-get update && sudo apt-get install -y --no-install-recommends %s",
			what, strings.Join(names, " "))
	}
	progress("installing " + what + " (" + strings.Join(names, " ") + ")")
	restore, err := forbidServiceStarts(policyFile)
	if err != nil {
		return err
	}
	defer restore()

	install := append([]string{"install", "-y", "--no-install-recommends"}, names...)
	updated := false
	if !hasPackageLists() {
		if err := aptGet(ctx, apt, progress, "update"); err != nil {
			return err
		}
		updated = true
	}
	err = aptGet(ctx, apt, progress, install...)
	if err != nil && !updated && ctx.Err() == nil {
		// Lists that are too old name versions that the mirror no longer has.
		progress("refreshing the package lists and trying again")
		if err := aptGet(ctx, apt, progress, "update"); err != nil {
			return err
		}
		err = aptGet(ctx, apt, progress, install...)
	}
	if err != nil {
		return err
	}
	disableUnits(ctx, names, progress)
	if still := Missing(); len(still) > 0 {
		return fmt.Errorf("%s was installed but its program %s is not where it should be", still[0].Debian, still[0].Binary)
	}
	progress("installed " + what)
	return nil
}

// policyFile is what Debian's package scripts ask before they start a service (invoke-rc.d(8)).
const policyFile = "/usr/sbin/policy-rc.d"

// policyMark tells a policy file that an interrupted Install left behind from somebody else's.
const policyMark = "# Written by holdfast while it installs packages; remove it if no installation is running."

// forbidServiceStarts makes package scripts leave their services stopped until restore is called. A
// policy that somebody else set stays as it is: it was put there on purpose.
func forbidServiceStarts(file string) (restore func(), err error) {
	present, err := os.ReadFile(file)
	switch {
	case err == nil && !strings.Contains(string(present), policyMark):
		return func() {}, nil
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("read the service policy: %w", err)
	}
	// 101 means "action forbidden by policy".
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+policyMark+"\nexit 101\n"), 0o755); err != nil {
		return nil, fmt.Errorf("forbid service starts: %w", err)
	}
	return func() { _ = os.Remove(file) }, nil
}

func hasPackageLists() bool {
	lists, _ := filepath.Glob("/var/lib/apt/lists/*_Packages*")
	return len(lists) > 0
}

// aptGet runs apt-get without questions, passes on the lines that show progress, and puts the last
// lines into the error where it fails.
func aptGet(ctx context.Context, apt string, progress func(string), args ...string) error {
	cmd := exec.CommandContext(ctx, apt, append([]string{"-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("run apt-get: %w", err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run apt-get: %w", err)
	}
	var last []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if last = append(last, line); len(last) > 15 {
			last = last[1:]
		}
		for _, prefix := range []string{"Get:", "Need to get", "Unpacking ", "Setting up "} {
			if strings.HasPrefix(line, prefix) {
				progress("  " + line)
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("apt-get %s: %w:\n%s", strings.Join(args, " "), err, strings.Join(last, "\n"))
	}
	return nil
}

// disableUnits keeps the services just installed from starting at the next boot. systemctl does that
// by changing links, so it also works where systemd is installed but does not run.
func disableUnits(ctx context.Context, names []string, progress func(string)) {
	systemctl, err := exec.LookPath("systemctl")
	if err != nil {
		return
	}
	args := append([]string{"disable"}, names...)
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		args = append([]string{"disable", "--now"}, names...)
	}
	if out, err := exec.CommandContext(ctx, systemctl, args...).CombinedOutput(); err != nil {
		progress(fmt.Sprintf("could not keep the packages' own servers from starting at boot (systemctl %s): %s",
			strings.Join(args, " "), strings.TrimSpace(string(out))))
	}
}
