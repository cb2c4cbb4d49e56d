package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"holdfast/workflows/orderflow"
)

// mailbox queues the commands for a workflow's loop. An update handler puts a command in and waits for its result. The
// loop runs the commands one at a time; next also wakes the loop for its deadline. I names the kind of a command.
type mailbox[I comparable] struct {
	commands []*command[I]
	// urgent reports whether the loop must do something else before the next command. nil means never.
	urgent func() bool
}

// command is one request, on its way from an update handler to the loop and back.
type command[I comparable] struct {
	input         I // the kind of the command
	actor, reason string
	cause         orderflow.Cause
	run           func(workflow.Context) error // the loop calls it
	early         func() bool                  // while the command runs: the client gets an answer now; nil means never
	done          bool
	err           error // of run, once done
}

// ask puts a command in, waits until the loop has run it, and returns the command's error. It keeps waiting when the
// workflow is cancelled, because the client still needs an answer.
func (m *mailbox[I]) ask(ctx workflow.Context, c *command[I]) error {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()

	c.cause = orderflow.CauseOf(ctx)
	m.put(c)
	early := func() bool { return c.early != nil && len(m.commands) > 0 && m.commands[0] == c && c.early() }
	if err := workflow.Await(ctx, func() bool { return c.done || early() }); err != nil {
		return err
	}
	return c.err
}

func (m *mailbox[I]) put(c *command[I]) { m.commands = append(m.commands, c) }

func (m *mailbox[I]) empty() bool { return len(m.commands) == 0 }

// unfinished returns the first command of a kind that is queued or running, or nil.
func (m *mailbox[I]) unfinished(input I) *command[I] {
	for _, c := range m.commands {
		if c.input == input {
			return c
		}
	}
	return nil
}

// runFirst runs the first command to its end, even if the workflow is cancelled meanwhile. Otherwise the command could
// stop after a step that moves stock or money and before the workflow knows the outcome of that step.
func (m *mailbox[I]) runFirst(ctx workflow.Context) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()

	c := m.commands[0]
	c.err = c.run(orderflow.CausedBy(ctx, c.cause))
	c.done = true
	m.commands = m.commands[1:]
}

// runFirstUnless is runFirst, unless the state has changed so that the command is refused now.
func (m *mailbox[I]) runFirstUnless(ctx workflow.Context, refused func(*command[I]) error) {
	c := m.commands[0]
	if err := refused(c); err != nil {
		c.err, c.done = err, true
		m.commands = m.commands[1:]
		return
	}
	m.runFirst(ctx)
}

// answerRest finishes every queued command without running it. answer returns the command's error.
func (m *mailbox[I]) answerRest(answer func(*command[I]) error) {
	for _, c := range m.commands {
		c.err, c.done = answer(c), true
	}
	m.commands = nil
}

// wake is what the loop woke up for.
type wake int

const (
	wakeUrgent wake = iota
	wakeCommand
	wakeDeadline
	wakeCancelled // the workflow itself was cancelled
)

// next waits until the loop has something to do. If both a command and the deadline are there, the command comes first:
// inventory's clock decides whether a command is too late, and the workflow's clock does not.
//
// next computes the timer's duration from the absolute deadline each time. When another input comes first, next cancels
// the timer. A timer that is started and cancelled in one workflow task leaves no event in the history.
func (m *mailbox[I]) next(ctx workflow.Context, deadline time.Time, summary string) wake {
	timerCtx, stop := workflow.WithCancel(ctx)
	defer stop()
	untilDeadline := deadline.Sub(workflow.Now(ctx))
	timer := workflow.NewTimerWithOptions(timerCtx, untilDeadline, workflow.TimerOptions{
		Summary: timerName(summary, deadline),
	})

	due := func() bool { return timer.IsReady() && ctx.Err() == nil } // a cancelled timer is ready too
	urgent := func() bool { return m.urgent != nil && m.urgent() }
	err := workflow.Await(ctx, func() bool { return urgent() || !m.empty() || due() })
	switch {
	case urgent():
		return wakeUrgent
	case err != nil:
		return wakeCancelled
	case !m.empty():
		return wakeCommand
	}
	return wakeDeadline
}

// Inventory's clock can be behind the workflow's clock. Inventory then answers ErrNotDue, and the workflow asks again
// after a pause. The pause doubles from firstEarlyPause to maxEarlyPause.
const (
	firstEarlyPause = 100 * time.Millisecond
	maxEarlyPause   = 5 * time.Second
)

// wakeAt returns when the workflow asks inventory to expire a reservation: at the deadline, or after a pause if
// inventory has answered ErrNotDue. early is how many times in a row it has.
func wakeAt(ctx workflow.Context, deadline time.Time, early int) time.Time {
	if early == 0 {
		return deadline
	}
	pause := min(firstEarlyPause<<min(early-1, 10), maxEarlyPause)
	soonest := workflow.Now(ctx).Add(pause)
	if soonest.After(deadline) {
		return soonest
	}
	return deadline
}
