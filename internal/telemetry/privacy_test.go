package telemetry

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"
)

// TestSpansKeepNothingPrivate: a span that leaves the process has no text of an error, no path and no query of an
// address, and nothing of the client, but still says that it failed, with what kind of error, and where.
func TestSpansKeepNothingPrivate(t *testing.T) {
	t.Parallel()
	const secret = "ada.canary@example.com"
	kept := tracetest.NewInMemoryExporter()
	provider := trace.NewTracerProvider(trace.WithSyncer(private{kept}))
	fault := errors.New("the card of " + secret + " was declined")
	_, span := provider.Tracer("test").Start(t.Context(), "charge", api.WithAttributes(
		attribute.String("url.full", "https://"+secret+"@pay.example/v1/charges/"+secret+"?email="+secret+"#"+secret),
		attribute.String("url.path", "/admin/customers/"+secret+"/erase"),
		attribute.String("client.address", secret),
		attribute.String("network.peer.address", secret),
		attribute.String("user_agent.original", secret),
		attribute.String("temporalUpdateID", "pay-"+secret),
		attribute.String("http.route", "/admin/customers/:customer_id/erase"),
		attribute.String("http.url", "https://pay.example/v1/charges?email="+secret),
		attribute.String("http.target", "/v1/charges?email="+secret),
		attribute.String("url.query", "email="+secret),
		attribute.String("error.message", fault.Error()),
		attribute.String("http.request.method", http.MethodPost),
	))
	span.RecordError(fault, api.WithStackTrace(true))
	span.SetStatus(codes.Error, fault.Error())
	span.End()

	// A request of a client of ours that fails: the library writes the address into the span and into the error.
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	client := &http.Client{Transport: otelhttp.NewTransport(http.DefaultTransport, otelhttp.WithTracerProvider(provider))}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, gone.URL+"/v1?email="+secret, nil)
	require.NoError(t, err)
	res, err := client.Do(req)
	if err == nil {
		require.NoError(t, res.Body.Close())
	}
	require.Error(t, err)

	spans := kept.GetSpans()
	require.Len(t, spans, 2)
	for _, s := range spans {
		require.NotContains(t, s.Status.Description, " ", "a text")
		attributes := s.Attributes
		for _, e := range s.Events {
			attributes = append(attributes, e.Attributes...)
		}
		for _, a := range attributes {
			require.NotContains(t, a.Value.String(), secret, string(a.Key))
		}
		require.Equal(t, codes.Error, s.Status.Code)
	}
	require.Equal(t, "*errors.errorString", spans[0].Status.Description)
	require.Contains(t, spans[0].Attributes, attribute.String("url.full", "https://pay.example"))
	require.Contains(t, spans[0].Attributes, attribute.String("http.route", "/admin/customers/:customer_id/erase"))
	require.Contains(t, spans[0].Attributes, attribute.String("http.request.method", http.MethodPost))
	require.Contains(t, spans[1].Attributes, attribute.String("url.full", gone.URL))
	require.NoError(t, provider.Shutdown(t.Context()))
}
