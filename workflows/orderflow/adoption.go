package orderflow

import "errors"

// AdoptionWorkflow is the type of the workflow that a Temporal Schedule runs every minute. It takes up orders and
// reservations whose workflow was ended from outside.
const AdoptionWorkflow = "Adoption"

// AdoptionSchedule is the id of the schedule, and the beginning of the workflow ids of its runs.
const AdoptionSchedule = "adoption"

// Activities of the adoption, by the names they are registered under.
const (
	AdoptStopped      = "AdoptStopped"
	AdoptUnended      = "AdoptUnended"
	AdoptReservations = "AdoptReservations"
)

// ErrForgotten says that Temporal has deleted a workflow and its input.
var ErrForgotten = errors.New("the workflow was deleted")

// AdoptionInput bounds one run of the adoption.
type AdoptionInput struct {
	// GraceSeconds is how long a deadline must have passed, or an order must have stood still, before it counts as left
	// behind: its workflow may only be slow.
	GraceSeconds int `json:"grace_seconds"`
	// LookBackSeconds is how long ago a workflow may have been ended from outside to be looked at. Older ones are found
	// by their deadline.
	LookBackSeconds int `json:"look_back_seconds"`
	// Limit is how many orders and reservations each of the activities takes up at most.
	Limit int `json:"limit"`
}

// AdoptionResult counts what one run of the adoption, or one of its activities, has found.
type AdoptionResult struct {
	TakenUp int `json:"taken_up"` // a new run of the workflow was started
	Expired int `json:"expired"`  // a reservation without a workflow to start was expired
	Failed  int `json:"failed"`   // neither succeeded; the next run of the adoption tries again
}

// Add adds the counts of another result.
func (r *AdoptionResult) Add(other AdoptionResult) {
	r.TakenUp += other.TakenUp
	r.Expired += other.Expired
	r.Failed += other.Failed
}
