// Package testenv gives tests real backing services: PostgreSQL, Redis, RabbitMQ and Temporal.
//
// Each is found once per process, when a test first asks for it, in this order: the address in the
// environment; a container, if a Docker engine answers and has the image or can get it; the
// distribution's own program on a private port and directory, through tests/localservice. Temporal
// is the server of the development stack (bin/holdfast-dev), on the PostgreSQL found here: a container
// would have another version and other settings. The test's log says which way was taken.
//
// The TestMain of a package that uses testenv calls Main. To share one set of services between the packages of a
// whole run, use "holdfast-dev testenv -- go test ./...". With -short every test that asks for a service is skipped.
package testenv

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.uber.org/goleak"

	"holdfast/internal/temporalclient"
	"holdfast/tests/localservice"
)

// shared is the environment of this test process.
var shared = New(os.Stderr)

// namespace is this process's own namespace, so that packages that share a Temporal server do not see
// each other's workflows. A namespace per test would cost each test about half a second.
var namespace = "test-" + strings.ToLower(rand.Text()[:10])

// Main runs a package's tests, stops the services that were started for them, and then fails the run if a
// goroutine is left. It does not return.
//
//	func TestMain(m *testing.M) { testenv.Main(m) }
func Main(m *testing.M, options ...goleak.Option) {
	code := Run(m)
	if code == 0 {
		// The reaper's connection keeps containers alive until this process ends.
		const reaper = "github.com/testcontainers/testcontainers-go.(*Reaper).connect.func1"
		options = append(options, goleak.IgnoreAnyFunction(reaper))
		if err := goleak.Find(options...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// Run is Main without the search for goroutines, for packages whose subject leaves some behind. It returns
// the exit status.
func Run(m *testing.M) int {
	code := m.Run()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := shared.Close(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "testenv:", err)
		code = max(code, 1)
	}
	return code
}

// Postgres returns the URL of a PostgreSQL server's database "postgres", with the right to create
// databases. Most tests want Database.
func Postgres(t testing.TB) string {
	t.Helper()
	return found(t, shared.Postgres)
}

// Redis returns the URL of a Redis server that all tests share: use keys of your own.
func Redis(t testing.TB) string {
	t.Helper()
	return found(t, shared.Redis)
}

// RabbitMQ returns the AMQP URL of a RabbitMQ server that all tests share: use names of your own.
func RabbitMQ(t testing.TB) string {
	t.Helper()
	return found(t, shared.RabbitMQ)
}

// Temporal returns the address of Temporal, with a namespace that only this process uses and that has the
// given search attributes. Tests in it use different workflow ids and task queues.
func Temporal(t testing.TB, attributes map[string]enumspb.IndexedValueType) temporalclient.Config {
	t.Helper()
	cfg := temporalclient.Config{Address: found(t, shared.Temporal), Namespace: namespace}
	require.NoError(t, temporalclient.EnsureNamespace(t.Context(), cfg, 24*time.Hour, attributes))
	return cfg
}

// Database makes an empty database for this test alone and returns its URL. When the test ends, the database
// is dropped, and connections that the test left open are closed.
func Database(t testing.TB) string {
	t.Helper()
	server := Postgres(t)
	name := databaseName(t.Name())
	require.NoError(t, localservice.CreateDatabase(t.Context(), server, name))
	t.Cleanup(func() { require.NoError(t, dropDatabase(context.Background(), server, name)) })
	url, err := withDatabase(server, name)
	require.NoError(t, err)
	return url
}

func found(t testing.TB, service func() (Address, error)) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a server, and the tests are run with -short")
	}
	a, err := service()
	require.NoError(t, err)
	t.Logf("testenv: %s", a)
	return a.URL
}

// databaseName keeps the beginning of a test's name and makes it unique: PostgreSQL cuts names at 63 bytes.
func databaseName(test string) string {
	kept := strings.Map(func(r rune) rune {
		if (r >= 'a' && r <= 'z') || (r >= '0' && r <= '9') {
			return r
		}
		return '_'
	}, strings.ToLower(test))
	return "t_" + kept[:min(len(kept), 40)] + "_" + strings.ToLower(rand.Text()[:12])
}

func dropDatabase(ctx context.Context, server, name string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return fmt.Errorf("connect to drop database %s: %w", name, err)
	}
	defer func() { _ = conn.Close(ctx) }()
	drop := "DROP DATABASE IF EXISTS " + pgx.Identifier{name}.Sanitize() + " WITH (FORCE)"
	if _, err := conn.Exec(ctx, drop); err != nil {
		return fmt.Errorf("drop database %s: %w", name, err)
	}
	return nil
}
