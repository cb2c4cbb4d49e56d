package localservice

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// ErrMayNotInstall says that this process cannot install packages, because it is not root or the machine has
// no apt-get, and that it did not try.
var ErrMayNotInstall = errors.New("packages cannot be installed from here")

// Install installs those of the given packages that are missing, without arguments those of the stack, and reports each
// step. It needs root and apt-get; without them the
// error is ErrMayNotInstall and says exactly what to run instead. Install keeps the packages' own servers
// from starting, now and at the next boot, because the stack runs private instances. If no package is
// missing, it does nothing.
//
// It waits only for a limited time for a mirror that does not answer. When ctx ends while packages are
// unpacked, that goes on for a moment (see unpackPatience), because half an installation is worse than a
// late answer.
func Install(ctx context.Context, progress func(message string), of ...Package) error {
	missing := Missing(of...)
	if len(missing) == 0 {
		return nil
	}
	titles, names := make([]string, len(missing)), make([]string, len(missing))
	for i, p := range missing {
		titles[i], names[i] = p.Title, p.Debian
	}
	what := strings.Join(titles, ", ")

	path, err := exec.LookPath("apt-get")
	if err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("%s not found, and %w; %s", what, ErrMayNotInstall, HowToInstall(missing...))
	}

	progress("installing " + what + " (" + strings.Join(names, " ") + ")")
	if err := installPackages(ctx, aptGet{path: path, progress: progress}, names); err != nil {
		return fmt.Errorf("install %s: %w", what, err)
	}
	disableUnits(ctx, names, progress)
	if still := Missing(missing...); len(still) > 0 {
		return fmt.Errorf("%s was installed but its program %s is not where it should be",
			still[0].Debian, still[0].Binary)
	}
	progress("installed " + what)
	return nil
}

// HowToInstall says what a person has to do to get the packages, as a clause that ends a sentence.
func HowToInstall(packages ...Package) string {
	debian, programs := make([]string, len(packages)), make([]string, len(packages))
	for i, p := range packages {
		debian[i], programs[i] = p.Debian, p.Binary
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Sprintf("use your package manager, so that PATH leads to %s", strings.Join(programs, ", "))
	}
	sudo := "sudo "
	if os.Geteuid() == 0 {
		sudo = ""
	}
	return fmt.Sprintf("run: %[1]sapt-get update && %[1]sapt-get install -y --no-install-recommends %[2]s",
		sudo, strings.Join(debian, " "))
}

// installPackages first fetches the packages and then unpacks them. A fetch may be stopped at any moment;
// unpacking should not be stopped.
func installPackages(ctx context.Context, apt aptGet, names []string) error {
	restore, err := forbidServiceStarts(policyFile)
	if err != nil {
		return err
	}
	defer restore()
	install := append([]string{"install", "-y", "--no-install-recommends"}, names...)
	fetch := append([]string{downloadOnly}, install...)
	fetching, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()

	updated := false
	if !hasPackageLists() {
		if err := apt.run(fetching, atOnce, "update"); err != nil {
			return err
		}
		updated = true
	}
	err = apt.run(fetching, atOnce, fetch...)
	if err != nil && !updated && !errors.Is(err, errUnreachable) && fetching.Err() == nil {
		// Package lists that are too old name versions that the mirror does not have any more.
		apt.progress("refreshing the package lists and trying again")
		if err := apt.run(fetching, atOnce, "update"); err != nil {
			return err
		}
		err = apt.run(fetching, atOnce, fetch...)
	}
	if err != nil {
		return err
	}
	return apt.run(ctx, unpackPatience, install...)
}

// policyFile is the script that Debian's package scripts call before they start a service (invoke-rc.d(8)).
const policyFile = "/usr/sbin/policy-rc.d"

// policyMark distinguishes a policy file that an interrupted Install left behind from an operator's own.
const policyMark = "# Written by holdfast while it installs packages; remove it if no installation is running."

// forbidServiceStarts makes package scripts leave their services stopped until restore is called. An
// operator's own policy stays as it is.
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

// disableUnits keeps the services just installed from starting at the next boot. systemctl does that
// by changing links, so it also works if systemd is installed but does not run. It is part of the
// installation, so a cancelled ctx does not stop it.
func disableUnits(ctx context.Context, names []string, progress func(string)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
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
