package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"holdfast/workflows/orderflow"
)

const (
	// adoptionTimeout bounds one attempt of one of the adoption's activities.
	adoptionTimeout = 2 * time.Minute
	// adoptionAttempts is how many times each is tried. The next run of the schedule tries again.
	adoptionAttempts = 3
)

// Adoption takes up orders and reservations whose workflow was ended from outside, for example because an operator
// terminated it by mistake. Their stock would otherwise stay reserved for ever. It finds them in three places, because
// none of the places knows all of them:
//
//   - Temporal lists workflows that did not end by themselves.
//   - The orders database has open orders that stand still, also if Temporal has deleted their workflow.
//   - Inventory has pending reservations past their deadline, also of orders that have ended.
//
// For each, a new run of its workflow starts with the input of the last run, unless one is running. The new run goes on
// from what the systems have recorded (takeover.go) and brings the order or reservation to its end.
//
// A Temporal Schedule starts Adoption every minute. A place that does not answer does not keep Adoption from the
// others.
func Adoption(ctx workflow.Context, in orderflow.AdoptionInput) (orderflow.AdoptionResult, error) {
	var all orderflow.AdoptionResult
	var failure error
	for _, place := range []struct{ activity, summary string }{
		{orderflow.AdoptStopped, "take up workflows that were terminated, failed or timed out"},
		{orderflow.AdoptUnended, "take up open orders that stand still after their deadline"},
		{orderflow.AdoptReservations, "take up the owners of overdue reservations"},
	} {
		ctx := workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			StartToCloseTimeout: adoptionTimeout,
			RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: adoptionAttempts},
			Summary:             place.summary,
		})
		var found orderflow.AdoptionResult
		if err := workflow.ExecuteActivity(ctx, place.activity, in).Get(ctx, &found); err != nil {
			failure = err
			continue
		}
		all.Add(found)
	}
	return all, failure
}
