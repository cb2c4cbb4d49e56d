package localservice

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// given remembers the ports this process has handed out, because a server binds its port only some
// time after it was chosen.
var given = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// Port returns a free port on 127.0.0.1: the wanted one, or else the next free one, with a word to the
// log; for 0 any. It stays reserved within this process.
func Port(wanted int, what string, log *slog.Logger) (int, error) {
	given.Lock()
	defer given.Unlock()
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
		if !given.ports[port] && portIsFree(port) {
			if wanted != 0 && port != wanted {
				log.Warn("the port of "+what+" is taken by another program: moving to the next free one",
					"wanted", wanted, "port", port, "taken_by", holder(wanted))
			}
			given.ports[port] = true
			return port, nil
		}
		port++
	}
	return 0, fmt.Errorf("no free port for %s from %d on", what, wanted)
}

func releasePorts(ports ...int) {
	given.Lock()
	defer given.Unlock()
	for _, port := range ports {
		delete(given.ports, port)
	}
}

// holder names who has the port, for a message.
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
