package temporalclient

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"
)

// TestReplayerReadsWhatWorkersWrite: whatever a client is configured with and a worker takes over, a replayer has too.
func TestReplayerReadsWhatWorkersWrite(t *testing.T) {
	t.Parallel()
	o := client.Options{
		DataConverter:    converter.NewCodecDataConverter(converter.GetDefaultDataConverter()),
		FailureConverter: temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{}),
		Interceptors: []interceptor.ClientInterceptor{
			&interceptor.ClientInterceptorBase{}, // of clients alone
			&interceptor.InterceptorBase{},       // of both
		},
	}

	got := replayerOptions(o)

	require.Same(t, o.DataConverter, got.DataConverter)
	require.Same(t, o.FailureConverter, got.FailureConverter)
	require.Len(t, got.Interceptors, 1)
	require.Same(t, o.Interceptors[1], got.Interceptors[0])
}
