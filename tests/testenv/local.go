package testenv

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"holdfast/tests/localservice"
)

func (e *Environment) localPostgres(ctx context.Context) (string, error) {
	o, err := e.options(ctx, "postgres", localservice.PostgresPackage)
	if err != nil {
		return "", err
	}
	server, err := localservice.StartPostgres(ctx, o)
	if err != nil {
		return "", err
	}
	return server.URL("postgres"), e.onClose(server.Stop)
}

func (e *Environment) localRedis(ctx context.Context) (string, error) {
	o, err := e.options(ctx, "redis", localservice.RedisPackage)
	if err != nil {
		return "", err
	}
	server, err := localservice.StartRedis(ctx, o)
	if err != nil {
		return "", err
	}
	return server.URL(), e.onClose(server.Stop)
}

func (e *Environment) localRabbitMQ(ctx context.Context) (string, error) {
	o, err := e.options(ctx, "rabbitmq", localservice.RabbitMQPackage)
	if err != nil {
		return "", err
	}
	server, err := localservice.StartRabbitMQ(ctx, o)
	if err != nil {
		return "", err
	}
	return server.URL(), e.onClose(server.Stop)
}

// options also installs the program if it is missing, because make test runs from a fresh clone.
func (e *Environment) options(
	ctx context.Context,
	name string,
	program localservice.Package,
) (localservice.Options, error) {
	if err := e.install(ctx, program); err != nil {
		return localservice.Options{}, err
	}
	dir, err := e.directory(name)
	return localservice.Options{Dir: dir, Volatile: true}, err
}

// install serves all services with one call of the package manager, but only the program that was
// asked for has to be there in the end.
func (e *Environment) install(ctx context.Context, program localservice.Package) error {
	e.installing.Lock()
	defer e.installing.Unlock()
	if len(localservice.Missing(program)) == 0 {
		return nil
	}

	err := localservice.Install(ctx, func(message string) { e.say("%s", message) })
	if len(localservice.Missing(program)) == 0 {
		return nil
	}
	return err
}

// localTemporal runs the development stack's own server as a child. It ends when its standard input
// closes, so it cannot outlive this process.
func (e *Environment) localTemporal(ctx context.Context) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	binary := filepath.Join(root, "bin", "holdfast-dev")
	if _, err := os.Stat(binary); err != nil {
		return "", errors.New("bin/holdfast-dev, which runs Temporal, is missing: run make build")
	}
	postgres, err := e.Postgres()
	if err != nil {
		return "", err
	}
	dir, err := e.directory("temporal")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make a directory for Temporal: %w", err)
	}

	// A PostgreSQL named by the environment may serve several test processes, and two Temporal servers
	// must not share databases.
	database := "temporal_" + strings.ToLower(rand.Text()[:8])
	cmd := exec.Command(binary, "temporal", "--postgres-url", postgres.URL, "--database", database,
		"--port", "0", "--ui-port", "-1", "--exit-on-stdin-close",
		// A version of a worker is drained seconds after its last workflow has ended instead of minutes.
		"--setting", "matching.wv.VersionDrainageStatusVisibilityGracePeriod=2s",
		"--setting", "matching.wv.VersionDrainageStatusRefreshInterval=1s",
		// A workflow counts as stuck after its second failed workflow task instead of its fifth.
		"--setting", "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute=2")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log, err := os.Create(filepath.Join(dir, "temporal.log"))
	if err != nil {
		return "", fmt.Errorf("open Temporal's log: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd.Stderr = log
	input, err := cmd.StdinPipe()
	if err != nil {
		return "", fmt.Errorf("start Temporal: %w", err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return "", fmt.Errorf("start Temporal: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("start Temporal: %w", err)
	}

	stop := func(context.Context) error { return stopTemporal(cmd, input, postgres.URL, database) }
	lines := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(output).ReadString('\n')
		lines <- strings.TrimSpace(line)
	}()
	select {
	case address := <-lines:
		if address == "" {
			said, _ := os.ReadFile(log.Name())
			return "", errors.Join(fmt.Errorf("the Temporal server ended before it was ready:\n%s", said), stop(ctx))
		}
		return address, e.onClose(stop)
	case <-ctx.Done():
		_ = cmd.Process.Kill()
		<-lines
		return "", errors.Join(fmt.Errorf("start Temporal: %w", ctx.Err()), stop(ctx))
	}
}

// stopTemporal closes the server's input, waits for it, and drops its databases.
func stopTemporal(cmd *exec.Cmd, input io.Closer, server, database string) error {
	_ = input.Close()
	kill := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	kill.Stop()
	if err != nil {
		err = fmt.Errorf("the Temporal server: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return errors.Join(err, dropDatabase(ctx, server, database), dropDatabase(ctx, server, database+"_visibility"))
}

// moduleRoot finds the directory of the module "holdfast" above the current one, where go test runs a
// package's tests.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the module's root: %w", err)
	}
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(mod), "module holdfast\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("the current directory is not inside the holdfast module")
		}
		dir = filepath.Dir(dir)
	}
}
