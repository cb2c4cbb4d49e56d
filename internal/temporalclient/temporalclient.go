// Package temporalclient connects a process to Temporal and prepares the namespace it works in.
package temporalclient

import (
	"context"
	"fmt"
	"log/slog"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
)

// Config says where Temporal is. Temporal's own tools and its Kubernetes worker controller use the same variables.
type Config struct {
	Address   string `env:"TEMPORAL_ADDRESS" envDefault:"127.0.0.1:7233"`
	Namespace string `env:"TEMPORAL_NAMESPACE" envDefault:"holdfast"`
}

// Dial connects to Temporal and fails if Temporal does not answer before ctx ends. The caller closes the client. A nil
// logger discards all messages.
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

// Lazy returns a client that connects with its first call, so that a process can start without Temporal, report itself
// not ready, and recover later. The caller closes the client. A nil logger discards all messages.
func Lazy(cfg Config, logger *slog.Logger) (client.Client, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	c, err := client.NewLazyClient(client.Options{
		HostPort:  cfg.Address,
		Namespace: cfg.Namespace,
		Logger:    log.NewStructuredLogger(logger),
	})
	if err != nil {
		return nil, fmt.Errorf("make a client for Temporal at %s: %w", cfg.Address, err)
	}
	return c, nil
}
