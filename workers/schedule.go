package workers

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
)

// ensureSchedule creates a Schedule. If it exists, ensureSchedule gives it the interval and the action of wanted and
// leaves the rest as it is, so that a Schedule that an operator has paused stays paused. The call is idempotent, also
// from several processes at once.
func ensureSchedule(ctx context.Context, c client.Client, wanted client.ScheduleOptions) error {
	_, err := c.ScheduleClient().Create(ctx, wanted)
	if err == nil {
		return nil
	}
	if !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return fmt.Errorf("create the schedule %s: %w", wanted.ID, err)
	}
	err = c.ScheduleClient().GetHandle(ctx, wanted.ID).Update(ctx, client.ScheduleUpdateOptions{
		DoUpdate: func(in client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			schedule := in.Description.Schedule
			schedule.Spec, schedule.Action = &wanted.Spec, wanted.Action
			return &client.ScheduleUpdate{Schedule: &schedule}, nil
		},
	})
	if err != nil {
		return fmt.Errorf("update the schedule %s: %w", wanted.ID, err)
	}
	return nil
}
