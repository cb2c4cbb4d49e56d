package localservice

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Listener is a program that listens on a port, so that a server on 127.0.0.1 cannot use the port.
type Listener struct {
	PID     int    // 0 if /proc does not let this user see it
	Program string // its name, empty if PID is 0
	Dir     string // its current directory, empty if PID is 0
	User    string // name or number of the user whose socket it is
}

func (l Listener) String() string {
	if l.PID == 0 {
		return "a program of user " + l.User
	}
	return fmt.Sprintf("%s, process %d", l.Program, l.PID)
}

// Listeners finds the programs that listen on the port: on 127.0.0.1 or on all addresses, of IPv4 or of IPv6.
// On a machine without /proc/net it finds none.
func Listeners(port int) []Listener {
	sockets := append(listeningOn("/proc/net/tcp", port), listeningOn("/proc/net/tcp6", port)...)
	if len(sockets) == 0 {
		return nil
	}
	holders := map[string]int{}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // those of other users cannot be read
	for _, link := range links {
		to, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(to, "socket:[") {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(link, "/")[2]); err == nil {
			inode := strings.TrimSuffix(strings.TrimPrefix(to, "socket:["), "]")
			if holders[inode] == 0 { // a parent and its children may share it; the parent is the one to stop
				holders[inode] = pid
			}
		}
	}

	var found []Listener
	for _, s := range sockets {
		l := Listener{User: s.uid, PID: holders[s.inode]}
		if u, err := user.LookupId(s.uid); err == nil {
			l.User = u.Username
		}
		if l.PID != 0 {
			proc := filepath.Join("/proc", strconv.Itoa(l.PID))
			name, _ := os.ReadFile(filepath.Join(proc, "comm"))
			l.Program = strings.TrimSpace(string(name))
			l.Dir, _ = os.Readlink(filepath.Join(proc, "cwd"))
		}
		if !slices.Contains(found, l) { // a program may listen on addresses of both IPv4 and IPv6
			found = append(found, l)
		}
	}
	return found
}

type listening struct{ inode, uid string }

// listeningOn reads one of the kernel's socket tables (proc(5)). Its columns are: number, local
// address, remote address, state, queues, timer, retransmits, user id, timeouts, inode.
func listeningOn(table string, port int) []listening {
	f, err := os.Open(table)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	const listenState = "0A"
	var found []listening
	for lines := bufio.NewScanner(f); lines.Scan(); {
		columns := strings.Fields(lines.Text())
		if len(columns) < 10 || columns[3] != listenState {
			continue
		}
		address, hexPort, ok := strings.Cut(columns[1], ":")
		n, err := strconv.ParseUint(hexPort, 16, 16)
		if ok && err == nil && int(n) == port && inTheWay(address) {
			found = append(found, listening{inode: columns[9], uid: columns[7]})
		}
	}
	return found
}

// inTheWay reports whether an address as the kernel writes it, in 32-bit words of the machine's own
// byte order, is 127.0.0.1 or stands for all addresses.
func inTheWay(address string) bool {
	raw, err := hex.DecodeString(address)
	if err != nil || len(raw)%4 != 0 {
		return false
	}
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word) // both architectures that Linux developers use are little-endian
	}
	ip, ok := netip.AddrFromSlice(raw)
	return ok && (ip.IsUnspecified() || ip.Unmap() == netip.AddrFrom4([4]byte{127, 0, 0, 1}))
}
