package correlation

import (
	"context"
	"log/slog"
	"slices"
)

type attrsKey struct{}

// WithAttrs returns a context that names, besides the correlation id, what the work is about: an order, a workflow, an
// event. Each log line that is written with the context has these attributes.
func WithAttrs(ctx context.Context, attrs ...slog.Attr) context.Context {
	return context.WithValue(ctx, attrsKey{}, slices.Concat(Attrs(ctx), attrs))
}

// Attrs returns the attributes of the context, the oldest first.
func Attrs(ctx context.Context) []slog.Attr {
	attrs, _ := ctx.Value(attrsKey{}).([]slog.Attr)
	return attrs
}

type orderNumberKey struct{}

// WithOrderNumber returns a context that carries the number of the order that the work is about. An empty number
// returns ctx unchanged.
func WithOrderNumber(ctx context.Context, number string) context.Context {
	if number == "" {
		return ctx
	}
	return context.WithValue(ctx, orderNumberKey{}, number)
}

// OrderNumber returns the number that ctx carries, or "".
func OrderNumber(ctx context.Context) string {
	number, _ := ctx.Value(orderNumberKey{}).(string)
	return number
}
