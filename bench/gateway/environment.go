package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"

	"holdfast/internal/auth"
	"holdfast/internal/await"
	"holdfast/tests/localservice"
)

const (
	jwtSecret  = "a-secret-of-the-benchmark-with-enough-bytes"
	serviceKey = "a-service-key-of-the-benchmark"
)

// environment is what a run measures: a service, the gateway and the plain proxy before it, and Redis.
type environment struct {
	options
	dir      string
	redis    *localservice.Redis
	children []*exec.Cmd // stopped last-first
	gateway  *exec.Cmd

	service, plain, edge string // addresses
	private              string // address of the gateway's /ready
}

func start(ctx context.Context, o options) (_ *environment, err error) {
	e := &environment{options: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.stop())
		}
	}()
	if e.dir, err = localservice.TempDir(); err != nil {
		return nil, err
	}
	e.redis, err = localservice.StartRedis(ctx, localservice.Options{Dir: filepath.Join(e.dir, "redis"), Volatile: true})
	if err != nil {
		return nil, err
	}
	if e.service, err = e.self("-role", "service"); err != nil {
		return nil, err
	}
	if e.plain, err = e.self("-role", "proxy", "-target", e.service); err != nil {
		return nil, err
	}
	return e, e.startGateway(ctx)
}

// self starts this program as a child and returns the address that it prints.
func (e *environment) self(args ...string) (string, error) {
	program, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.Command(program, args...) //nolint:noctx // it is stopped in order
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("start %v: %w", args, err)
	}
	e.children = append(e.children, cmd)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("wait for the address of %v: %w", args, err)
	}
	return strings.TrimSpace(line), nil
}

// startGateway runs the real binary. Every limit is on, and so high that nothing is refused. Its log goes to a file.
func (e *environment) startGateway(ctx context.Context) error {
	public, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	private, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(e.dir, "gateway.log"))
	if err != nil {
		return fmt.Errorf("make the gateway's log: %w", err)
	}
	defer func() { _ = log.Close() }()                               // the child has its own
	cmd := exec.Command(filepath.Join(e.bin, "holdfast"), "gateway") //nolint:noctx // it is stopped in order
	cmd.Env = append(os.Environ(),
		"GATEWAY_LISTEN="+public, "GATEWAY_PRIVATE_LISTEN="+private, "REDIS_URL="+e.redis.URL(),
		"API_URL="+e.service, "INVENTORY_URL="+e.service, "EVENTS_URL="+e.service,
		"JWT_SECRET="+jwtSecret, "SERVICE_API_KEYS="+serviceKey, "CORS_ORIGINS=https://shop.example",
		"RATE_LIMIT_READS=60000000", "LOG_LEVEL=info",
	)
	cmd.Stdout, cmd.Stderr = log, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the gateway (make build makes it): %w", err)
	}
	e.children, e.gateway = append(e.children, cmd), cmd
	e.edge, e.private = "http://"+public, "http://"+private

	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return await.Until(ctx, 20*time.Millisecond, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.private+"/ready", nil)
		if err != nil {
			return await.Never(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		if res.StatusCode != http.StatusOK {
			err = fmt.Errorf("the gateway is not ready: %s", res.Status)
		}
		return errors.Join(err, res.Body.Close())
	})
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// token returns a token of a customer of its own.
func token() (string, error) {
	cfg := auth.Config{Secret: jwtSecret, Issuer: "holdfast", Audience: "holdfast"}
	return auth.Sign(cfg, "bench-"+uuid.NewString(), auth.Customer, 6*time.Hour)
}

// stop ends everything, the last first.
func (e *environment) stop() error {
	http.DefaultClient.CloseIdleConnections()
	var faults []error
	for i := len(e.children) - 1; i >= 0; i-- {
		cmd := e.children[i]
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			faults = append(faults, fmt.Errorf("stop a child: %w", err))
		}
		kill := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
		if err := cmd.Wait(); err != nil {
			faults = append(faults, fmt.Errorf("a child did not stop cleanly: %w", err))
		}
		kill.Stop()
	}
	if e.redis != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		faults = append(faults, e.redis.Stop(ctx))
	}
	return errors.Join(append(faults, os.RemoveAll(e.dir))...)
}
