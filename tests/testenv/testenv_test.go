package testenv_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"holdfast/internal/temporalclient"
	"holdfast/tests/testenv"
)

// victimVariable makes the test binary start services, report that they are ready and wait until it is killed.
const victimVariable = "HOLDFAST_TEST_VICTIM"

func TestMain(m *testing.M) {
	if os.Getenv(victimVariable) != "" {
		env := testenv.New(os.Stderr)
		for _, find := range []func() (testenv.Address, error){env.Postgres, env.Redis, env.RabbitMQ, env.Temporal} {
			if _, err := find(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
		fmt.Println("ready")
		select {}
	}
	testenv.Main(m)
}

func TestServicesAreReal(t *testing.T) {
	t.Parallel()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		conn, err := pgx.Connect(t.Context(), testenv.Postgres(t))
		require.NoError(t, err)
		require.NoError(t, conn.Close(t.Context()))
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		options, err := redis.ParseURL(testenv.Redis(t))
		require.NoError(t, err)
		client := redis.NewClient(options)
		defer func() { require.NoError(t, client.Close()) }()
		require.NoError(t, client.Ping(t.Context()).Err())
	})
	t.Run("rabbitmq", func(t *testing.T) {
		t.Parallel()
		conn, err := amqp.Dial(testenv.RabbitMQ(t))
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	})
	t.Run("temporal", func(t *testing.T) {
		t.Parallel()
		cfg := testenv.Temporal(t, map[string]enumspb.IndexedValueType{"Colour": enumspb.INDEXED_VALUE_TYPE_KEYWORD})
		c, err := temporalclient.Dial(t.Context(), cfg, nil)
		require.NoError(t, err)
		defer c.Close()
		require.Equal(t, cfg, testenv.Temporal(t, nil), "one namespace per process")
	})
}

func TestDatabaseIsOneTestsOwn(t *testing.T) {
	t.Parallel()
	var urls []string
	t.Run("users", func(t *testing.T) {
		for range 2 {
			urls = append(urls, testenv.Database(t))
		}
		for _, url := range urls {
			conn, err := pgx.Connect(t.Context(), url) // left open: the drop must not wait for it
			require.NoError(t, err)
			t.Cleanup(func() { _ = conn.PgConn().Conn().Close() })
			_, err = conn.Exec(t.Context(), "CREATE TABLE word (value text)")
			require.NoError(t, err, "two databases of one test do not see each other")
		}
	})
	for _, url := range urls {
		_, err := pgx.Connect(t.Context(), url)
		require.ErrorContains(t, err, "does not exist", "dropped with its test")
	}
}

func TestAddressInTheEnvironmentComesFirst(t *testing.T) {
	t.Setenv(testenv.PostgresVariable, "postgres://elsewhere/postgres")
	a, err := testenv.New(os.Stderr).Postgres()
	require.NoError(t, err)
	require.Equal(t, testenv.Address{
		Service: "PostgreSQL", URL: "postgres://elsewhere/postgres", Way: testenv.PostgresVariable,
	}, a)
}

// TestEngineWithoutImages: a Docker engine answers but has no image, as on a machine without a registry.
func TestEngineWithoutImages(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "docker.sock")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	asked := make(chan string, 100)
	engine := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- r.URL.Path:
		default:
		}
		w.Header().Set("Api-Version", "1.44")
		if r.URL.Path != "/_ping" {
			http.Error(w, `{"message":"no such image"}`, http.StatusNotFound)
		}
	})}
	go func() { _ = engine.Serve(listener) }()
	t.Cleanup(func() { require.NoError(t, engine.Close()) })

	// A process chooses once, so this test uses another process.
	cmd := exec.Command(os.Args[0], "-test.run", "^TestServicesAreReal$/^redis$", "-test.v")
	cmd.Env = append(os.Environ(), "DOCKER_HOST=unix://"+socket, testenv.RedisVariable+"=")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "a Docker engine answers but gives no container")
	require.Contains(t, string(out), "Redis: local program")
	require.Equal(t, "/_ping", <-asked)
}

func TestNothingOutlivesAKilledProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers, and the tests are run with -short")
	}
	t.Parallel()
	parent := t.TempDir()
	require.NoError(t, os.Chmod(parent, 0o755))
	require.NoError(t, os.Chmod(filepath.Dir(parent), 0o755)) // the servers' users must be able to enter

	victim := exec.Command(os.Args[0])
	victim.Env = append(os.Environ(), victimVariable+"=1", "TMPDIR="+parent)
	for _, variable := range []string{
		testenv.PostgresVariable,
		testenv.RedisVariable,
		testenv.AMQPVariable,
		testenv.TemporalVariable,
	} {
		victim.Env = append(victim.Env, variable+"=")
	}
	victim.Stderr = os.Stderr
	out, err := victim.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, victim.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	running := workingIn(t, parent)
	for _, name := range []string{"postgres", "redis-server", "beam.smp", "epmd", "holdfast-dev"} {
		require.Contains(t, running, name)
	}

	require.NoError(t, victim.Process.Kill())
	require.Error(t, victim.Wait())
	require.Eventually(t, func() bool {
		left, err := os.ReadDir(parent)
		return err == nil && len(left) == 0 && len(workingIn(t, parent)) == 0
	}, 30*time.Second, 50*time.Millisecond, "the watchdog ends the servers and removes their data")
}

// workingIn names the processes whose current directory lies in dir.
func workingIn(t *testing.T, dir string) []string {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	require.NoError(t, err)
	var names []string
	for _, link := range links {
		cwd, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(cwd, dir+"/") {
			continue
		}
		name, err := os.ReadFile(filepath.Join(filepath.Dir(link), "comm"))
		if err == nil {
			names = append(names, strings.TrimSpace(string(name)))
		}
	}
	return names
}
