package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	amqp "github.com/rabbitmq/amqp091-go"

	"holdfast/internal/await"
	"holdfast/internal/database"
	"holdfast/tests/localservice"
)

// environment is the servers of a run, and the relay while it runs.
type environment struct {
	options
	dir      string
	postgres *localservice.Postgres
	rabbitmq *localservice.RabbitMQ
	pools    map[database.Name]*pgxpool.Pool
	conn     *amqp.Connection
	relay    *exec.Cmd
	address  string
}

// maxConns is how many events may be in commit at once: the rate must not depend on the time that one takes.
const maxConns = 50

func start(ctx context.Context, o options) (_ *environment, err error) {
	e := &environment{options: o, pools: map[database.Name]*pgxpool.Pool{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.stop())
		}
	}()
	if e.dir, err = localservice.TempDir(); err != nil {
		return nil, err
	}
	e.postgres, err = localservice.StartPostgres(ctx, localservice.Options{Dir: filepath.Join(e.dir, "postgres")})
	if err != nil {
		return nil, err
	}
	e.rabbitmq, err = localservice.StartRabbitMQ(ctx, localservice.Options{Dir: filepath.Join(e.dir, "rabbitmq")})
	if err != nil {
		return nil, err
	}
	for _, name := range []database.Name{database.Orders, database.Inventory} {
		url := e.postgres.URL(string(name))
		if _, err := database.EnsureDatabase(ctx, url); err != nil {
			return nil, err
		}
		if _, err := database.Migrate(ctx, url, name); err != nil {
			return nil, err
		}
		limits := database.Pool{MaxConns: maxConns, ConnectTimeout: 5 * time.Second}
		if e.pools[name], err = database.Open(ctx, url, limits, "bench", nil); err != nil {
			return nil, err
		}
	}
	if e.conn, err = amqp.Dial(e.rabbitmq.URL()); err != nil {
		return nil, fmt.Errorf("connect to RabbitMQ: %w", err)
	}
	return e, nil
}

// versions notes which servers were measured.
func (e *environment) versions(ctx context.Context, r *report) error {
	r.RabbitMQ, _ = e.conn.Properties["version"].(string)
	err := e.pools[database.Orders].QueryRow(ctx, "SHOW server_version").Scan(&r.PostgreSQL)
	if err != nil {
		return fmt.Errorf("ask for PostgreSQL's version: %w", err)
	}
	return nil
}

// startRelay runs the events process and returns when it is ready.
func (e *environment) startRelay(ctx context.Context) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("find a port: %w", err)
	}
	e.address = l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(e.bin, "holdfast"), "events") //nolint:noctx // it is stopped in order
	cmd.Env = append(os.Environ(),
		"ORDERS_DATABASE_URL="+e.postgres.URL(string(database.Orders)),
		"INVENTORY_DATABASE_URL="+e.postgres.URL(string(database.Inventory)),
		"AMQP_URL="+e.rabbitmq.URL(), "EVENTS_LISTEN="+e.address, "LOG_LEVEL=error",
	)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the events process (make build makes it): %w", err)
	}
	e.relay = cmd
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return await.Until(ctx, 20*time.Millisecond, func() error {
		_, err := e.get(ctx, "/ready")
		return err
	})
}

// stopRelay stops the events process in order.
func (e *environment) stopRelay() error {
	if e.relay == nil {
		return nil
	}
	cmd := e.relay
	e.relay = nil
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the events process: %w", err)
	}
	kill := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("the events process did not stop cleanly: %w", err)
	}
	return nil
}

// get asks the events process.
func (e *environment) get(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.address+path, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %s", path, res.Status, body)
	}
	return string(body), err
}

// stop ends everything, the last first.
func (e *environment) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	faults := []error{e.stopRelay()}
	http.DefaultClient.CloseIdleConnections()
	if e.conn != nil {
		_ = e.conn.Close()
	}
	for _, pool := range e.pools {
		pool.Close()
	}
	if e.rabbitmq != nil {
		faults = append(faults, e.rabbitmq.Stop(ctx))
	}
	if e.postgres != nil {
		faults = append(faults, e.postgres.Stop(ctx))
	}
	return errors.Join(append(faults, os.RemoveAll(e.dir))...)
}
