package stack

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/localservice"
	"holdfast/internal/testenv"
)

// The embedded Temporal server leaves goroutines behind, so this package is not searched for them.
func TestMain(m *testing.M) { os.Exit(testenv.Run(m)) }

// progress collects what is said, and calls a function at a wanted word.
type progress struct {
	mu   sync.Mutex
	said bytes.Buffer
	at   string
	do   func()
}

func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at != "" && bytes.Contains(b, []byte(p.at)) {
		p.do()
	}
	return p.said.Write(b)
}

func (p *progress) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

func freePorts(t *testing.T) ports {
	t.Helper()
	p, release := holdPorts(t)
	release()
	return p
}

func stackDir(t *testing.T) string {
	t.Helper()
	dir, err := localservice.TempDir()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func TestPlatformRunsWithoutRedis(t *testing.T) {
	epmd, err := exec.LookPath("epmd")
	require.NoError(t, err, "RabbitMQ is installed for the tests")
	path := stackDir(t) // a machine that has neither Redis nor apt-get; servers may enter
	require.NoError(t, os.Symlink(epmd, filepath.Join(path, "epmd")))
	t.Setenv("PATH", path)
	dir := stackDir(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, envFile), []byte("LOG_LEVEL=debug\nREDIS_URL=redis://127.0.0.1:6380/0\n"), 0o600))

	out := &progress{}
	s, err := startOn(t.Context(), dir, out, freePorts(t))
	require.NoError(t, err, out)
	defer func() {
		require.NoError(t, s.Stop())
		require.Empty(t, workingIn(t, dir), "a stop leaves no process")
	}()
	require.Equal(t, 1, strings.Count(out.String(), "Redis is not installed: the platform runs without it; to have it, "), out)

	token, err := s.Token("alice", auth.Customer)
	require.NoError(t, err)
	order, timeline, err := s.PlaceFirstOrder(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, orderapi.OrderStatusConfirmed, order.Status)
	require.NotEmpty(t, timeline)

	settings, err := os.ReadFile(filepath.Join(dir, envFile))
	require.NoError(t, err)
	require.NotContains(t, string(settings), "REDIS_URL", "a server of an earlier run is not there this time")
	require.Contains(t, string(settings), "AMQP_URL=amqp://")
	require.Contains(t, string(settings), "LOG_LEVEL=debug", "what a person added stays")
}

func TestInterruptedStartLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := stackDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	out := &progress{at: "PostgreSQL is up", do: cancel}
	_, err := startOn(ctx, dir, out, freePorts(t))
	require.EqualError(t, err, "stopped before everything was running: context canceled", out)
	require.Empty(t, workingIn(t, dir))
}

// workingIn lists the processes whose current directory lies in dir.
func workingIn(t *testing.T, dir string) []string {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	require.NoError(t, err)
	var found []string
	for _, link := range links {
		if cwd, err := os.Readlink(link); err == nil && strings.HasPrefix(cwd, dir+"/") {
			found = append(found, link)
		}
	}
	return found
}
