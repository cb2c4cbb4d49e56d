package orderflow

import "slices"

// How an operator repairs an order or a reservation. The api keeps a record of every repair.
const (
	// RepairRetryNow attempts the steps at once that wait for their next attempt.
	RepairRetryNow = "retry_now"
	// RepairSkipStep goes on as if a step had succeeded, because an operator did it by hand (SkipStepInput).
	RepairSkipStep = "skip_step"
	// RepairForceRelease ends what cannot go on, so that its stock and money go back.
	RepairForceRelease = "force_release"
	// RepairAdopt starts a run of the workflow again if none runs.
	RepairAdopt = "adopt"
)

// ByHand is the provider of a payment step that an operator did by hand.
const ByHand = "by_hand"

// StepRule says whether an operator may skip a step of an order.
type StepRule struct {
	Step      string // the activity
	Skippable bool
	Why       string // why it may be skipped; or why it may not, and what to do instead
}

// stepRules has every step that an order waits for. A step may be skipped only if an operator can do it by hand and if
// its outcome decides about no stock.
var stepRules = []StepRule{
	{VoidPayment, true, "an operator can free the money at the provider by hand"},
	{RefundPayment, true, "an operator can give the money back by hand"},

	{ReserveStock, false, "without a reservation the order could sell stock that is not there; cancel the order"},
	{ReserveOrWait, false, "without a reservation the order could sell stock that is not there; cancel the order"},
	{ReplaceReservation, false, "the new lines would have no stock; bring inventory back and use retry_now"},
	{ExtendReservation, false, "the order would count on stock that is not held any more; it gives up by itself"},
	{ConfirmReservation, false, "the money would be taken without the stock; bring inventory back and use retry_now"},
	{ReleaseStock, false, "the stock would stay reserved for ever; bring inventory back and use retry_now"},
	{ExpireReservation, false, "the stock would stay reserved for ever; bring inventory back and use retry_now"},
	{ReturnStock, false, "the stock would be missing from the books; bring inventory back and use retry_now"},
	{ReturnUnits, false, "the stock would be missing from the books; bring inventory back and use retry_now"},
	{WriteOffStock, false, "stock that is not there would be sold; bring inventory back and use retry_now"},
	{AuthorisePayment, false, "no money would cover the order; it gives up by itself, and the customer can pay again"},
	{CapturePayment, false, "the goods would leave without the money; bring the provider back and use retry_now"},
	{FindPayment, false, "whether the money was taken would not be known; bring the provider back and use retry_now"},
	{FindRefund, false, "the money could go back twice; bring the provider back and use retry_now"},
	{RecordOrder, false, "the order's row would not say what happened; bring the orders database back and use retry_now"},
	{FindOrder, false, "the order could do again what was done; bring the orders database back and use retry_now"},
}

// RuleOfStep returns the rule of a step; found is false if an order has no such step.
func RuleOfStep(step string) (rule StepRule, found bool) {
	at := slices.IndexFunc(stepRules, func(r StepRule) bool { return r.Step == step })
	if at < 0 {
		return rule, false
	}
	return stepRules[at], true
}

// SkippableSteps lists the steps that an operator may skip.
func SkippableSteps() []string {
	var out []string
	for _, r := range stepRules {
		if r.Skippable {
			out = append(out, r.Step)
		}
	}
	return out
}

// SkipStepInput tells an order that an operator did a step by hand.
type SkipStepInput struct {
	Step      string `json:"step"`
	Reference string `json:"reference"` // how the provider, or the bank, names what the operator did
	// AmountMinor is what was given back, of a refund; Attempt is the attempt of the payment, of a void. They must be
	// those of the step under way: meanwhile the order may wait for another one.
	AmountMinor   int64  `json:"amount_minor,omitempty"`
	Attempt       int    `json:"attempt,omitempty"`
	Actor         string `json:"actor"`
	CorrelationID string `json:"correlation_id,omitempty"`
	Repair        string `json:"repair,omitempty"` // the id of the repair; the same in every repeat of the request
}

// RefundByHand says that an operator made the refund which an order owes that has ended. The number of the refund keeps
// a later run with the same input from taking another refund for it.
type RefundByHand struct {
	Number      int    `json:"number"`
	AmountMinor int64  `json:"amount_minor"` // nothing is booked if the order owes another amount
	Reference   string `json:"reference"`
	Actor       string `json:"actor"`
	Repair      string `json:"repair,omitempty"` // the id of the repair
}

// Skip returns the same as the skip of the refund.
func (r RefundByHand) Skip() SkipStepInput {
	return SkipStepInput{
		Step: RefundPayment, Reference: r.Reference, AmountMinor: r.AmountMinor, Actor: r.Actor, Repair: r.Repair,
	}
}

// RunRepair is a repair that starts another run of an order that has ended. The run puts it into the timeline, because
// it may be over before an update could.
type RunRepair struct {
	Actor  string `json:"actor"`
	Action string `json:"action"`
	// After is the sequence number of the order's last entry before the repair. A later run with the same input finds
	// more entries, and does not repeat this one.
	After int64 `json:"after"`
}

// SkipStepResult answers it.
type SkipStepResult struct {
	View View `json:"view"`
}

// NoteRepairInput puts a repair into the timeline that needs nothing of the workflow itself.
type NoteRepairInput struct {
	Actor  string `json:"actor"`
	Action string `json:"action"`
}

// NoteRepairResult answers it.
type NoteRepairResult struct{}
