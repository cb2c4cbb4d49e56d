// Package stack runs the whole platform in this process on private backing services, for `make up`. It wires
// the same Run functions as the production binary, on the ports that the README names.
package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"

	"holdfast/internal/config"
	"holdfast/internal/payloadcodec"
	"holdfast/internal/telemetry"
	"holdfast/tests/localservice"
)

// buildID is the worker version of the development stack. It stays the same over restarts, because
// open orders are pinned to the version that started them.
const buildID = "dev"

const (
	// stopTimeout bounds the whole stop, because a person waits at a terminal.
	stopTimeout = 12 * time.Second
	// stopShare is the least time that each part gets for its own stop, also when other parts have used up the
	// stopTimeout.
	stopShare = 500 * time.Millisecond
)

// Stack is a running platform.
type Stack struct {
	dir   string
	ports ports
	say   func(format string, args ...any)
	log   *slog.Logger

	mu      sync.Mutex        // guards the next two fields while the backing services start side by side
	vars    map[string]string // the environment of every process
	closers []closer          // run last-first

	logLevel             slog.Level // of every process
	trace                telemetry.TraceConfig
	lock                 io.Closer
	failed               chan error
	temporalUI, rabbitUI string
	rabbitMetrics        string // host and port; empty without RabbitMQ
	prometheusUI         string // empty unless Observe has started it
}

type closer struct {
	name   string
	stop   func(context.Context) error
	beside bool // no process of ours needs it in order to stop
}

// Start starts everything and returns once orders can be placed. On an error, and when ctx ends before that, it
// stops everything that it started. dir keeps data, logs and settings; progress is written to out.
func Start(ctx context.Context, dir string, out io.Writer) (*Stack, error) {
	return startOn(ctx, dir, out, knownPorts)
}

