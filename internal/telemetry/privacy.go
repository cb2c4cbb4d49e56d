package telemetry

import (
	"context"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace"
)

// private takes out of spans what may be personal or secret before another exporter sends them: the texts of errors,
// which may quote a customer's data or the payment provider's answer, and the queries of addresses, which may have a
// token or an e-mail address. The types of errors stay. Libraries write these attributes, so they are taken out here
// for all of them.
type private struct{ trace.SpanExporter }

// ExportSpans implements trace.SpanExporter.
func (p private) ExportSpans(ctx context.Context, spans []trace.ReadOnlySpan) error {
	out := make([]trace.ReadOnlySpan, len(spans))
	for i, s := range spans {
		out[i] = withoutTexts(s)
	}
	return p.SpanExporter.ExportSpans(ctx, out) //nolint:wrapcheck // the SDK reports it
}

// privateSpan is a span with other attributes, events and status.
type privateSpan struct {
	trace.ReadOnlySpan
	attributes []attribute.KeyValue
	events     []trace.Event
	status     trace.Status
}

// Attributes implements trace.ReadOnlySpan.
func (s privateSpan) Attributes() []attribute.KeyValue { return s.attributes }

// Events implements trace.ReadOnlySpan.
func (s privateSpan) Events() []trace.Event { return s.events }

// Status implements trace.ReadOnlySpan.
func (s privateSpan) Status() trace.Status { return s.status }

func withoutTexts(s trace.ReadOnlySpan) trace.ReadOnlySpan {
	events, fault := slices.Clone(s.Events()), ""
	for i, e := range events {
		events[i].Attributes = withoutPrivate(e.Attributes)
		for _, a := range e.Attributes {
			if a.Key == "exception.type" {
				fault = a.Value.AsString()
			}
		}
	}
	status := s.Status()
	status.Description = fault // the type of the last error, in place of its text
	return privateSpan{
		ReadOnlySpan: s,
		attributes:   withoutPrivate(s.Attributes()),
		events:       events,
		status:       status,
	}
}

// withoutPrivate returns the attributes without texts of errors, and addresses without their queries.
func withoutPrivate(all []attribute.KeyValue) []attribute.KeyValue {
	out := make([]attribute.KeyValue, 0, len(all))
	for _, a := range all {
		switch a.Key {
		case "exception.message", "exception.stacktrace", "error.message", "url.query":
			continue
		case "url.full", "http.url", "http.target":
			address, _, _ := strings.Cut(a.Value.AsString(), "?")
			address, _, _ = strings.Cut(address, "#")
			a.Value = attribute.StringValue(address)
		}
		out = append(out, a)
	}
	return out
}
