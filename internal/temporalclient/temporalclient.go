// Package temporalclient connects a process to Temporal and prepares the namespace it works in.
package temporalclient

import (
	"context"
	"fmt"
	"log/slog"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
)

// Config says where Temporal is. The names of the variables are those that Temporal's own tools and
// its Kubernetes worker controller use.
type Config struct {
	Address   string `env:"TEMPORAL_ADDRESS" envDefault:"127.0.0.1:7233"`
	Namespace string `env:"TEMPORAL_NAMESPACE" envDefault:"holdfast"`
}

// Dial connects to Temporal and fails when it does not answer before ctx is over. The caller closes
// the client. A nil log is silent.
func Dial(ctx context.Context, cfg Config, logger *slog.Logger) (client.Client, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	c, err := client.DialContext(ctx, client.Options{
		HostPort:  cfg.Address,
		Namespace: cfg.Namespace,
		Logger:    log.NewStructuredLogger(logger),
	})
	if err != nil {
		return nil, fmt.Errorf("connect to Temporal at %s: %w", cfg.Address, err)
	}
	return c, nil
}

// Lazy returns a client that connects with its first call, so that a process can start, report itself
// not ready, and recover by itself. The caller closes the client. A nil log is silent.
func Lazy(cfg Config, logger *slog.Logger) (client.Client, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	c, err := client.NewLazyClient(client.Options{HostPort: cfg.Address, Namespace: cfg.Namespace, Logger: log.NewStructuredLogger(logger)})
	if err != nil {
		return nil, fmt.Errorf("make a client for Temporal at %s: %w", cfg.Address, err)
	}
	return c, nil
}
