package outbox

import (
	"context"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"holdfast/internal/rabbitmq"
	"holdfast/internal/telemetry"
)

// trace begins the span of publishing a message, as a child of the span that wrote the event, and puts it into the
// message's headers. The message of an event that is not traced has no span, because a relay publishes the events of
// many traces.
func (r *Relay) trace(ctx context.Context, m *rabbitmq.Message) trace.Span {
	written, _ := m.Publishing.Headers[telemetry.TraceparentHeader].(string)
	if written == "" {
		return trace.SpanFromContext(context.Background()) // records nothing
	}
	ctx, span := r.tracer.Start(telemetry.WithTraceparent(ctx, written), "publish "+m.Publishing.Type,
		trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(
			attribute.String("messaging.system", "rabbitmq"),
			attribute.String("messaging.destination.name", m.Exchange),
			attribute.String("messaging.message.id", m.Publishing.MessageId)))
	if published := telemetry.Traceparent(ctx); published != "" {
		headers := amqp.Table{}
		for name, value := range m.Publishing.Headers {
			headers[name] = value
		}
		headers[telemetry.TraceparentHeader] = published
		m.Publishing.Headers = headers
	}
	return span
}

func endSpan(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, "the broker has not confirmed the message")
	}
	span.End()
}
