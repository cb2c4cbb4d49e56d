package stack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"holdfast/tests/localservice"
)

// claimDirectory makes the stack's directory, checks that this user can work in it, and locks it against
// every other `make up` until the stack has stopped.
func (s *Stack) claimDirectory() error {
	if err := checkOwner(s.dir, os.Geteuid()); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "log"), 0o755); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("%s may not make %s: work in a clone of your own, or name another directory with --dir",
				userName(os.Geteuid()), s.dir)
		}
		return fmt.Errorf("make the stack's directory: %w", err)
	}

	lock, err := localservice.Lock(s.dir)
	var inUse *localservice.InUseError
	if errors.As(err, &inUse) {
		return fmt.Errorf("another `make up` of this folder is running, process %d: "+
			"use that one, or stop it with Ctrl-C in its terminal, or with `kill %[1]d`", inUse.PID)
	}
	if err != nil {
		return err
	}
	s.lock = lock
	if owner, err := ownerOf(s.dir); err == nil && os.Geteuid() == 0 && owner != 0 {
		s.say("%s belongs to %s: as root, the servers run as users of their own, and the data becomes theirs",
			s.dir, userName(owner))
	}
	return nil
}

// checkOwner finds the files that a run as another user left in dir, and its error says what to do about
// them. Root may use everything.
func checkOwner(dir string, uid int) error {
	if uid == 0 {
		return nil
	}
	paths := []string{dir}
	for _, pattern := range []string{"*", "log/*"} {
		more, _ := filepath.Glob(filepath.Join(dir, pattern))
		paths = append(paths, more...)
	}
	foreign, moved := "", false
	for _, path := range paths {
		owner, err := ownerOf(path)
		if err != nil || owner == uid {
			continue
		}
		if foreign == "" {
			foreign = userName(owner)
		}
		// A run as root keeps data elsewhere, behind a link, if its servers cannot enter dir.
		if to, err := os.Readlink(path); err == nil && filepath.IsAbs(to) {
			moved = true
		}
	}
	switch me := userName(uid); {
	case foreign == "":
		return nil
	case moved:
		return fmt.Errorf("%s was used by %s, and its data lies in a directory that %s may not enter: "+
			"run `sudo make up` to use it, or `sudo rm -rf %[1]s` to start with an empty one", dir, foreign, me)
	default:
		return fmt.Errorf("%s was used by %s, and %s may not use it: "+
			"run `sudo chown -R %[3]s: %[1]s` to take it over, or `sudo rm -rf %[1]s` to start with an empty one",
			dir, foreign, me)
	}
}

// ownerOf does not follow links.
func ownerOf(path string) (int, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return 0, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return int(st.Uid), nil
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return "user " + strconv.Itoa(uid)
}
