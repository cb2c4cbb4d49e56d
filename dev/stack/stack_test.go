package stack

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/tests/localservice"
	"holdfast/tests/testenv"
)

// The embedded Temporal server leaves goroutines behind, so this package does not check for leaked ones.
func TestMain(m *testing.M) { os.Exit(testenv.Run(m)) }

// progress collects the lines of progress, and calls a function at a given text.
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
	if testing.Short() {
		t.Skip("starts servers, and the tests are run with -short")
	}
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
	t.Setenv("LOG_LEVEL", "") // the settings decide
	dir := stackDir(t)
	written := []byte("LOG_LEVEL=debug\nREDIS_URL=redis://127.0.0.1:6380/0\n")
	require.NoError(t, os.WriteFile(filepath.Join(dir, envFile), written, 0o600))

	out := &progress{}
	s, err := startOn(t.Context(), dir, out, freePorts(t))
	require.NoError(t, err, out)
	defer func() {
		require.NoError(t, s.Stop())
		require.Empty(t, workingIn(t, dir), "a stop leaves no process")
	}()
	const without = "Redis is not installed: the platform runs without it; to have it, "
	require.Equal(t, 1, strings.Count(out.String(), without), out)
	require.NoError(t, s.Observe(t.Context()))
	require.Contains(t, out.String(), "Prometheus is not installed: the platform runs without it; to have it, ")

	token, err := s.Token("alice", auth.Customer)
	require.NoError(t, err)
	order, timeline, err := s.PlaceFirstOrder(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, orderapi.OrderStatusConfirmed, order.Status)
	require.NotEmpty(t, timeline)

	settings, err := os.ReadFile(filepath.Join(dir, envFile))
	require.NoError(t, err)
	require.NotContains(t, string(settings), "REDIS_URL", "the server of the earlier run is missing this time")
	require.Contains(t, string(settings), "AMQP_URL=amqp://")
	require.Contains(t, string(settings), "LOG_LEVEL=debug", "a variable that a person added stays")
	log, err := os.ReadFile(filepath.Join(dir, "log", "worker.log"))
	require.NoError(t, err)
	require.Contains(t, string(log), `"level":"DEBUG"`, "the variable takes effect")
}

func TestLogLevel(t *testing.T) {
	for _, test := range []struct {
		name, environment, settings string
		want                        slog.Level
		fails                       bool
	}{
		{"neither says", "", "", slog.LevelInfo, false},
		{"the settings say", "", "debug", slog.LevelDebug, false},
		{"the environment says", "warn", "", slog.LevelWarn, false},
		{"the environment comes before the settings", "error", "debug", slog.LevelError, false},
		{"unknown", "loud", "", 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("LOG_LEVEL", test.environment)
			s := &Stack{vars: map[string]string{}}
			if test.settings != "" {
				s.vars["LOG_LEVEL"] = test.settings
			}
			err := s.readLogLevel()
			if test.fails {
				require.ErrorContains(t, err, "LOG_LEVEL")
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.want, s.logLevel)
			if test.settings == "" {
				require.NotContains(t, s.vars, "LOG_LEVEL", "the environment of one run is not kept for the next")
			}
		})
	}
}

// TestLogIsBounded writes four times as much as a process's log may hold.
func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := &Stack{dir: dir}
	log := s.logFile("api")
	line := []byte(strings.Repeat("x", 1023) + "\n")
	for range 4 * maxLogMegabytes << 10 {
		_, err := log.Write(line)
		require.NoError(t, err)
	}
	require.NoError(t, log.Close())
	const most = 2 * maxLogMegabytes << 20
	require.Eventually(t, func() bool {
		total := int64(0)
		files, err := filepath.Glob(filepath.Join(dir, "log", "*"))
		for _, file := range files {
			if info, err := os.Stat(file); err == nil {
				total += info.Size()
			}
		}
		return err == nil && len(files) == 2 && total <= most
	}, 10*time.Second, 10*time.Millisecond)
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

// TestRateLimitsOfTheEnvironment: the limits of the environment of `make up` reach the processes, and the stack does
// not keep them.
func TestRateLimitsOfTheEnvironment(t *testing.T) {
	t.Setenv("RATE_LIMIT_ORDERS", "0")
	s := &Stack{vars: map[string]string{"RATE_LIMIT_ORDERS": "7", "RATE_LIMIT_READS": "9"}}
	vars := s.processVariables()
	require.Equal(t, "0", vars["RATE_LIMIT_ORDERS"])
	require.Equal(t, "9", vars["RATE_LIMIT_READS"])
	require.Equal(t, "7", s.vars["RATE_LIMIT_ORDERS"])
}
