// Package stack runs the whole platform in this process on private backing services: what `make up`
// shows. It wires the same Run functions as the production binary, on the ports of DESIGN.md.
package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"holdfast/dev/temporalserver"
	"holdfast/internal/database"
	"holdfast/internal/localservice"
	"holdfast/internal/orderstore"
	"holdfast/internal/seed"
	"holdfast/internal/temporalclient"
	"holdfast/inventory"
	"holdfast/workflows/orderflow"
)

// The ports of the stack's own processes. A client, a bookmark or a script knows them, so a taken one
// is an error with a remedy; backing services move to the next free port instead.
const (
	gatewayPort   = 3000
	apiPort       = 3001
	sandboxPort   = 3003
	inventoryPort = 8080
	workerPort    = 9090
	temporalPort  = 7233
	uiPort        = 8233
)

// buildID is the worker version of the development stack. It stays the same over restarts, because
// open orders are pinned to the version that started them.
const buildID = "dev"

// stopTimeout bounds how long a backing service may take to stop.
const stopTimeout = 30 * time.Second

// Stack is a running platform.
type Stack struct {
	dir  string
	say  func(format string, args ...any)
	log  *slog.Logger
	vars map[string]string // the environment of every process

	closers []closer // run last-first
	failed  chan error

	temporalUI, rabbitUI string
}

type closer struct {
	name string
	stop func(context.Context) error
}

// Start brings everything up and returns once orders can be placed. On an error nothing is left
// running. dir keeps data, logs and settings; progress is written to out.
func Start(ctx context.Context, dir string, out io.Writer) (*Stack, error) {
	start := time.Now()
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the stack's directory: %w", err)
	}
	s := &Stack{dir: dir, failed: make(chan error, 1)}
	s.say = func(format string, args ...any) {
		fmt.Fprintf(out, "[%5.1fs] %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}
	s.log = slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}}))
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Stack) start(ctx context.Context) error {
	if err := checkPorts(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "log"), 0o755); err != nil {
		return fmt.Errorf("make the stack's directory: %w", err)
	}
	var err error
	if s.vars, err = loadSecrets(s.dir); err != nil {
		return err
	}
	if err := localservice.Install(ctx, func(m string) { s.say("%s", m) }); err != nil {
		return fmt.Errorf("install the backing services: %w", err)
	}
	backing, wait := s.startBackground(ctx)
	postgres, err := s.startPostgres(ctx)
	if err != nil {
		return errors.Join(err, wait())
	}
	var prepare errgroup.Group
	prepare.Go(func() error { return s.prepareDatabases(ctx, postgres) })
	prepare.Go(func() error { return s.startTemporal(ctx, postgres) })
	if err := errors.Join(prepare.Wait(), wait()); err != nil {
		return err
	}
	maps.Copy(s.vars, backing.vars)
	s.rabbitUI = backing.rabbitUI
	if err := saveSettings(s.dir, s.vars); err != nil {
		return err
	}
	return s.startProcesses(ctx)
}

// checkPorts names every port of our own that is taken, before anything is started.
func checkPorts() error {
	var taken []string
	for name, port := range map[string]int{
		"gateway": gatewayPort, "api": apiPort, "payment sandbox": sandboxPort, "inventory": inventoryPort,
		"worker": workerPort, "Temporal": temporalPort, "Temporal Web UI": uiPort,
	} {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			taken = append(taken, fmt.Sprintf("%d (%s)", port, name))
			continue
		}
		_ = l.Close()
	}
	if len(taken) > 0 {
		return fmt.Errorf("ports that the platform needs are taken: %s; is another `make up` running? `ss -ltnp` names the processes that hold them", strings.Join(taken, ", "))
	}
	return nil
}

// background is what nothing waits for until the end of the start.
type background struct {
	vars     map[string]string
	rabbitUI string
}

