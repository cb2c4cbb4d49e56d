package platform

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"
)

// Process is one of the platform's processes, running or ended.
type Process struct {
	p       *Platform
	name    string
	cmd     *exec.Cmd
	read    chan struct{} // closed when its output has ended
	logs    *logBuffer
	address string
	ended   bool
}

// listen names the variable that says where a process listens.
var listen = map[string]string{
	"inventory":       "INVENTORY_LISTEN",
	"payment-sandbox": "SANDBOX_LISTEN",
	"worker":          "WORKER_LISTEN",
	"api":             "API_LISTEN",
	"gateway":         "GATEWAY_LISTEN",
	"events":          "EVENTS_LISTEN",
	"audit":           "AUDIT_LISTEN",
	"codec":           "CODEC_LISTEN",
}

// command prepares a command of the real binary.
func (p *Platform) command(ctx context.Context, args ...string) *exec.Cmd {
	binary, err := filepath.Abs("../../bin/holdfast")
	require.NoError(p.T, err)
	require.FileExists(p.T, binary, "run make build")
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = p.Environment()
	return cmd
}

// Environment is the configuration of the platform's processes and commands.
func (p *Platform) Environment() []string {
	env := []string{}
	for k, v := range p.env {
		env = append(env, k+"="+v)
	}
	return env
}

// Start runs a process, with arguments if given, and returns once it listens. A process that ran before gets its old
// address. SIGTERM stops it when the test ends, and it must then exit with status 0.
func (p *Platform) Start(name string, args ...string) *Process {
	p.T.Helper()
	c := &Process{
		p:    p,
		name: name,
		// The test's context ends before the cleanup that stops the process in order, so it is not used here.
		cmd:  p.command(context.Background(), append([]string{name}, args...)...),
		logs: &logBuffer{},
		read: make(chan struct{}),
	}
	out, err := c.cmd.StdoutPipe()
	require.NoError(p.T, err)
	c.cmd.Stderr = c.logs
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(p.T, c.cmd.Start())

	listening := make(chan string, 1)
	go func() {
		defer close(c.read)
		defer close(listening)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			_, _ = c.logs.Write(append(lines.Bytes(), '\n'))
			var l struct{ Msg, Address string }
			if json.Unmarshal(lines.Bytes(), &l) == nil && l.Msg == "listening" {
				listening <- l.Address
			}
		}
	}()
	p.T.Cleanup(func() {
		if !c.ended {
			c.Stop()
		}
		c.AssertNothingPrivate()
		if p.T.Failed() {
			p.T.Logf("log of %s:\n%s", name, c.logs)
		}
	})

	select {
	case address, ok := <-listening:
		require.True(p.T, ok, "%s ended at its start:\n%s", name, c.logs)
		c.address = address
	case <-time.After(30 * time.Second):
		require.Fail(p.T, "process does not listen", "%s:\n%s", name, c.logs)
	}
	p.env[listen[name]] = c.address
	p.processes[name] = c
	return c
}

// StartEvents runs the process that publishes events to the broker at the given address. A platform has it only after
// this call, and a gateway that starts later leads to it. If it dies, the events that it had leased are published a
// second later, and its webhooks are sent again after two. Its webhooks may go to this machine.
func (p *Platform) StartEvents(broker string) *Process {
	p.T.Helper()
	p.env["AMQP_URL"], p.env["EVENTS_LEASE"] = broker, "1s"
	p.env["WEBHOOKS_DEVELOPMENT"], p.env["WEBHOOKS_TIMEOUT"], p.env["WEBHOOKS_LEASE"] = "true", "1s", "2s"
	c := p.Start("events")
	p.env["EVENTS_URL"] = "http://" + c.address
	return c
}

// Configure sets variables of processes that start later, as pairs of names and values.
func (p *Platform) Configure(pairs ...string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		p.env[pairs[i]] = pairs[i+1]
	}
}

// Variable returns a variable of the platform's environment.
func (p *Platform) Variable(name string) string { return p.env[name] }

// Log is what the process has written so far.
func (c *Process) Log() string { return c.logs.String() }

// Address is where the process listens.
func (c *Process) Address() string { return c.address }

// Run runs a command of the real binary to its end with the platform's environment, changed by pairs of variables and
// values, and returns what it wrote to stdout and stderr.
func (p *Platform) Run(args []string, change ...string) (stdout, stderr string, err error) {
	p.T.Helper()
	cmd := p.command(p.T.Context(), args...)
	for i := 0; i+1 < len(change); i += 2 {
		cmd.Env = append(cmd.Env, change[i]+"="+change[i+1])
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// Process returns the process of the given name that was started last.
func (p *Platform) Process(name string) *Process { return p.processes[name] }

// Signal sends the process a signal that does not end it.
func (c *Process) Signal(signal os.Signal) {
	c.p.T.Helper()
	require.NoError(c.p.T, c.cmd.Process.Signal(signal))
}

// Kill ends the process as a crash would.
func (c *Process) Kill() {
	c.p.T.Helper()
	c.ended = true
	require.NoError(c.p.T, c.cmd.Process.Kill())
	<-c.read
	_ = c.cmd.Wait()
}

// Stop ends the process in order, by SIGTERM, and returns how long that took. Its exit status must be 0.
func (c *Process) Stop() time.Duration {
	c.p.T.Helper()
	return c.StopBy(syscall.SIGTERM)
}

// StopBy is Stop by another signal.
func (c *Process) StopBy(signal os.Signal) time.Duration {
	c.p.T.Helper()
	c.ended = true
	start := time.Now()
	require.NoError(c.p.T, c.cmd.Process.Signal(signal))
	<-c.read
	require.NoError(c.p.T, c.cmd.Wait(), "%s must stop cleanly:\n%s", c.name, c.logs)
	return time.Since(start)
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
