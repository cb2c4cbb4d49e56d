package localservice_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"holdfast/tests/localservice"
)

// starterVariable makes the test binary start a service, report it and wait until the test kills it. The next
// start takes over the servers of this killed run.
const starterVariable = "HOLDFAST_TEST_START"

func TestMain(m *testing.M) {
	if what := os.Getenv(starterVariable); what != "" {
		startAndWait(what)
	}
	if missing := localservice.Missing(); len(missing) > 0 {
		if err := localservice.Install(context.Background(), func(s string) { fmt.Fprintln(os.Stderr, s) }); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m)
}

// startAndWait runs in the child process: "name directory".
func startAndWait(what string) {
	name, dir, _ := strings.Cut(what, " ")
	for _, s := range append(services, prometheus) {
		if s.name != name {
			continue
		}
		running, err := s.start(context.Background(), localservice.Options{Dir: dir})
		if err == nil {
			err = s.put(context.Background(), running.address())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println("ready", running.PID())
	}
	select {}
}

func TestDataSurvivesAStop(t *testing.T) {
	t.Parallel()
	forEach(t, func(t *testing.T, s service) {
		dir := filepath.Join(tempDir(t), "instance")
		first := s.mustStart(t, localservice.Options{Dir: dir})
		require.NoError(t, s.put(t.Context(), first.address()))
		require.NotEmpty(t, workingIn(t, first.Dir()), "the check below must be able to see processes")
		require.NoError(t, first.Stop(t.Context()))
		require.Empty(t, workingIn(t, first.Dir()), "a stop leaves no process")
		require.NoError(t, first.Stop(t.Context()), "stopping twice does nothing")

		second := s.mustStart(t, localservice.Options{Dir: dir})
		require.NoError(t, s.has(t.Context(), second.address()))
	})
}

func TestServerOfAKilledRunIsTakenOver(t *testing.T) {
	t.Parallel()
	forEach(t, func(t *testing.T, s service) {
		dir := filepath.Join(tempDir(t), "instance")
		left := killedRun(t, s, dir)
		require.Contains(t, workingIn(t, dir), left, "the server outlives its starter")

		next := s.mustStart(t, localservice.Options{Dir: dir})
		require.NotContains(t, workingIn(t, next.Dir()), left, "the old server is gone")
		require.NoError(t, s.has(t.Context(), next.address()))
		require.NoError(t, next.Stop(t.Context()))
		require.Empty(t, workingIn(t, next.Dir()))
	})
}

// TestPrometheusOfAKilledRunIsTakenOver: the next run stops it, also if it starts none itself.
func TestPrometheusOfAKilledRunIsTakenOver(t *testing.T) {
	t.Parallel()
	if err := localservice.Install(t.Context(), func(m string) { t.Log(m) }, localservice.PrometheusPackage); err != nil {
		t.Skip(err)
	}
	dir := filepath.Join(tempDir(t), "instance")
	o := localservice.Options{Dir: dir}
	require.NoError(t, localservice.StopLeftPrometheus(t.Context(), o), "there was no run")
	left := killedRun(t, prometheus, dir)
	require.Contains(t, workingIn(t, dir), left, "the server outlives its starter")
	require.NoError(t, localservice.StopLeftPrometheus(t.Context(), o))
	require.Empty(t, workingIn(t, dir))

	left = killedRun(t, prometheus, dir)
	next := prometheus.mustStart(t, o)
	require.NotContains(t, workingIn(t, next.Dir()), left, "the old server is gone")
}

// killedRun starts a service in another process, kills that process and returns the server's id.
func killedRun(t *testing.T, s service, dir string) int {
	t.Helper()
	starter := exec.Command(os.Args[0])
	starter.Env = append(os.Environ(), starterVariable+"="+s.name+" "+dir)
	starter.Stderr = os.Stderr
	out, err := starter.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, starter.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err, "the starter reports its server")
	var pid int
	_, err = fmt.Sscanf(line, "ready %d", &pid)
	require.NoError(t, err, line)
	require.NoError(t, starter.Process.Kill())
	require.Error(t, starter.Wait(), "killed")
	return pid
}