func startOn(ctx context.Context, dir string, out io.Writer, at ports) (*Stack, error) {
	start := time.Now()
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the stack's directory: %w", err)
	}
	s := &Stack{dir: dir, ports: at, failed: make(chan error, 1)}
	s.say = func(format string, args ...any) {
		fmt.Fprintf(out, "[%5.1fs] %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}
	s.log = slog.New(progressHandler{say: s.say})
	if err := s.start(ctx); err != nil {
		if ctx.Err() != nil {
			// The error of the step that was interrupted does not help.
			err = Interrupted(ctx)
		}
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// Interrupted is the error of a start that ended because ctx did.
func Interrupted(ctx context.Context) error {
	return fmt.Errorf("stopped before everything was running: %w", context.Cause(ctx))
}

func (s *Stack) start(ctx context.Context) error {
	if err := s.claimDirectory(); err != nil {
		return err
	}
	var err error
	if s.vars, err = loadSettings(s.dir); err != nil {
		return err
	}
	if err := s.readTrace(); err != nil {
		return err
	}
	s.readPayloadKeys()
	if s.codecURL() == "" {
		s.ports.codec = 0 // the codec server does not run
	}
	if err := s.ports.check(); err != nil {
		return err
	}
	if err := s.readLogLevel(); err != nil {
		return err
	}
	if err := s.install(ctx); err != nil {
		return err
	}
	// A run without Observe takes over from a killed run with it, too.
	if err := localservice.StopLeftPrometheus(ctx, s.prometheusOptions()); err != nil {
		return err
	}
	if err := s.startBacking(ctx); err != nil {
		return err
	}
	if err := saveSettings(s.dir, s.vars); err != nil {
		return err
	}
	return s.startProcesses(ctx)
}

func (s *Stack) onStop(c closer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closers = append(s.closers, c)
}

func (s *Stack) setVar(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.vars[name] = value
}

// maxLogMegabytes bounds the log of each process; one earlier log of that size is kept beside it.
const maxLogMegabytes = 10

// logFile is the log of a process below the stack's directory. It is set aside when it is full.
func (s *Stack) logFile(name string) io.WriteCloser {
	return &lumberjack.Logger{
		Filename:   filepath.Join(s.dir, "log", name+".log"),
		MaxSize:    maxLogMegabytes,
		MaxBackups: 1,
	}
}

// readTrace takes the settings of traces from the environment of `make up`, else from the stack's own settings. A stack
// with a collector traces every request, unless the settings say otherwise.
func (s *Stack) readTrace() error {
	vars := map[string]string{"OTEL_TRACES_SAMPLER": "parentbased_always_on"}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"} {
		for _, value := range []string{s.vars[name], os.Getenv(name)} {
			if value != "" {
				vars[name] = value
			}
		}
	}
	cfg, err := config.LoadFrom[telemetry.TraceConfig](vars)
	s.trace = cfg
	return err
}

// readLogLevel takes LOG_LEVEL from the environment of `make up`, else from the stack's own settings.
func (s *Stack) readLogLevel() error {
	vars := map[string]string{}
	for _, level := range []string{s.vars["LOG_LEVEL"], os.Getenv("LOG_LEVEL")} {
		if level != "" {
			vars["LOG_LEVEL"] = level
		}
	}
	common, err := config.LoadFrom[config.Common](vars)
	if err != nil {
		return fmt.Errorf("LOG_LEVEL is %q: set it to debug, info, warn or error", vars["LOG_LEVEL"])
	}
	s.logLevel = common.LogLevel
	return nil
}

// readPayloadKeys takes the keys from the environment of `make up`. It keeps those of the stack's own settings after
// them, because open orders are encrypted with them.
func (s *Stack) readPayloadKeys() {
	var keys []string
	for _, list := range []string{os.Getenv("TEMPORAL_PAYLOAD_KEYS"), s.vars["TEMPORAL_PAYLOAD_KEYS"]} {
		for key := range strings.SplitSeq(list, ",") {
			if key != "" && !slices.Contains(keys, key) && (key != payloadcodec.Plain || len(keys) == 0) {
				keys = append(keys, key)
			}
		}
	}
	if len(keys) > 0 {
		s.vars["TEMPORAL_PAYLOAD_KEYS"] = strings.Join(keys, ",")
	}
}

// codecURL is the address of the codec server, or "" if nothing is encrypted.
func (s *Stack) codecURL() string {
	if s.vars["TEMPORAL_PAYLOAD_KEYS"] == "" {
		return ""
	}
	return localURL(s.ports.codec)
}

// writesPlain reports whether the first of the keys for payloads says that new ones are not encrypted.
func (s *Stack) writesPlain() bool {
	first, _, _ := strings.Cut(s.vars["TEMPORAL_PAYLOAD_KEYS"], ",")
	return first == payloadcodec.Plain
}

// Failed delivers the error of a process that ended by itself.
func (s *Stack) Failed() <-chan error { return s.failed }

// Stop ends everything that Start started, in reverse order, and nothing else. It takes stopTimeout and
// little more at most; a server that needs longer is killed, and recovers at its next start.
func (s *Stack) Stop() error {
	end := time.Now().Add(stopTimeout)
	stop := func(c closer) error {
		ctx, cancel := context.WithTimeout(context.Background(), max(time.Until(end), stopShare))
		defer cancel()
		if err := c.stop(ctx); err != nil {
			return fmt.Errorf("stop %s: %w", c.name, err)
		}
		return nil
	}

	errs := make([]error, len(s.closers))
	var beside sync.WaitGroup
	// The parts that no process needs in order to stop begin at once: a slow payment's request can take most of
	// the time until it is finished, and RabbitMQ alone needs half of it.
	for i, c := range s.closers {
		if c.beside {
			beside.Go(func() { errs[i] = stop(c) })
		}
	}
	for i, c := range slices.Backward(s.closers) {
		if !c.beside {
			errs[i] = stop(c)
		}
	}
	beside.Wait()
	s.closers = nil
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
		s.lock = nil
	}
	return errors.Join(errs...)
}
