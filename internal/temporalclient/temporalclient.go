// Package temporalclient connects a process to Temporal and prepares the namespace it works in.
package temporalclient

import (
	"context"
	"fmt"
	"log/slog"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"google.golang.org/grpc"
)

// Config says where Temporal is. Temporal's own tools and its Kubernetes worker controller use the same variables.
type Config struct {
	Address   string `env:"TEMPORAL_ADDRESS" envDefault:"127.0.0.1:7233"`
	Namespace string `env:"TEMPORAL_NAMESPACE" envDefault:"holdfast"`
	// Compression of what is sent to Temporal. On a network of one's own it costs more than it saves.
	Compression Compression `env:"TEMPORAL_COMPRESSION" envDefault:"none"`
}

// Compression is how requests to Temporal are compressed.
type Compression string

// The kinds of compression.
const (
	CompressionNone Compression = "none"
	CompressionGzip Compression = "gzip"
)

// Validate refuses what the SDK does not have.
func (c Config) Validate() error {
	switch c.Compression {
	case "", CompressionNone, CompressionGzip:
		return nil
	}
	return fmt.Errorf("TEMPORAL_COMPRESSION is %q; it is none or gzip", c.Compression)
}

// options are those of every client of ours.
func (c Config) options(logger *slog.Logger) client.Options {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	o := client.Options{
		HostPort:  c.Address,
		Namespace: c.Namespace,
		Logger:    log.NewStructuredLogger(logger),
	}
	// gRPC would look for a service configuration in DNS (a TXT record) before it connects. In a network without a way
	// out that look-up takes longer than the connection may take, and Temporal has no such record.
	o.ConnectionOptions.DialOptions = []grpc.DialOption{grpc.WithDisableServiceConfig()}
	if c.Compression != CompressionGzip {
		o.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{}
	}
	return o
}

// ReplayerOptions are what a replayer needs to read the histories that workers with this configuration write: the same
// data converter, and those interceptors of the client that workers use too.
func (c Config) ReplayerOptions() worker.WorkflowReplayerOptions {
	return replayerOptions(c.options(nil))
}

func replayerOptions(o client.Options) worker.WorkflowReplayerOptions {
	out := worker.WorkflowReplayerOptions{
		DataConverter:      o.DataConverter,
		FailureConverter:   o.FailureConverter,
		ContextPropagators: o.ContextPropagators,
	}
	for _, i := range o.Interceptors {
		if w, ok := i.(interceptor.WorkerInterceptor); ok {
			out.Interceptors = append(out.Interceptors, w)
		}
	}
	return out
}

// Dial connects to Temporal and fails if Temporal does not answer before ctx ends. The caller closes the client. A nil
// logger discards all messages.
func Dial(ctx context.Context, cfg Config, logger *slog.Logger) (client.Client, error) {
	c, err := client.DialContext(ctx, cfg.options(logger))
	if err != nil {
		return nil, fmt.Errorf("connect to Temporal at %s: %w", cfg.Address, err)
	}
	return c, nil
}

// Lazy returns a client that connects with its first call, so that a process can start without Temporal, report itself
// not ready, and recover later. The caller closes the client. A nil logger discards all messages.
func Lazy(cfg Config, logger *slog.Logger) (client.Client, error) {
	c, err := client.NewLazyClient(cfg.options(logger))
	if err != nil {
		return nil, fmt.Errorf("make a client for Temporal at %s: %w", cfg.Address, err)
	}
	return c, nil
}
