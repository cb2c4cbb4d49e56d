package store

import (
	"context"

	"holdfast/internal/events"
)

type tracesKey struct{}

// WithTraces returns a context whose transaction writes its events with these W3C trace contexts, by correlation id. A
// transaction has the requests of several callers, so its own span is not that of each event.
func WithTraces(ctx context.Context, byCorrelationID map[string]string) context.Context {
	return context.WithValue(ctx, tracesKey{}, byCorrelationID)
}

// headers returns the headers of an event that a request caused.
func headers(ctx context.Context, correlationID string) events.Headers {
	traces, _ := ctx.Value(tracesKey{}).(map[string]string)
	return events.Headers{CorrelationID: correlationID, Traceparent: traces[correlationID]}
}
