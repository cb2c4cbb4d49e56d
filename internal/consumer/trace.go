package consumer

import (
	"context"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"holdfast/internal/events"
	"holdfast/internal/telemetry"
)

// trace begins the span of processing a message. It continues the trace of the message, and has a link to the span that
// published it. A message that comes again has the same link. A message without a trace gets no span.
func (c *Consumer) trace(ctx context.Context, d amqp.Delivery, e events.Envelope) (context.Context, trace.Span) {
	published, _ := d.Headers[telemetry.TraceparentHeader].(string)
	if published == "" {
		return ctx, trace.SpanFromContext(ctx)
	}
	ctx = telemetry.WithTraceparent(ctx, published)
	return c.Tracer.Start(ctx, "process "+typeLabel(e.EventType, c.Types),
		trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithLinks(trace.LinkFromContext(ctx)),
		trace.WithAttributes(
			attribute.String("messaging.system", "rabbitmq"),
			attribute.String("messaging.destination.name", c.Queue),
			attribute.String("messaging.message.id", e.EventID.String())))
}
