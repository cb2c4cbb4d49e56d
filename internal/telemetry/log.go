package telemetry

import (
	"context"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"holdfast/internal/correlation"
)

// NewLogger returns a logger that writes JSON lines of at least the given level, which may be a *slog.LevelVar. Each
// line has the service's name, and what its context carries: the correlation id, the order's number, the id of the
// trace, and the attributes of correlation.WithAttrs.
func NewLogger(w io.Writer, service string, level slog.Leveler) *slog.Logger {
	h := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})
	return slog.New(correlated{h}).With("service", service)
}

// correlated adds to each record what its context carries.
type correlated struct{ slog.Handler }

func (h correlated) Handle(ctx context.Context, r slog.Record) error {
	if id := correlation.From(ctx); id != "" {
		r.AddAttrs(slog.String("correlation_id", id))
	}
	if number := correlation.OrderNumber(ctx); number != "" {
		r.AddAttrs(slog.String("order_number", number))
	}
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		r.AddAttrs(slog.String("trace_id", span.TraceID().String()))
	}
	r.AddAttrs(correlation.Attrs(ctx)...)
	return h.Handler.Handle(ctx, r)
}

func (h correlated) WithAttrs(a []slog.Attr) slog.Handler { return correlated{h.Handler.WithAttrs(a)} }

func (h correlated) WithGroup(n string) slog.Handler { return correlated{h.Handler.WithGroup(n)} }
