package localservice

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// reserved remembers the ports that this process has chosen, because a server binds its port only some
// time after it was chosen.
var reserved = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// Port returns a free port on 127.0.0.1: the wanted port, or else the next free one, which it reports to the
// log; for 0 any free port. The port stays reserved within this process.
func Port(wanted int, what string, log *slog.Logger) (int, error) {
	reserved.Lock()
	defer reserved.Unlock()
	port := wanted
	if wanted == 0 {
		// Below the range from which Linux takes ports for outgoing connections (32768 and up), so that
		// no connection takes the port before the server does.
		port = 20000 + rand.IntN(12000) //nolint:gosec // a port is no secret
	}
	for range 2000 {
		if port > 65535 {
			break
		}
		if !reserved.ports[port] && portIsFree(port) {
			if wanted != 0 && port != wanted {
				log.Warn("the port of "+what+" is taken by another program: moving to the next free one",
					"wanted", wanted, "port", port, "taken_by", holder(wanted))
			}
			reserved.ports[port] = true
			return port, nil
		}
		port++
	}
	return 0, fmt.Errorf("no free port for %s from %d on", what, wanted)
}

func releasePorts(ports ...int) {
	reserved.Lock()
	defer reserved.Unlock()
	for _, port := range ports {
		delete(reserved.ports, port)
	}
}

// holder names the program that has the port, for a message.
func holder(port int) string {
	if found := Listeners(port); len(found) > 0 {
		return found[0].String()
	}
	return "unknown"
}

func portIsFree(port int) bool {
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
