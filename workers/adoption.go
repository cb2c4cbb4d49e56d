package workers

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"holdfast/workflows/orderflow"
)

const (
	// adoptionInterval is how often the adoption runs.
	adoptionInterval = time.Minute
	// adoptionGrace is how long a deadline must have passed before nothing is expected to run any more. Mass expiry on
	// two processors takes half a minute.
	adoptionGrace = 5 * time.Minute
	// adoptionLookBack is longer than Temporal's list of workflows is ever behind.
	adoptionLookBack = 24 * time.Hour
	// adoptionLimit is how many orders and reservations one run takes up at most, in each of the three places.
	adoptionLimit = 200
)

// HasAdoption reports whether Temporal has the schedule of the adoption.
func HasAdoption(ctx context.Context, c client.Client) (bool, error) {
	_, err := c.ScheduleClient().GetHandle(ctx, orderflow.AdoptionSchedule).Describe(ctx)
	var absent *serviceerror.NotFound
	if errors.As(err, &absent) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("describe the schedule %s: %w", orderflow.AdoptionSchedule, err)
	}
	return true, nil
}

// ScheduleAdoption makes Temporal run the adoption (workflows.Adoption) every minute. An existing schedule gets the
// settings of this version, and stays paused if an operator has paused it. The call is idempotent, also from several
// processes at once.
func ScheduleAdoption(ctx context.Context, c client.Client) error {
	action := &client.ScheduleWorkflowAction{
		ID:        orderflow.AdoptionSchedule,
		Workflow:  orderflow.AdoptionWorkflow,
		TaskQueue: orderflow.OrdersQueue,
		Args: []any{orderflow.AdoptionInput{
			GraceSeconds:    int(adoptionGrace.Seconds()),
			LookBackSeconds: int(adoptionLookBack.Seconds()),
			Limit:           adoptionLimit,
		}},
		WorkflowExecutionTimeout: adoptionLookBack,
		StaticSummary:            "take up orders and reservations for which no workflow runs",
	}
	return ensureSchedule(ctx, c, client.ScheduleOptions{
		ID:            orderflow.AdoptionSchedule,
		Spec:          client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: adoptionInterval}}},
		Action:        action,
		Overlap:       enumspb.SCHEDULE_OVERLAP_POLICY_SKIP,
		CatchupWindow: adoptionInterval,
		Note:          "brings what an operator stopped by mistake to its end",
	})
}
