package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/extra/redisotel/v9"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.temporal.io/sdk/contrib/opentelemetry"
	"go.temporal.io/sdk/interceptor"

	"holdfast/workflows/orderflow"
)

// TraceConfig says where traces go and how many there are, with OpenTelemetry's own variables. The exporter reads
// OTEL_EXPORTER_OTLP_HEADERS, …_TIMEOUT and …_CERTIFICATE itself.
type TraceConfig struct {
	// Endpoint is the address of a collector that takes OTLP over HTTP, such as http://127.0.0.1:4318. Empty means that
	// nothing is traced.
	Endpoint string `env:"OTEL_EXPORTER_OTLP_ENDPOINT"`
	// Sampler says which requests are traced; Ratio is its argument.
	Sampler string  `env:"OTEL_TRACES_SAMPLER" envDefault:"parentbased_traceidratio"`
	Ratio   float64 `env:"OTEL_TRACES_SAMPLER_ARG" envDefault:"0.1"`
}

const parentBased = "parentbased_"

var samplers = []string{"always_on", "always_off", "traceidratio"}

// Validate reports every fault.
func (c TraceConfig) Validate() error {
	var faults []error
	if u, err := url.Parse(c.Endpoint); c.Endpoint != "" &&
		(err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		faults = append(faults, errors.New("OTEL_EXPORTER_OTLP_ENDPOINT must be an address as in http://127.0.0.1:4318"))
	}
	if !slices.Contains(samplers, strings.TrimPrefix(c.Sampler, parentBased)) {
		faults = append(faults, fmt.Errorf("OTEL_TRACES_SAMPLER is %q; it is %s, or one of them after %s",
			c.Sampler, strings.Join(samplers, ", "), parentBased))
	}
	if c.Ratio < 0 || c.Ratio > 1 {
		faults = append(faults, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG is %v; it is 0 to 1", c.Ratio))
	}
	return errors.Join(faults...)
}

func (c TraceConfig) sampler() trace.Sampler {
	var root trace.Sampler
	switch strings.TrimPrefix(c.Sampler, parentBased) {
	case "always_on":
		root = trace.AlwaysSample()
	case "always_off":
		root = trace.NeverSample()
	default:
		root = trace.TraceIDRatioBased(c.Ratio)
	}
	if strings.HasPrefix(c.Sampler, parentBased) {
		return trace.ParentBased(root)
	}
	return root
}

// flushTimeout bounds how long a stopping process waits until the collector has its last spans.
const flushTimeout = 3 * time.Second

// Tracing makes the spans of one process. A nil *Tracing traces nothing, and its methods give the parts that do
// nothing.
type Tracing struct {
	provider   *trace.TracerProvider
	propagator propagation.TextMapPropagator
}

// NewTracing returns the tracing of a process, or nil if cfg names no collector. A collector that does not answer costs
// the spans, and never a request. The caller stops it.
func NewTracing(ctx context.Context, cfg TraceConfig, service, version string) (*Tracing, error) {
	if cfg.Endpoint == "" {
		return nil, nil //nolint:nilnil // a nil *Tracing traces nothing
	}
	exporter, err := otlptracehttp.New(ctx,
		otlptracehttp.WithEndpointURL(strings.TrimSuffix(cfg.Endpoint, "/")+"/v1/traces"))
	if err != nil {
		return nil, fmt.Errorf("make the exporter of traces: %w", err)
	}
	return &Tracing{
		provider: trace.NewTracerProvider(
			trace.WithBatcher(private{exporter}),
			trace.WithSampler(cfg.sampler()),
			trace.WithResource(resource.NewSchemaless(
				attribute.String("service.name", service), attribute.String("service.version", version))),
		),
		propagator: propagation.TraceContext{},
	}, nil
}

// Stop sends the last spans, within a bound. The context may have ended.
func (t *Tracing) Stop(ctx context.Context) error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("send the last spans: %w", err)
	}
	return nil
}

// Tracer returns the tracer of our own spans.
func (t *Tracing) Tracer() api.Tracer {
	if t == nil {
		return noop.Tracer{}
	}
	return t.provider.Tracer("holdfast")
}

