// Package service has the environment of a process and runs the parts of a process together, so that the binaries, the
// development stack and the tests use the same wiring.
package service

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/telemetry"
)

// Env is what the caller gives to a process.
type Env struct {
	Log *slog.Logger
	// LogLevel is the level of Log, which may change at run time; nil means that it cannot.
	LogLevel *slog.LevelVar
	// Tracing makes the spans of the process; nil means that nothing is traced.
	Tracing  *telemetry.Tracing
	Registry *prometheus.Registry
	OnListen func(net.Addr) // called with the bound address of the process's server; may be nil
}

// Part is a piece of a process that runs until its context ends and then returns nil.
type Part struct {
	Name string
	Run  func(context.Context) error
}

// Run runs all parts together. When a part fails or ctx ends, it stops all parts. After every part has returned, it
// returns the first failure with the name of its part.
func Run(ctx context.Context, parts ...Part) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range parts {
		g.Go(func() error {
			if err := p.Run(ctx); err != nil {
				return fmt.Errorf("%s: %w", p.Name, err)
			}
			if ctx.Err() == nil {
				return fmt.Errorf("%s: stopped by itself", p.Name)
			}
			return nil
		})
	}
	return g.Wait()
}
