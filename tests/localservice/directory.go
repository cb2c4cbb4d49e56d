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

// relocatedRoot holds the data of instances whose wanted directory their server cannot enter.
const relocatedRoot = "/var/lib/holdfast"

// TempDir makes a new temporary directory that the servers' users can enter, so that the data of an instance
// stays in it: below the usual directory, or below /tmp if only root may enter the usual directory.
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

// prepareDir makes the wanted directory usable for the given user and returns its real path, without links.
// The two differ if the server's user cannot enter the wanted directory, usually because the clone lies
// below /root: the data then lies below relocatedRoot under a name made from the wanted path, and the
// wanted path is a link to it.
func prepareDir(wanted string, owner *identity, log *slog.Logger) (string, error) {
	wanted, err := filepath.Abs(wanted)
	if err != nil {
		return "", fmt.Errorf("find the directory: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(wanted), 0o755); err != nil {
		return "", fmt.Errorf("make the directory: %w", err)
	}

	dir := wanted
	if target, err := filepath.EvalSymlinks(wanted); err == nil {
		dir = target // the wanted path may be an earlier link of ours
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
	if err := chownTree(dir, owner); err != nil {
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

// relocate moves data that cannot stay at the wanted path, and makes the wanted path a link to it.
func relocate(wanted string, log *slog.Logger) (string, error) {
	sum := sha256.Sum256([]byte(wanted))
	target := filepath.Join(relocatedRoot, hex.EncodeToString(sum[:8]))
	if err := os.MkdirAll(relocatedRoot, 0o755); err != nil {
		return "", fmt.Errorf("make %s: %w", relocatedRoot, err)
	}
	info, err := os.Lstat(wanted)
	linked := err == nil && info.Mode()&fs.ModeSymlink != 0
	if linked {
		if to, _ := os.Readlink(wanted); to == target {
			return target, nil
		}
		return "", fmt.Errorf("%s is a link to a directory that the server's user cannot enter: "+
			"remove the link, or choose another directory", wanted)
	}

	// A user who removed the link (rm -rf .holdfast) gave up the data behind it, so a new start must not find
	// that data again. One generation is kept in case the removal was a mistake.
	if _, err := os.Stat(target); err == nil {
		old := target + ".old"
		if err := errors.Join(os.RemoveAll(old), os.Rename(target, old)); err != nil {
			return "", fmt.Errorf("set aside earlier data: %w", err)
		}
		log.Warn("the link to earlier data was removed: starting empty", "earlier_data", old)
	}
	if err == nil { // data of an earlier run at the wanted path moves too
		if err := os.Rename(wanted, target); err != nil {
			return "", fmt.Errorf("move %s to where the server's user can enter: %w", wanted, err)
		}
	} else if err := os.Mkdir(target, 0o700); err != nil {
		return "", fmt.Errorf("make %s: %w", target, err)
	}
	if err := os.Symlink(target, wanted); err != nil {
		return "", fmt.Errorf("link %s to its data: %w", wanted, err)
	}
	log.Info("only root may enter the data directory: its content lives elsewhere, behind a link",
		"directory", wanted, "content", target)
	return target, nil
}

// chownTree makes the user the owner of a directory tree, unless the user owns its top already.
func chownTree(dir string, owner *identity) error {
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
	// The top comes last, so that the next start repeats an interrupted walk.
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		return owner.chown(path)
	})
	return errors.Join(err, owner.chown(dir))
}
