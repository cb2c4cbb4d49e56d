// Package temporalclient connects a process to Temporal and prepares the namespace it works in.
package temporalclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/grpc"

	"holdfast/internal/clienttls"
	"holdfast/internal/payloadcodec"
	"holdfast/workflows/orderflow"
)

// Config says where Temporal is. Temporal's own tools and its Kubernetes worker controller use the same variables.
type Config struct {
	Address   string `env:"TEMPORAL_ADDRESS" envDefault:"127.0.0.1:7233"`
	Namespace string `env:"TEMPORAL_NAMESPACE" envDefault:"holdfast"`
	// Compression of what is sent to Temporal. On a network of one's own it costs more than it saves.
	Compression Compression `env:"TEMPORAL_COMPRESSION" envDefault:"none"`

	// TLS encrypts the connection. Each other setting of it, and an API key, turns it on.
	TLS         bool   `env:"TEMPORAL_TLS" envDefault:"false"`
	CA          string `env:"TEMPORAL_TLS_SERVER_CA_CERT_DATA"` // the authorities to trust, PEM; empty means the system's
	Certificate string `env:"TEMPORAL_TLS_CLIENT_CERT_DATA"`    // of this process, PEM, for mutual TLS
	Key         string `env:"TEMPORAL_TLS_CLIENT_KEY_DATA"`
	ServerName  string `env:"TEMPORAL_TLS_SERVER_NAME"`
	APIKey      string `env:"TEMPORAL_API_KEY"` // sent with each call, for Temporal Cloud or an authorizer

	// Interceptors are those of every client, and of the workers that use it.
	Interceptors []interceptor.ClientInterceptor
	// Metrics takes the SDK's metrics (NewMetrics). If it is nil, there are none.
	Metrics client.MetricsHandler

	// PayloadKeys encrypt what is written into Temporal (payloadcodec.New); without any it is readable there.
	PayloadKeys []string `env:"TEMPORAL_PAYLOAD_KEYS"`
}

// secure are the settings of a connection with TLS.
func (c Config) secure() clienttls.Config {
	return clienttls.Config{CA: c.CA, Certificate: c.Certificate, Key: c.Key, ServerName: c.ServerName}
}

// Compression is how requests to Temporal are compressed.
type Compression string

// The kinds of compression.
const (
	CompressionNone Compression = "none"
	CompressionGzip Compression = "gzip"
)

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	switch c.Compression {
	case "", CompressionNone, CompressionGzip:
	default:
		faults = append(faults, fmt.Errorf("TEMPORAL_COMPRESSION is %q; it is none or gzip", c.Compression))
	}
	if _, err := c.secure().Build(); err != nil {
		faults = append(faults, fmt.Errorf("TEMPORAL_TLS_*: %w", err))
	}
	if _, err := payloadcodec.New(c.PayloadKeys); err != nil {
		faults = append(faults, fmt.Errorf("TEMPORAL_PAYLOAD_KEYS: %w", err))
	}
	return errors.Join(faults...)
}

// DataConverter returns the converter of what is written into Temporal. Code that reads a history without the SDK's
// client needs it. The keys must be valid (Validate).
func (c Config) DataConverter() converter.DataConverter {
	codec, err := payloadcodec.New(c.PayloadKeys)
	if err != nil {
		panic(fmt.Sprintf("TEMPORAL_PAYLOAD_KEYS: %v", err)) // Validate refuses them
	}
	return payloadcodec.DataConverter(codec)
}

// options are those of every client of ours.
func (c Config) options(logger *slog.Logger) (client.Options, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	o := client.Options{
		HostPort:  c.Address,
		Namespace: c.Namespace,
		Logger:    log.NewStructuredLogger(slog.New(ownNames{logger.Handler()})),

		Interceptors:       c.Interceptors,
		ContextPropagators: []workflow.ContextPropagator{orderflow.NewPropagator()},
		MetricsHandler:     c.Metrics,
	}
	codec, err := payloadcodec.New(c.PayloadKeys)
	if err != nil {
		return o, fmt.Errorf("TEMPORAL_PAYLOAD_KEYS: %w", err)
	}
	o.DataConverter, o.FailureConverter = payloadcodec.DataConverter(codec), payloadcodec.FailureConverter(codec)
	// gRPC would look for a service configuration in DNS (a TXT record) before it connects. In a network without a way
	// out that look-up takes longer than the connection may take, and Temporal has no such record.
	o.ConnectionOptions.DialOptions = []grpc.DialOption{grpc.WithDisableServiceConfig()}
	if c.Compression != CompressionGzip {
		o.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{}
	}
	if c.TLS || c.APIKey != "" || c.secure().Given() {
		if o.ConnectionOptions.TLS, err = c.secure().Build(); err != nil {
			return o, fmt.Errorf("TEMPORAL_TLS_*: %w", err)
		}
	}
	if c.APIKey != "" {
		o.Credentials = client.NewAPIKeyStaticCredentials(c.APIKey)
	}
	return o, nil
}

// ReplayerOptions are what a replayer needs to read the histories that workers with this configuration write: the same
// data converter, and those interceptors of the client that workers use too.
func (c Config) ReplayerOptions() worker.WorkflowReplayerOptions {
	c.CA, c.Certificate, c.Key = "", "", "" // a replayer does not connect
	o, err := c.options(nil)
	if err != nil {
		panic(err) // Validate refuses the keys of payloads
	}
	return replayerOptions(o)
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
	options, err := cfg.options(logger)
	if err != nil {
		return nil, err
	}
	c, err := client.DialContext(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("connect to Temporal at %s: %w", cfg.Address, err)
	}
	return c, nil
}

// Lazy returns a client that connects with its first call, so that a process can start without Temporal, report itself
// not ready, and recover later. The caller closes the client. A nil logger discards all messages.
func Lazy(cfg Config, logger *slog.Logger) (client.Client, error) {
	options, err := cfg.options(logger)
	if err != nil {
		return nil, err
	}
	c, err := client.NewLazyClient(options)
	if err != nil {
		return nil, fmt.Errorf("make a client for Temporal at %s: %w", cfg.Address, err)
	}
	return c, nil
}
