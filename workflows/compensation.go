package workflows

import "go.temporal.io/sdk/workflow"

// compensation is the list of what must be undone when an order cannot be carried out. An undo is
// added before its step runs, because a step whose answer was lost may have taken effect.
type compensation struct {
	undos []undo
}

type undo struct {
	name string
	run  func(workflow.Context) error
}

func (c *compensation) add(name string, run func(workflow.Context) error) {
	c.undos = append(c.undos, undo{name, run})
}

// forget drops the undo added last, when its step is known not to have taken effect.
func (c *compensation) forget() { c.undos = c.undos[:len(c.undos)-1] }

// run undoes everything, last first, on a context that a cancellation of the workflow does not reach.
// Each undo retries until its outcome is known; one that is refused is handed to failed, and the
// others still run.
func (c *compensation) run(ctx workflow.Context, failed func(name string, err error)) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	for len(c.undos) > 0 {
		u := c.undos[len(c.undos)-1]
		c.undos = c.undos[:len(c.undos)-1]
		if err := u.run(ctx); err != nil {
			failed(u.name, err)
		}
	}
}
