package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// TraceparentHeader is the name of the W3C trace context, in HTTP, in the headers of an outbox row and of a message.
const TraceparentHeader = "traceparent"

// Traceparent returns the W3C trace context of the span that ctx carries, or "" if that is not sampled.
func Traceparent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[TraceparentHeader]
}

// WithTraceparent returns a context in which a new span continues the given trace context. It ignores one that it
// cannot read.
func WithTraceparent(ctx context.Context, traceparent string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{TraceparentHeader: traceparent})
}
