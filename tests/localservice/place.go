package localservice

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
)

// placesRoot holds the data of instances whose wanted directory their server could not enter.
const placesRoot = "/var/lib/holdfast"

// TempDir makes a new temporary directory in which instances keep their data without being moved
// elsewhere: below the usual place, or below /tmp where only root may enter the usual one.
func TempDir() (string, error) {
	parent := os.TempDir()
	if os.Geteuid() == 0 && !reachable(parent, &identity{uid: 65534, gid: 65534}) {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "holdfast-")
	if err != nil {
		return "", fmt.Errorf("make a temporary directory: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", fmt.Errorf("open the temporary directory to the servers' users: %w", err)
	}
	return filepath.EvalSymlinks(dir)
}

// place makes the wanted directory usable for the given user and returns where it really is, with no
// link in the path. A clone below /root is the usual case in which the two differ: the data then lives
// below placesRoot under a name made from the wanted path, and the wanted path is a link to it.
func place(wanted string, owner *identity, log *slog.Logger) (string, error) {
	wanted, err := filepath.Abs(wanted)
	if err != nil {
		return "", fmt.Errorf("find the directory: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(wanted), 0o755); err != nil {
		return "", fmt.Errorf("make the directory: %w", err)
	}
	dir := wanted
	if target, err := filepath.EvalSymlinks(wanted); err == nil {
		dir = target // also an earlier link of ours
	} else if parent, err := filepath.EvalSymlinks(filepath.Dir(wanted)); err == nil {
		dir = filepath.Join(parent, filepath.Base(wanted))
	}
	if !reachable(filepath.Dir(dir), owner) {
		if dir, err = relocate(wanted, log); err != nil {
			return "", err
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the directory: %w", err)
	}
	if err := hand(dir, owner); err != nil {
		return "", fmt.Errorf("give %s to the server's user: %w", dir, err)
	}
	return dir, nil
}

// reachable reports whether the user may pass through dir and everything above it.
func reachable(dir string, owner *identity) bool {
	for {
		info, err := os.Stat(dir)
		if err != nil || !owner.mayEnter(info) {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
		dir = filepath.Dir(dir)
	}
}

// relocate decides where data goes that cannot stay at the wanted path, and links the two.
func relocate(wanted string, log *slog.Logger) (string, error) {
	sum := sha256.Sum256([]byte(wanted))
	target := filepath.Join(placesRoot, hex.EncodeToString(sum[:8]))
	if err := os.MkdirAll(placesRoot, 0o755); err != nil {
		return "", fmt.Errorf("make %s: %w", placesRoot, err)
	}
	info, err := os.Lstat(wanted)
	linked := err == nil && info.Mode()&fs.ModeSymlink != 0
	if linked {
		if to, _ := os.Readlink(wanted); to == target {
			return target, nil
		}
		return "", fmt.Errorf("%s is a link to a place that the server's user cannot enter: remove it, or choose another directory", wanted)
	}
	// Data without its link was given up by whoever removed the link (rm -rf .holdfast), so a new start
	// must not find it again; one generation is kept in case that was a mistake.
	if _, err := os.Stat(target); err == nil {
		old := target + ".old"
		if err := errors.Join(os.RemoveAll(old), os.Rename(target, old)); err != nil {
			return "", fmt.Errorf("set aside earlier data: %w", err)
		}
		log.Warn("the link to earlier data was removed: starting empty", "earlier_data", old)
	}
	if err == nil { // data from a run that could use the wanted place moves along
		if err := os.Rename(wanted, target); err != nil {
			return "", fmt.Errorf("move %s to where the server's user can enter: %w", wanted, err)
		}
	} else if err := os.Mkdir(target, 0o700); err != nil {
		return "", fmt.Errorf("make %s: %w", target, err)
	}
	if err := os.Symlink(target, wanted); err != nil {
		return "", fmt.Errorf("link %s to its data: %w", wanted, err)
	}
	log.Info("only root may enter the data directory: its content lives elsewhere, behind a link", "directory", wanted, "content", target)
	return target, nil
}

// hand gives a directory tree to the user, unless its top shows that it is theirs already.
func hand(dir string, owner *identity) error {
	if owner == nil {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid == owner.uid {
		return nil
	}
	// The top comes last, so that an interrupted walk is done again.
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		return owner.own(path)
	})
	return errors.Join(err, owner.own(dir))
}