// startBackground starts Redis and RabbitMQ beside everything else: RabbitMQ alone takes as long as
// all the rest.
func (s *Stack) startBackground(ctx context.Context) (*background, func() error) {
	b := &background{vars: map[string]string{}}
	var redis *localservice.Redis
	var rabbit *localservice.RabbitMQ
	var g errgroup.Group
	g.Go(func() (err error) {
		redis, err = localservice.StartRedis(ctx, localservice.Options{Dir: filepath.Join(s.dir, "redis"), Port: localservice.DefaultRedisPort, Log: s.log})
		return err
	})
	g.Go(func() (err error) {
		rabbit, err = localservice.StartRabbitMQ(ctx, localservice.Options{
			Dir: filepath.Join(s.dir, "rabbitmq"), Port: localservice.DefaultRabbitMQPort,
			ManagementPort: localservice.DefaultRabbitMQManagementPort, Log: s.log,
		})
		return err
	})
	return b, func() error {
		err := g.Wait()
		if redis != nil {
			s.onStop("Redis", redis.Stop)
			b.vars["REDIS_URL"] = redis.URL()
			s.say("Redis is up: %s", redis.URL())
		}
		if rabbit != nil {
			s.onStop("RabbitMQ", rabbit.Stop)
			b.vars["AMQP_URL"], b.rabbitUI = rabbit.URL(), rabbit.ManagementURL()
			s.say("RabbitMQ is up: %s", rabbit.URL())
		}
		return err
	}
}

func (s *Stack) startPostgres(ctx context.Context) (*localservice.Postgres, error) {
	p, err := localservice.StartPostgres(ctx, localservice.Options{Dir: filepath.Join(s.dir, "postgres"), Port: localservice.DefaultPostgresPort, Log: s.log})
	if err != nil {
		return nil, err
	}
	s.onStop("PostgreSQL", p.Stop)
	s.vars["ORDERS_DATABASE_URL"] = p.URL(string(database.Orders))
	s.vars["INVENTORY_DATABASE_URL"] = p.URL(string(database.Inventory))
	s.vars["SANDBOX_DATABASE_URL"] = p.URL(string(database.Sandbox))
	s.say("PostgreSQL is up: %s", p.URL("postgres"))
	return p, nil
}

// prepareDatabases migrates and seeds.
func (s *Stack) prepareDatabases(ctx context.Context, p *localservice.Postgres) error {
	applied := 0
	for _, name := range database.Names() {
		url := p.URL(string(name))
		if _, err := database.EnsureDatabase(ctx, url); err != nil {
			return err
		}
		done, err := database.Migrate(ctx, url, name)
		if err != nil {
			return err
		}
		applied += len(done)
	}
	orders, err := pgxpool.New(ctx, p.URL(string(database.Orders)))
	if err != nil {
		return fmt.Errorf("open the orders database: %w", err)
	}
	defer orders.Close()
	stock, err := pgxpool.New(ctx, p.URL(string(database.Inventory)))
	if err != nil {
		return fmt.Errorf("open the inventory database: %w", err)
	}
	defer stock.Close()
	sum, err := seed.Run(ctx, "dev", orderstore.New(orders), inventory.New(inventory.Options{Pool: stock}))
	if err != nil {
		return err
	}
	s.say("databases are current (%d migrations applied), %d products (%d new)", applied, sum.Products, sum.New)
	return nil
}

func (s *Stack) startTemporal(ctx context.Context, p *localservice.Postgres) error {
	server, err := temporalserver.Start(ctx, temporalserver.Config{
		PostgresURL: p.URL("postgres"), FrontendPort: temporalPort, UIPort: uiPort,
		DefaultNamespace: orderflow.Namespace, Log: s.fileLogger("temporal"),
	})
	if err != nil {
		return err
	}
	s.onStop("Temporal", func(context.Context) error { return server.Stop() })
	s.temporalUI = server.UIURL()
	cfg := temporalclient.Config{Address: server.Address(), Namespace: orderflow.Namespace}
	if err := temporalclient.EnsureNamespace(ctx, cfg, temporalclient.Retention, orderflow.SearchAttributes()); err != nil {
		return err
	}
	s.say("Temporal is up: %s, Web UI %s", server.Address(), server.UIURL())
	return nil
}

func (s *Stack) onStop(name string, stop func(context.Context) error) {
	s.closers = append(s.closers, closer{name, stop})
}

// fileLogger writes a process's log below the stack's directory.
func (s *Stack) fileLogger(name string) *slog.Logger {
	f, err := os.OpenFile(filepath.Join(s.dir, "log", name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return s.log
	}
	return slog.New(slog.NewJSONHandler(f, nil))
}

// Failed delivers the error of a process that ended by itself.
func (s *Stack) Failed() <-chan error { return s.failed }

// Stop ends everything that Start started, in reverse order, and nothing else.
func (s *Stack) Stop() error {
	var errs []error
	for len(s.closers) > 0 {
		c := s.closers[len(s.closers)-1]
		s.closers = s.closers[:len(s.closers)-1]
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		if err := c.stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", c.name, err))
		}
		cancel()
	}
	return errors.Join(errs...)
}
