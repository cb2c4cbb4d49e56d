package groupcommit

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"holdfast/internal/correlation"
	"holdfast/internal/telemetry"
	"holdfast/inventory/store"
)

// origin is the request that a submission belongs to.
type origin struct {
	correlationID, traceparent string
	span                       trace.Span
}

// originOf returns the request that ctx belongs to, or nil if that is not traced.
func originOf(ctx context.Context) *origin {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return nil
	}
	return &origin{correlation.From(ctx), telemetry.Traceparent(ctx), span}
}

// traceBatch begins the span of a batch. A batch has several callers, and a span has one parent: the span belongs to
// the first traced caller, and has a link to each of the others. The events of the batch have the trace of their own
// caller. Without a traced caller there is no span.
func traceBatch(batch []*submission) (ctx context.Context, end func()) {
	ctx = context.Background()
	var first *origin
	var others []trace.Link
	traces := map[string]string{}
	for _, s := range batch {
		switch {
		case s.origin == nil:
			continue
		case first == nil:
			first = s.origin
		default:
			others = append(others, trace.Link{SpanContext: s.origin.span.SpanContext()})
		}
		traces[s.origin.correlationID] = s.origin.traceparent
	}
	if first == nil {
		return ctx, func() {}
	}

	tracer := first.span.TracerProvider().Tracer("holdfast")
	ctx, span := tracer.Start(trace.ContextWithSpan(ctx, first.span), "commit batch",
		trace.WithLinks(others...), trace.WithAttributes(attribute.Int("holdfast.submissions", len(batch))))
	return store.WithTraces(ctx, traces), func() { span.End() }
}