func TestTakenPortMovesOn(t *testing.T) {
	t.Parallel()
	forEach(t, func(t *testing.T, s service) {
		port, err := localservice.Port(0, "test", slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		other, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, other.Close()) })

		var log strings.Builder
		running := s.mustStart(t, localservice.Options{
			Dir:  filepath.Join(tempDir(t), "instance"),
			Port: port,
			Log:  slog.New(slog.NewTextHandler(&log, nil)),
		})
		require.Greater(t, running.Port(), port)
		require.Contains(t, log.String(), fmt.Sprintf("wanted=%d port=%d", port, running.Port()))
	})
}

func TestWantedPortIsUsed(t *testing.T) {
	t.Parallel()
	s := services[1]
	first := s.mustStart(t, localservice.Options{Dir: filepath.Join(tempDir(t), "instance")})
	port := first.Port()
	require.NoError(t, first.Stop(t.Context()))
	second := s.mustStart(t, localservice.Options{Dir: first.Dir(), Port: port})
	require.Equal(t, port, second.Port(), "a stopped instance gives its port back")
}

func TestDirectoryOnlyRootMayEnter(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root starts servers as another user")
	}
	forEach(t, func(t *testing.T, s service) {
		closed := filepath.Join(tempDir(t), "closed")
		require.NoError(t, os.Mkdir(closed, 0o700))
		dir := filepath.Join(closed, "deep", "instance")

		first := s.mustStart(t, localservice.Options{Dir: dir})
		t.Cleanup(func() { require.NoError(t, os.RemoveAll(first.Dir())) })
		require.NotContains(t, first.Dir(), closed)
		behind, err := filepath.EvalSymlinks(dir)
		require.NoError(t, err)
		require.Equal(t, first.Dir(), behind, "the wanted place is a link to the data")
		require.NoError(t, s.put(t.Context(), first.address()))
		require.NoError(t, first.Stop(t.Context()))

		second := s.mustStart(t, localservice.Options{Dir: dir})
		require.Equal(t, first.Dir(), second.Dir())
		require.NoError(t, s.has(t.Context(), second.address()))
	})
}

func TestRemovingTheLinkStartsEmpty(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root starts servers as another user")
	}
	s := services[1]
	closed := filepath.Join(tempDir(t), "closed")
	require.NoError(t, os.Mkdir(closed, 0o700))
	dir := filepath.Join(closed, "instance")
	first := s.mustStart(t, localservice.Options{Dir: dir})
	require.NoError(t, s.put(t.Context(), first.address()))
	require.NoError(t, first.Stop(t.Context()))
	require.NoError(t, os.Remove(dir))

	second := s.mustStart(t, localservice.Options{Dir: dir})
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(second.Dir()+".old")) })
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(second.Dir())) })
	require.Error(t, s.has(t.Context(), second.address()), "a removed data directory is not found again")
}

func TestOneInstancePerDirectory(t *testing.T) {
	t.Parallel()
	s := services[1]
	first := s.mustStart(t, localservice.Options{Dir: filepath.Join(tempDir(t), "instance")})
	_, err := s.start(t.Context(), localservice.Options{Dir: first.Dir()})
	require.ErrorContains(t, err, fmt.Sprintf("in use by process %d", os.Getpid()))
	require.NoError(t, s.put(t.Context(), first.address()), "the first instance still works")
}

func TestFailingServerShowsItsLog(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(tempDir(t), "instance")
	s := services[0]
	first := s.mustStart(t, localservice.Options{Dir: dir})
	require.NoError(t, first.Stop(t.Context()))
	settings := filepath.Join(dir, "data", "postgresql.conf")
	require.NoError(t, os.WriteFile(settings, []byte("no_such_setting = on\n"), 0o644))

	began := time.Now()
	_, err := s.start(t.Context(), localservice.Options{Dir: dir})
	require.ErrorContains(t, err, "no_such_setting")
	require.Less(t, time.Since(began), 20*time.Second, "the start does not wait for a server that has ended")
	require.Empty(t, workingIn(t, first.Dir()))
}

// workingIn lists the ids of all processes whose current directory lies in dir, without the code under test.
func workingIn(t *testing.T, dir string) []int {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	require.NoError(t, err)
	var pids []int
	for _, link := range links {
		cwd, err := os.Readlink(link)
		if err != nil || (cwd != dir && !strings.HasPrefix(cwd, dir+"/")) {
			continue
		}
		var pid int
		_, err = fmt.Sscanf(link, "/proc/%d/cwd", &pid)
		require.NoError(t, err)
		pids = append(pids, pid)
	}
	return pids
}

func tempDir(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts servers, and the tests are run with -short")
	}
	dir, err := localservice.TempDir()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}
