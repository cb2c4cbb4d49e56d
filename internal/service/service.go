// Package service holds what every process gets from its surroundings and how its parts are run
// together, so that the same wiring serves the binaries, the development stack and the tests.
package service

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

// Env is what a process gets from its surroundings.
type Env struct {
	Log      *slog.Logger
	Registry *prometheus.Registry
	OnListen func(net.Addr) // called with the bound address of the process's server; may be nil
}

// Part is a piece of a process that runs until its context ends and then returns nil.
type Part struct {
	Name string
	Run  func(context.Context) error
}

// Run runs all parts together. When one fails, or ctx ends, all are stopped; the first failure is
// returned, with its part's name, after every part has returned.
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
