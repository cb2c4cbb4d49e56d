package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/tests/localservice"
)

// The variables that name services which run already.
const (
	PostgresVariable = "HOLDFAST_TEST_POSTGRES_URL"
	RedisVariable    = "HOLDFAST_TEST_REDIS_URL"
	AMQPVariable     = "HOLDFAST_TEST_AMQP_URL"
	TemporalVariable = "HOLDFAST_TEST_TEMPORAL_ADDRESS"
)

// containersVariable set to "required" makes a container that cannot be started an error, so that a run of the tests on
// containers is one.
const containersVariable = "HOLDFAST_TEST_CONTAINERS"

// startTimeout bounds the start of one service, an image's download aside.
const startTimeout = 2 * time.Minute

// Address is the address of a service, and the way in which it was found.
type Address struct {
	Service, URL, Way string
}

// String hides a password, because the text goes into logs.
func (a Address) String() string {
	shown := a.URL
	if u, err := url.Parse(a.URL); err == nil {
		shown = u.Redacted()
	}
	return fmt.Sprintf("%s: %s, %s", a.Service, a.Way, shown)
}

// Environment finds the four services, each at most once, and stops the services that it started.
type Environment struct {
	outMu sync.Mutex // services are found at the same time, and each reports
	out   io.Writer

	// The first call finds the service; later callers get the same answer, or the same error.
	Postgres, Redis, RabbitMQ, Temporal func() (Address, error)

	installing sync.Mutex

	mu      sync.Mutex
	dir     string
	guard   *watchdog
	closers []func(context.Context) error // called last-first
	closed  bool
}

// New returns an environment that has started nothing yet. It reports to out which way it took.
func New(out io.Writer) *Environment {
	e := &Environment{out: out}
	e.Postgres = e.once("PostgreSQL", PostgresVariable, postgresContainer, e.localPostgres)
	e.Redis = e.once("Redis", RedisVariable, redisContainer, e.localRedis)
	e.RabbitMQ = e.once("RabbitMQ", AMQPVariable, rabbitContainer, e.localRabbitMQ)
	e.Temporal = e.once("Temporal", TemporalVariable, nil, e.localTemporal)
	return e
}

// once builds the search for one service.
func (e *Environment) once(
	service, variable string,
	image *containerSpec,
	local func(context.Context) (string, error),
) func() (Address, error) {
	return sync.OnceValues(func() (Address, error) {
		found := Address{Service: service, URL: os.Getenv(variable), Way: variable}
		if found.URL == "" && image != nil {
			began := time.Now()
			switch required := os.Getenv(containersVariable) == "required"; {
			case required:
				url, err := e.container(image)
				if err != nil {
					return found, fmt.Errorf("testenv: %s=required: %w", containersVariable, err)
				}
				found.URL = url
			case dockerAnswers():
				found.URL = e.fromContainer(service, image)
			}
			found.Way = fmt.Sprintf("container of %s, started in %v", image.image, time.Since(began).Round(10*time.Millisecond))
		}
		if found.URL == "" {
			ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
			defer cancel()
			began := time.Now()
			url, err := local(ctx)
			if err != nil {
				return found, fmt.Errorf("testenv: %w", err)
			}
			took := time.Since(began).Round(10 * time.Millisecond)
			found.URL, found.Way = url, fmt.Sprintf("local program, started in %v", took)
		}
		e.say("%s", found)
		return found, nil
	})
}

// fromContainer returns an empty URL if it cannot start a container, because the local program may be
// installed. An engine may have no image and no way to get one.
func (e *Environment) fromContainer(service string, spec *containerSpec) string {
	url, err := e.container(spec)
	if err != nil {
		e.say("%s: a Docker engine answers but gives no container, so the local program is used: %v", service, err)
		return ""
	}
	return url
}

func (e *Environment) container(spec *containerSpec) (string, error) {
	url, stop, err := startContainer(spec)
	if err != nil {
		return "", err
	}
	return url, e.onClose(stop)
}

// Vars finds all four services and returns the variables that name them, for a child process.
func (e *Environment) Vars() ([]string, error) {
	vars := make([]string, 4)
	var all errgroup.Group
	for i, s := range []struct {
		variable string
		find     func() (Address, error)
	}{
		{PostgresVariable, e.Postgres},
		{RedisVariable, e.Redis},
		{AMQPVariable, e.RabbitMQ},
		{TemporalVariable, e.Temporal},
	} {
		all.Go(func() error {
			a, err := s.find()
			vars[i] = s.variable + "=" + a.URL
			return err
		})
	}
	return vars, all.Wait()
}

// Close stops the started services, the last first, and removes their data. Afterwards the environment finds
// no service any more.
func (e *Environment) Close(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	var errs []error
	// A service that needs another one was started later: Temporal stops before its PostgreSQL.
	for _, stop := range slices.Backward(e.closers) {
		errs = append(errs, stop(ctx))
	}
	if e.guard != nil {
		errs = append(errs, e.guard.dismiss(), os.RemoveAll(e.dir))
	}
	return errors.Join(errs...)
}

// onClose registers a stop, or stops at once when the environment was closed in the meantime.
func (e *Environment) onClose(stop func(context.Context) error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return errors.Join(errors.New("the test environment is closed"), stop(context.Background()))
	}
	e.closers = append(e.closers, stop)
	return nil
}

// directory returns a subdirectory of this environment's own directory, watched over from the first
// use on.
func (e *Environment) directory(name string) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return "", errors.New("the test environment is closed")
	}
	if e.guard == nil {
		dir, err := localservice.TempDir()
		if err != nil {
			return "", err
		}
		guard, err := watch(dir)
		if err != nil {
			return "", errors.Join(err, os.RemoveAll(dir))
		}
		e.dir, e.guard = dir, guard
	}
	return filepath.Join(e.dir, name), nil
}

func (e *Environment) say(format string, args ...any) {
	e.outMu.Lock()
	defer e.outMu.Unlock()
	_, _ = fmt.Fprintf(e.out, "testenv: "+format+"\n", args...)
}

// withDatabase is the address of another database on the same server.
func withDatabase(server, name string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", errors.New("the address of PostgreSQL is not a URL") // the cause would show its password
	}
	u.Path = "/" + name
	return u.String(), nil
}
