package localservice

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// identity is the unprivileged user a server runs as. Nil means the caller's own user.
type identity struct {
	name     string
	uid, gid uint32
}

// identityFor returns the first of the named users that exists if the caller is root, else nil: only root
// can change the user, and root must.
func identityFor(names ...string) (*identity, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uerr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gerr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uerr, gerr); err != nil {
			return nil, fmt.Errorf("read the ids of user %s: %w", name, err)
		}
		return &identity{name: name, uid: uint32(uid), gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("none of the users %v exists, and the server must not run as root", names)
}

func (i *identity) credential() *syscall.Credential {
	if i == nil {
		return nil
	}
	return &syscall.Credential{Uid: i.uid, Gid: i.gid}
}

// chown makes the user the owner of a path.
func (i *identity) chown(path string) error {
	if i == nil {
		return nil
	}
	return os.Lchown(path, int(i.uid), int(i.gid))
}

// mayEnter reports whether the user may pass through a directory with the given state.
func (i *identity) mayEnter(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if i == nil || !ok {
		return true
	}
	switch mode := info.Mode().Perm(); {
	case st.Uid == i.uid:
		return mode&0o100 != 0
	case st.Gid == i.gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}
