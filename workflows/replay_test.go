package workflows_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"go.uber.org/goleak"

	"holdfast/internal/replay"
	"holdfast/internal/temporalclient"
	"holdfast/workers"
	"holdfast/workflows"
	"holdfast/workflows/orderflow"
)

func TestMain(m *testing.M) {
	// Temporal's test environment forgets the retries of an activity whose workflow has ended.
	const environment = "go.temporal.io/sdk/internal.(*testWorkflowEnvironmentImpl)."
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction(environment+"executeActivityWithRetryForTest"),
		goleak.IgnoreTopFunction(environment+"ExecuteActivity.func2"))
}

// TestRecordedHistoriesReplay replays every history that was ever checked in: an order that began on an
// older build must be able to go on.
func TestRecordedHistoriesReplay(t *testing.T) {
	t.Parallel()
	histories, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, histories)
	for _, file := range histories {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			require.NoError(t, replayFile(t, workers.NewReplayer(temporalclient.Config{}), file))
		})
	}
}

func replayFile(t *testing.T, r *replay.Replayer, file string) error {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	h, err := replay.Read(f)
	require.NoError(t, err)
	return r.Replay(h)
}

// TestChangedWorkflowFailsReplay proves that the test above can fail.
func TestChangedWorkflowFailsReplay(t *testing.T) {
	t.Parallel()
	for name, changed := range map[string]any{
		"a timer before everything": func(ctx workflow.Context, in orderflow.OrderInput) (orderflow.OrderResult, error) {
			if err := workflow.Sleep(ctx, time.Second); err != nil {
				return orderflow.OrderResult{}, err
			}
			return workflows.Order(ctx, in)
		},
		"a step that is gone": func(_ workflow.Context, _ orderflow.OrderInput) (orderflow.OrderResult, error) {
			return orderflow.OrderResult{}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := replay.New(worker.WorkflowReplayerOptions{}, func(r worker.WorkflowRegistry) {
				r.RegisterWorkflowWithOptions(changed, workflow.RegisterOptions{Name: orderflow.OrderWorkflow})
			})
			var d *replay.Divergence
			require.ErrorAs(t, replayFile(t, r, "testdata/order-confirmed.json"), &d)
		})
	}
}

// registry collects the registered functions' types by name.
type registry map[string]reflect.Type

func (r registry) RegisterActivity(any) {
	panic("activities are registered under their contract names")
}

func (r registry) RegisterActivityWithOptions(a any, o activity.RegisterOptions) {
	r[o.Name] = reflect.TypeOf(a)
}
func (r registry) RegisterDynamicActivity(any, activity.DynamicRegisterOptions) {}

// TestActivitiesMatchTheContract compares every registered function with the name and payloads by which the
// workflow's steps call it.
func TestActivitiesMatchTheContract(t *testing.T) {
	t.Parallel()
	got := registry{}
	var g workers.Registrations
	g.RegisterOrderActivities(got)
	g.RegisterPaymentActivities(got)

	want := map[string][2]any{
		orderflow.ReserveStock:       {orderflow.ReserveInput{}, orderflow.ReservationResult{}},
		orderflow.ReserveOrWait:      {orderflow.ReserveInput{}, orderflow.ReservationResult{}},
		orderflow.ExtendReservation:  {orderflow.ReservationInput{}, orderflow.ReservationResult{}},
		orderflow.ConfirmReservation: {orderflow.ReservationInput{}, orderflow.ReservationResult{}},
		orderflow.ReplaceReservation: {orderflow.ReserveInput{}, orderflow.ReservationResult{}},
		orderflow.ReleaseStock:       {orderflow.ReservationInput{}, orderflow.ReservationResult{}},
		orderflow.ExpireReservation:  {orderflow.ReservationInput{}, orderflow.ReservationResult{}},
		orderflow.ReturnStock:        {orderflow.ReservationInput{}, orderflow.ReservationResult{}},
		orderflow.RecordOrder:        {orderflow.RecordInput{}, orderflow.RecordResult{}},
		orderflow.AuthorisePayment:   {orderflow.PaymentInput{}, orderflow.PaymentResult{}},
		orderflow.CapturePayment:     {orderflow.PaymentInput{}, orderflow.PaymentResult{}},
		orderflow.VoidPayment:        {orderflow.PaymentInput{}, orderflow.PaymentResult{}},
		orderflow.RefundPayment:      {orderflow.PaymentInput{}, orderflow.PaymentResult{}},
		orderflow.FindPayment:        {orderflow.PaymentInput{}, orderflow.PaymentResult{}},
		orderflow.FindRefund:         {orderflow.PaymentInput{}, orderflow.PaymentResult{}},
		orderflow.ReturnUnits:        {orderflow.ReturnUnitsInput{}, orderflow.ReservationResult{}},
		orderflow.WriteOffStock:      {orderflow.WriteOffInput{}, orderflow.WriteOffResult{}},
		orderflow.FindOrder:          {orderflow.FindOrderInput{}, orderflow.FindOrderResult{}},
		orderflow.AdoptStopped:       {orderflow.AdoptionInput{}, orderflow.AdoptionResult{}},
		orderflow.AdoptUnended:       {orderflow.AdoptionInput{}, orderflow.AdoptionResult{}},
		orderflow.AdoptReservations:  {orderflow.AdoptionInput{}, orderflow.AdoptionResult{}},
	}

	names := []string{}
	for name, payloads := range want {
		names = append(names, name)
		fn, ok := got[name]
		require.True(t, ok, "%s is not registered", name)
		require.Equal(t, reflect.TypeOf(payloads[0]), fn.In(1), name)
		require.Equal(t, reflect.TypeOf(payloads[1]), fn.Out(0), name)
	}
	for name := range got {
		require.True(t, slices.Contains(names, name), "%s is registered but not in the contract", name)
	}
}
