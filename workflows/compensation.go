package workflows

import "go.temporal.io/sdk/workflow"

// compensation is the list of what must be undone when an order cannot be carried out. An undo is
// added before its step runs, because a step whose answer was lost may have taken effect.
type compensation struct {
	undos []undo
	round int // changes with reset
}

// undo takes one step back. It is idempotent. With brief set it gives up soon when it gets no answer;
// without, it returns only when the outcome is known.
type undo struct {
	name string
	run  func(ctx workflow.Context, brief bool) error
}

func (c *compensation) add(name string, run func(workflow.Context, bool) error) {
	c.undos = append(c.undos, undo{name, run})
}

// forget drops the undo added last, when its step is known not to have taken effect.
func (c *compensation) forget() { c.undos = c.undos[:len(c.undos)-1] }

// replace puts another way to undo in the place of the one added last.
func (c *compensation) replace(name string, run func(workflow.Context, bool) error) {
	c.forget()
	c.add(name, run)
}

// reset drops all undos. If an undo calls it, no other undo runs after that one.
func (c *compensation) reset() {
	c.undos = nil
	c.round++
}

// empty reports whether there is nothing to undo.
func (c *compensation) empty() bool { return len(c.undos) == 0 }

// attempt undoes, last first, what can be undone at once. An undo without an answer stays on the list, so
// that an order can end while inventory or the payment provider is down. It calls failed for each undo
// that is refused.
func (c *compensation) attempt(ctx workflow.Context, failed func(ctx workflow.Context, name string, err error)) {
	c.each(ctx, true, failed)
}

// finish undoes the rest, last first, each for as long as it takes.
func (c *compensation) finish(ctx workflow.Context, failed func(ctx workflow.Context, name string, err error)) {
	c.each(ctx, false, failed)
}

// each runs on a context that a cancellation of the workflow does not reach.
func (c *compensation) each(
	ctx workflow.Context,
	brief bool,
	failed func(ctx workflow.Context, name string, err error),
) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()

	var left []undo
	round := c.round
	for i := len(c.undos) - 1; i >= 0; i-- {
		u := c.undos[i]
		err := u.run(ctx, brief)
		if c.round != round {
			return
		}
		if brief && err != nil && !isFinal(err) {
			left = append([]undo{u}, left...)
		} else if err != nil {
			failed(ctx, u.name, err)
		}
	}
	c.undos = left
}
