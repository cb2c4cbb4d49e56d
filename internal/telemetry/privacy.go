package telemetry

import (
	"context"
	"net/url"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
)

// private takes out of spans what may be personal or secret before another exporter sends them: the texts of errors,
// which may quote a customer's data or the payment provider's answer; the paths and queries of addresses, which may
// have a customer's name, a token or an e-mail address; and the address and the browser of a client. The types of
// errors, the routes and the hosts stay. Libraries write these attributes, so they are taken out here for all of them.
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
	attributes := withoutPrivate(s.Attributes())
	if s.SpanKind() == api.SpanKindServer { // the host is the one that the client has named
		attributes = slices.DeleteFunc(attributes, func(a attribute.KeyValue) bool {
			return a.Key == "server.address" || a.Key == "server.port"
		})
	}
	return privateSpan{
		ReadOnlySpan: s,
		attributes:   attributes,
		events:       events,
		status:       status,
	}
}

// withoutPrivate returns the attributes that are neither personal nor secret. Of a full address, scheme and host stay.
func withoutPrivate(all []attribute.KeyValue) []attribute.KeyValue {
	out := make([]attribute.KeyValue, 0, len(all))
	for _, a := range all {
		switch a.Key {
		case "exception.message", "exception.stacktrace", "error.message",
			"url.path", "url.query", "http.target",
			"client.address", "network.peer.address", "network.peer.port", "http.client_ip", "net.sock.peer.addr",
			"user_agent.original", "http.user_agent",
			"temporalUpdateID": // it has the client's Idempotency-Key
			continue
		case "url.full", "http.url":
			address, err := url.Parse(a.Value.AsString())
			if err != nil {
				continue
			}
			a.Value = attribute.StringValue(address.Scheme + "://" + address.Host)
		}
		out = append(out, a)
	}
	return out
}
