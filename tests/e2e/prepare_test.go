package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"

	"holdfast/tests/platform"
	"holdfast/workflows/orderflow"
)

// prepares makes a namespace ready by the command, twice, and asks before and after what is missing.
func prepares(t *testing.T, p *platform.Platform) {
	namespace := "prepared-" + uuid.NewString()
	prepare := func(args ...string) (out, errs string, err error) {
		args = append([]string{"deploy", "prepare", "--retention", "24h"}, args...)
		return p.Run(args, "TEMPORAL_NAMESPACE", namespace)
	}

	out, errs, err := prepare("--check")
	require.Equal(t, 1, exitStatus(t, err), errs)
	require.Contains(t, out, "missing    namespace "+namespace)
	require.Contains(t, out, "missing    schedule "+orderflow.AdoptionSchedule)
	require.Equal(t, 2+len(orderflow.SearchAttributes()), strings.Count(out, "missing"), out)

	for range 2 {
		out, errs, err := prepare()
		require.NoError(t, err, errs)
		require.Contains(t, out, "namespace "+namespace)
	}
	out, errs, err = prepare("--check")
	require.NoError(t, err, "%s%s", out, errs)
	p.WithTemporal(func(c client.Client) {
		schedule, err := c.WorkflowService().DescribeSchedule(t.Context(), &workflowservice.DescribeScheduleRequest{
			Namespace: namespace, ScheduleId: orderflow.AdoptionSchedule,
		})
		require.NoError(t, err)
		require.Equal(t, time.Minute, schedule.GetSchedule().GetSpec().GetInterval()[0].GetInterval().AsDuration())
	})

	_, errs, err = p.Run([]string{"deploy", "prepare", "--wait", "2s"}, "TEMPORAL_ADDRESS", "127.0.0.1:1")
	require.Error(t, err)
	require.Contains(t, errs, "nothing answers at 127.0.0.1:1; ")
}

// preparesNothingElse refuses a namespace that another team has set up otherwise, says all that is wrong, and changes
// nothing.
func preparesNothingElse(t *testing.T, p *platform.Platform) {
	namespace := "others-" + uuid.NewString()
	attributes := func(c client.Client) map[string]enumspb.IndexedValueType {
		have, err := c.OperatorService().ListSearchAttributes(t.Context(),
			&operatorservice.ListSearchAttributesRequest{Namespace: namespace})
		require.NoError(t, err)
		return have.GetCustomAttributes()
	}
	p.WithTemporal(func(c client.Client) {
		_, err := c.WorkflowService().RegisterNamespace(t.Context(), &workflowservice.RegisterNamespaceRequest{
			Namespace:                        namespace,
			WorkflowExecutionRetentionPeriod: durationpb.New(48 * time.Hour),
		})
		require.NoError(t, err)
		require.Eventually(t, func() bool { // the server's services read the new namespace after a moment
			_, err := c.OperatorService().AddSearchAttributes(t.Context(), &operatorservice.AddSearchAttributesRequest{
				Namespace: namespace,
				SearchAttributes: map[string]enumspb.IndexedValueType{
					orderflow.AttrAmountMinor.GetName(): enumspb.INDEXED_VALUE_TYPE_KEYWORD,
				},
			})
			return err == nil
		}, 30*time.Second, 100*time.Millisecond)
		require.Eventually(t, func() bool { return len(attributes(c)) == 1 }, 30*time.Second, 100*time.Millisecond)

		_, errs, err := p.Run([]string{"deploy", "prepare"}, "TEMPORAL_NAMESPACE", namespace)
		require.Equal(t, 1, exitStatus(t, err))
		require.Contains(t, errs, "nothing was changed")
		require.Contains(t, errs, "it keeps closed workflows for 48h0m0s, not 168h0m0s")
		require.Contains(t, errs, "search attribute AmountMinor of namespace "+namespace+" has the type Keyword, not Int")
		require.Len(t, attributes(c), 1, "nothing was added")

		out, errs, err := p.Run([]string{"deploy", "prepare", "--check", "--retention", "48h"},
			"TEMPORAL_NAMESPACE", namespace)
		require.Equal(t, 1, exitStatus(t, err), errs)
		require.Contains(t, out, "different  search attribute AmountMinor")
		require.NotContains(t, out, "closed workflows")
	})
}

// TestFromNothing sets a platform up as the guide says, on a namespace that is not there: prepare, start, set-current.
func TestFromNothing(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	namespace := "fresh-" + uuid.NewString()
	p.Configure("TEMPORAL_NAMESPACE", namespace)
	for _, process := range []string{"worker", "api"} {
		p.Process(process).Stop()
	}
	p.Start("worker") // it waits for its namespace
	p.Start("api")

	answer := p.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(p.Product(1), 1))
	require.Equal(t, http.StatusAccepted, answer.Status, answer.Raw)
	for _, command := range [][]string{
		{"deploy", "prepare"},
		{"deploy", "set-current", "e2e"},
		{"deploy", "prepare", "--check"},
	} {
		_, errs, err := p.Run(command)
		require.NoError(t, err, "%v: %s", command, errs)
	}
	p.Await("alice", answer.Str("order_id"), "reserved", 30*time.Second)
}
