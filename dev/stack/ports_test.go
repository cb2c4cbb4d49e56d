package stack

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/tests/localservice"
)

// holdPorts finds ports for a stack beside a developer's own stack and keeps them until release is called.
// They lie below the ports that Linux gives to outgoing connections.
func holdPorts(t *testing.T) (p ports, release func()) {
	t.Helper()
	var held []net.Listener
	for _, port := range []*int{
		&p.gateway, &p.gatewayPrivate, &p.api, &p.sandbox, &p.inventory, &p.worker, &p.events,
		&p.codec, &p.temporal, &p.temporalUI,
		&p.postgres, &p.redis, &p.rabbitMQ, &p.rabbitMQUI,
	} {
		for *port == 0 {
			try := 20000 + rand.IntN(12000)
			if l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", try)); err == nil {
				*port, held = try, append(held, l)
			}
		}
	}
	release = func() {
		for _, l := range held {
			_ = l.Close()
		}
	}
	t.Cleanup(release)
	return p, release
}

func TestAllTakenPortsAreNamedWithWhoHasThem(t *testing.T) {
	t.Parallel()
	p, _ := holdPorts(t)
	for what, address := range map[string]string{"everywhere": "0.0.0.0:0", "everywhere, IPv6": "[::]:0"} {
		l, err := net.Listen("tcp", address)
		require.NoError(t, err)
		defer func() { require.NoError(t, l.Close()) }()
		p.gateway = l.Addr().(*net.TCPAddr).Port
		err = p.check()
		require.Error(t, err, what)
		for port, name := range map[int]string{p.gateway: "gateway", p.api: "api", p.temporalUI: "Temporal Web UI"} {
			require.ErrorContains(t, err, fmt.Sprintf("%d (%s): stack.test, process %d", port, name, os.Getpid()))
		}
		require.ErrorContains(t, err, fmt.Sprintf("`kill %d`", os.Getpid()))
		require.NotContains(t, err.Error(), fmt.Sprint(p.postgres), "a backing service moves on instead")
	}
}

func TestTakenPortStopsBeforeAnythingIsStarted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	taken, _ := holdPorts(t)
	_, err := startOn(t.Context(), dir, io.Discard, taken)
	require.ErrorContains(t, err, "ports that the platform needs are taken")
	require.NoDirExists(t, dir+"/postgres")
	lock, err := localservice.Lock(dir)
	require.NoError(t, err, "the directory is free again")
	require.NoError(t, lock.Close())
}

func TestMovedPortIsOneLineOfProgress(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	wanted := l.Addr().(*net.TCPAddr).Port
	var said string
	log := slog.New(progressHandler{say: func(format string, args ...any) { said = fmt.Sprintf(format, args...) }})

	port, err := localservice.Port(wanted, "Redis", log)

	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("the port of Redis is taken by another program: "+
		"moving to the next free one (wanted %d, port %d, taken by stack.test, process %d)",
		wanted, port, os.Getpid()), said)
}
