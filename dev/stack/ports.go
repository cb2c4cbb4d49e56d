package stack

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"holdfast/tests/localservice"
)

// ports are the ports on which everything listens.
type ports struct {
	// The stack's own ports: a client, a bookmark or a script knows them, so a taken port is an error, which
	// says what to do.
	gateway, gatewayPrivate, api, sandbox, inventory, worker, events, codec, temporal, temporalUI int
	// The backing services' ports: if one is taken, the service uses the next free port.
	postgres, redis, rabbitMQ, rabbitMQUI int
}

var knownPorts = ports{
	gateway:        3000,
	gatewayPrivate: 9092,
	api:            3001,
	sandbox:        3003,
	inventory:      8080,
	worker:         9090,
	events:         9091,
	codec:          9093,
	temporal:       7233,
	temporalUI:     8233,
	postgres:       localservice.DefaultPostgresPort,
	redis:          localservice.DefaultRedisPort,
	rabbitMQ:       localservice.DefaultRabbitMQPort,
	rabbitMQUI:     localservice.DefaultRabbitMQManagementPort,
}

// check names every port of our own that is taken, and the program that has it, before anything is started.
func (p ports) check() error {
	var taken, pids []string
	unseen := false
	for _, own := range []struct {
		port int
		what string
	}{
		{p.gateway, "gateway"},
		{p.gatewayPrivate, "gateway, for operators"},
		{p.api, "api"},
		{p.sandbox, "payment sandbox"},
		{p.inventory, "inventory"},
		{p.worker, "worker"},
		{p.events, "events"},
		{p.codec, "codec"},
		{p.temporal, "Temporal"},
		{p.temporalUI, "Temporal Web UI"},
	} {
		if own.port == 0 {
			continue // not used
		}
		holders := localservice.Listeners(own.port)
		if len(holders) == 0 && !portIsFree(own.port) {
			holders = []localservice.Listener{{User: "unknown"}}
		}
		for _, h := range holders {
			who := h.String()
			if h.Program == "holdfast-dev" {
				who = fmt.Sprintf("another `make up`, process %d, in %s", h.PID, h.Dir)
			}
			taken = append(taken, fmt.Sprintf("  %d (%s): %s", own.port, own.what, who))
			switch pid := strconv.Itoa(h.PID); {
			case h.PID == 0:
				unseen = true
			case !slices.Contains(pids, pid):
				pids = append(pids, pid)
			}
		}
	}
	if len(taken) == 0 {
		return nil
	}

	var remedy []string
	if len(pids) > 0 {
		remedy = append(remedy, "`kill "+strings.Join(pids, " ")+"`")
	}
	if unseen {
		remedy = append(remedy, "`sudo ss -ltnp` names the programs that this user cannot see")
	}
	return fmt.Errorf("ports that the platform needs are taken:\n%s\nstop these programs and try again: %s",
		strings.Join(taken, "\n"), strings.Join(remedy, ", "))
}

// portIsFree also notices a port that the kernel's tables do not show, such as a port that is bound but does not
// listen yet.
func portIsFree(port int) bool {
	l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
