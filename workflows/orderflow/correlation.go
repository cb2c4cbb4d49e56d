package orderflow

import (
	"context"
	"fmt"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"holdfast/internal/correlation"
)

// The headers of a workflow, an update, a signal and an activity. No command depends on them, so a replay ignores them.
const (
	headerCorrelationID = "holdfast-correlation-id"
	headerOrderNumber   = "holdfast-order-number"
)

type (
	correlationKey struct{}
	orderNumberKey struct{}
)

// Correlate returns a workflow context whose activities carry the id of the request that causes them. An empty id
// returns ctx unchanged.
func Correlate(ctx workflow.Context, id string) workflow.Context {
	if id == "" {
		return ctx
	}
	return workflow.WithValue(ctx, correlationKey{}, id)
}

// CorrelationID returns the id of the request that the workflow context carries, or "".
func CorrelationID(ctx workflow.Context) string {
	id, _ := ctx.Value(correlationKey{}).(string)
	return id
}

// NameOrder returns a workflow context whose activities carry the number of the order, for the log.
func NameOrder(ctx workflow.Context, number string) workflow.Context {
	return workflow.WithValue(ctx, orderNumberKey{}, number)
}

// SpanKey is the key of the tracing interceptor's span in a workflow context.
type SpanKey struct{}

// Cause is the request for which a part of a workflow works: its correlation id and its span.
type Cause struct {
	CorrelationID string
	span          any
}

// CauseOf returns the cause that a workflow context carries.
func CauseOf(ctx workflow.Context) Cause { return Cause{CorrelationID(ctx), ctx.Value(SpanKey{})} }

// CausedBy returns a workflow context whose activities belong to the given cause.
func CausedBy(ctx workflow.Context, c Cause) workflow.Context {
	ctx = Correlate(ctx, c.CorrelationID)
	if c.span != nil {
		ctx = workflow.WithValue(ctx, SpanKey{}, c.span)
	}
	return ctx
}

// NewPropagator returns what carries the correlation id of a request from a client's context into the workflow that the
// client starts, updates or signals, and from there into the contexts of the activities.
func NewPropagator() workflow.ContextPropagator { return propagator{} }

type propagator struct{}

// Inject implements workflow.ContextPropagator.
func (propagator) Inject(ctx context.Context, w workflow.HeaderWriter) error {
	return write(w, correlation.From(ctx), correlation.OrderNumber(ctx))
}

// InjectFromWorkflow implements workflow.ContextPropagator.
func (propagator) InjectFromWorkflow(ctx workflow.Context, w workflow.HeaderWriter) error {
	number, _ := ctx.Value(orderNumberKey{}).(string)
	return write(w, CorrelationID(ctx), number)
}

// Extract implements workflow.ContextPropagator.
func (propagator) Extract(ctx context.Context, r workflow.HeaderReader) (context.Context, error) {
	id, number := read(r)
	return correlation.WithOrderNumber(correlation.With(ctx, id), number), nil
}

// ExtractToWorkflow implements workflow.ContextPropagator.
func (propagator) ExtractToWorkflow(ctx workflow.Context, r workflow.HeaderReader) (workflow.Context, error) {
	id, number := read(r)
	ctx = Correlate(ctx, id)
	if number != "" {
		ctx = NameOrder(ctx, number)
	}
	return ctx, nil
}

func write(w workflow.HeaderWriter, id, number string) error {
	for _, header := range []struct{ name, value string }{{headerCorrelationID, id}, {headerOrderNumber, number}} {
		if header.value == "" {
			continue
		}
		payload, err := converter.GetDefaultDataConverter().ToPayload(header.value)
		if err != nil {
			return fmt.Errorf("encode the header %s: %w", header.name, err)
		}
		w.Set(header.name, payload)
	}
	return nil
}

// read returns what the headers say. A header that cannot be read, or that no log line may have, counts as missing: a
// fault in it must not stop an order.
func read(r workflow.HeaderReader) (id, number string) {
	text := func(name string) string {
		payload, given := r.Get(name)
		if !given {
			return ""
		}
		var value string
		if err := converter.GetDefaultDataConverter().FromPayload(payload, &value); err != nil || !correlation.Valid(value) {
			return ""
		}
		return value
	}
	return text(headerCorrelationID), text(headerOrderNumber)
}
