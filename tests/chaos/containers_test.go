package chaos

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/auth"
	"holdfast/internal/order"
	"holdfast/internal/temporalclient"
	"holdfast/tests/platform"
)

// composeVariable names the compose program for TestContainersKilled, which needs a Docker engine with the images of
// docker-compose.yml, and the ports of that file. `make test-compose` sets it.
const composeVariable = "HOLDFAST_TEST_COMPOSE"

// containers are a running docker-compose.yml under a project name of their own.
type containers struct {
	t       *testing.T
	program string
}

const composeProject = "holdfast-test"

// run runs a command of compose and returns what it wrote to stdout.
func (c containers) run(args ...string) string {
	c.t.Helper()
	return c.output(c.program, append([]string{"-p", composeProject, "-f", "../../docker-compose.yml"}, args...)...)
}

func (c containers) docker(args ...string) string {
	c.t.Helper()
	return c.output("docker", args...)
}

func (c containers) output(program string, args ...string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.t.Context()), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	require.NoError(c.t, cmd.Run(), "%s %v:\n%s%s", program, args, out.String(), errs.String())
	return strings.TrimSpace(out.String())
}

func (c containers) inspect(container, format string) string {
	c.t.Helper()
	return c.docker("inspect", "-f", format, container)
}

// kill ends the first process of a service's container by SIGKILL, as a crash does, and waits until the engine has
// started the container again and it is healthy. It returns how long that took.
func (c containers) kill(service string) time.Duration {
	c.t.Helper()
	container := c.run("ps", "-q", service)
	const starts = "{{.RestartCount}}"
	before := c.inspect(container, starts)
	pid, err := strconv.Atoi(c.inspect(container, "{{.State.Pid}}"))
	require.NoError(c.t, err)
	began := time.Now()
	require.NoError(c.t, syscall.Kill(pid, syscall.SIGKILL), "kill %s", service)
	require.Eventually(c.t, func() bool {
		return c.inspect(container, starts) != before && c.inspect(container, "{{.State.Health.Status}}") == "healthy"
	}, 2*time.Minute, 250*time.Millisecond, "%s is not healthy again", service)
	return time.Since(began)
}

// left lists what the project has left on the engine.
func (c containers) left() string {
	c.t.Helper()
	label := "label=com.docker.compose.project=" + composeProject
	return c.docker("ps", "-aq", "--filter", label) + c.docker("volume", "ls", "-q", "--filter", label) +
		c.docker("network", "ls", "-q", "--filter", label)
}

// TestContainersKilled brings docker-compose.yml up, from nothing to its first order, and then kills each container in
// turn, as kill -9 does, while orders are created, paid, cancelled or left to expire. Every container must be healthy
// again by itself, and the books must be exact. In the end `down -v` leaves nothing.
func TestContainersKilled(t *testing.T) {
	program := os.Getenv(composeVariable)
	if program == "" {
		t.Skip("needs a Docker engine with the images: run make test-compose")
	}
	if os.Geteuid() != 0 {
		t.Skip("only root may kill the process of a container")
	}
	c := containers{t, program}
	c.run("down", "-v", "--remove-orphans") // what a killed run left
	require.Empty(t, c.left())
	defer func() {
		if t.Failed() {
			t.Log(c.run("ps", "-a"))
			t.Log(c.run("logs", "--tail", "20"))
		}
		c.run("down", "-v")
		require.Empty(t, c.left(), "down -v leaves nothing")
	}()

	began := time.Now()
	c.run("up", "-d")
	require.Contains(t, c.run("wait", "demo"), "exited with status code 0")
	t.Logf("the first order is confirmed %s after the start", time.Since(began).Round(100*time.Millisecond))
	shown := c.run("logs", "--no-log-prefix", "demo")
	require.Contains(t, shown, "is confirmed")
	require.Contains(t, shown, "http://127.0.0.1:3000/docs")

	tokens := map[string]string{}
	for subject, role := range map[string]auth.Role{"alice": auth.Customer, platform.Operator: auth.Operator} {
		tokens[subject] = c.run("exec", "-T", "gateway", "/holdfast", "token", "--sub", subject, "--role", string(role))
	}
	const database = "postgres://holdfast@127.0.0.1:5433/"
	p := platform.Attach(t, platform.Running{
		Gateway:   "http://127.0.0.1:3000",
		Orders:    database + "orders",
		Inventory: database + "inventory",
		Sandbox:   database + "sandbox",
		Temporal:  temporalclient.Config{Address: "127.0.0.1:7233", Namespace: "holdfast"},
		Token:     func(subject string, _ auth.Role) string { return tokens[subject] },
	})

	product := p.Product(100_000)
	var enough atomic.Bool
	const clients = 4
	runs := make([][]orderRun, clients)
	var load errgroup.Group
	for client := range clients {
		load.Go(func() error {
			for i := client; !enough.Load(); i++ {
				r := orderRun{scenario: scenarios[i%len(scenarios)]}
				if err := r.run(p, time.Now().Add(3*time.Minute), product); err != nil {
					return fmt.Errorf("client %d: %w", client, err)
				}
				runs[client] = append(runs[client], r)
			}
			return nil
		})
	}
	for _, service := range []string{
		"gateway", "api", "worker", "inventory", "payment-sandbox",
		"temporal", "temporal-ui", "redis", "rabbitmq", "postgres",
	} {
		pause(t.Context(), 2*time.Second)
		t.Logf("killed %s: healthy again after %s", service, c.kill(service).Round(100*time.Millisecond))
	}
	pause(t.Context(), 2*time.Second)
	enough.Store(true)
	require.NoError(t, load.Wait())

	count := p.Audit()
	placed := 1 // the first order
	for _, of := range runs {
		placed += len(of)
		for _, r := range of {
			var state string
			require.NoError(t, p.Orders.QueryRow(t.Context(), "SELECT state FROM orders WHERE order_id = $1", r.id).Scan(&state))
			require.Contains(t, r.scenario.ends, order.State(state), "order %s, which was %s", r.id, r.scenario.name)
		}
	}
	total := 0
	for _, n := range count {
		total += n
	}
	t.Logf("%d orders: %v", total, count)
	require.Equal(t, placed, total, "no order is lost or doubled")
}