// Middleware returns the middleware that makes one span of each request, except of probes and scrapes. A public process
// begins a trace of its own: if it took the client's, the client would decide what is traced. It returns nil if nothing
// is traced.
func (t *Tracing) Middleware(public bool) gin.HandlerFunc {
	if t == nil {
		return nil
	}
	incoming := t.propagator
	if public {
		incoming = propagation.NewCompositeTextMapPropagator()
	}
	return otelgin.Middleware("", otelgin.WithTracerProvider(t.provider), otelgin.WithPropagators(incoming),
		otelgin.WithGinFilter(func(c *gin.Context) bool {
			switch c.FullPath() {
			case "/health", "/ready", "/startup", "/metrics":
				return false
			}
			return true
		}))
}

// Transport returns a transport that makes one span of each request to another service, and tells that service the
// trace.
func (t *Tracing) Transport(next http.RoundTripper) http.RoundTripper {
	if t == nil {
		return next
	}
	return otelhttp.NewTransport(next,
		otelhttp.WithTracerProvider(childrenOnly{TracerProvider: t.provider}), otelhttp.WithPropagators(t.propagator))
}

// QueryTracer returns what makes one span of each statement, without the values of its parameters. It returns nil if
// nothing is traced.
func (t *Tracing) QueryTracer() pgx.QueryTracer {
	if t == nil {
		return nil
	}
	// otelpgx makes no span without a parent.
	return statements{otelpgx.NewTracer(otelpgx.WithTracerProvider(t.provider),
		otelpgx.WithDisableAcquireTracer(), otelpgx.WithDisableConnectionDetailsInAttributes())}
}

// statements makes one span of a statement and one of a batch. otelpgx itself would make one more for each statement
// that it prepares, and one for each statement of a batch.
type statements struct{ all *otelpgx.Tracer }

// TraceQueryStart implements pgx.QueryTracer.
func (s statements) TraceQueryStart(ctx context.Context, c *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	return s.all.TraceQueryStart(ctx, c, d)
}

// TraceQueryEnd implements pgx.QueryTracer.
func (s statements) TraceQueryEnd(ctx context.Context, c *pgx.Conn, d pgx.TraceQueryEndData) {
	s.all.TraceQueryEnd(ctx, c, d)
}

// TraceBatchStart implements pgx.BatchTracer.
func (s statements) TraceBatchStart(ctx context.Context, c *pgx.Conn, d pgx.TraceBatchStartData) context.Context {
	return s.all.TraceBatchStart(ctx, c, d)
}

// TraceBatchQuery implements pgx.BatchTracer.
func (statements) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (s statements) TraceBatchEnd(ctx context.Context, c *pgx.Conn, d pgx.TraceBatchEndData) {
	s.all.TraceBatchEnd(ctx, c, d)
}

// Redis makes one span of each command of a client, without its keys and values.
func (t *Tracing) Redis(client *redis.Client) error {
	if t == nil {
		return nil
	}
	err := redisotel.InstrumentTracing(client, redisotel.WithTracerProvider(childrenOnly{TracerProvider: t.provider}),
		redisotel.WithDBStatement(false), redisotel.WithDialFilter(true))
	if err != nil {
		return fmt.Errorf("trace Redis: %w", err)
	}
	return nil
}

// Temporal returns the interceptors that make a span of each start, update, workflow and activity. It returns none if
// nothing is traced.
func (t *Tracing) Temporal() ([]interceptor.ClientInterceptor, error) {
	if t == nil {
		return nil, nil
	}
	traces, err := opentelemetry.NewTracingInterceptor(opentelemetry.TracerOptions{
		Tracer:                  t.provider.Tracer("temporal"),
		TextMapPropagator:       t.propagator,
		SpanContextKey:          orderflow.SpanKey{},
		DisableBaggage:          true,
		DisableQueryTracing:     true,
		AllowInvalidParentSpans: true, // a header that cannot be read must not stop an order
	})
	if err != nil {
		return nil, fmt.Errorf("trace Temporal: %w", err)
	}
	return []interceptor.ClientInterceptor{traces}, nil
}

// childrenOnly makes spans only within a trace that is sampled, so that a background job makes no traces of its own.
type childrenOnly struct{ api.TracerProvider }

func (p childrenOnly) Tracer(name string, options ...api.TracerOption) api.Tracer {
	return childTracer{Tracer: p.TracerProvider.Tracer(name, options...)}
}

type childTracer struct{ api.Tracer }

func (t childTracer) Start(
	ctx context.Context, name string, options ...api.SpanStartOption,
) (context.Context, api.Span) {
	if parent := api.SpanFromContext(ctx); !parent.SpanContext().IsSampled() {
		return ctx, noop.Span{}
	}
	return t.Tracer.Start(ctx, name, options...)
}
