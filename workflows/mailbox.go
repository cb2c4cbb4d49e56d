package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"
)

// mailbox is the input of a workflow's one loop: update handlers put commands in and wait, the loop
// takes them out one at a time, and the timer is one more of its inputs. I is the type that names a
// command's kind.
type mailbox[I comparable] struct {
	commands []*command[I]
	// urgent reports whether the loop has to look after something before it takes the next command; nil: never.
	urgent func() bool
}

// command is one request, on its way from an update handler to the loop and back.
type command[I comparable] struct {
	input         I
	actor, reason string
	run           func(workflow.Context) error // carries it out; runs in the loop
	done          bool
	err           error
}

// ask puts a command in and returns once the loop has carried it out, with the command's error. The
// handler outlives a cancellation of the workflow, because the caller waits for an answer.
func (m *mailbox[I]) ask(ctx workflow.Context, c *command[I]) error {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	m.put(c)
	if err := workflow.Await(ctx, func() bool { return c.done }); err != nil {
		return err
	}
	return c.err
}

func (m *mailbox[I]) put(c *command[I]) { m.commands = append(m.commands, c) }

func (m *mailbox[I]) empty() bool { return len(m.commands) == 0 }

// waiting returns the first command of the kind that is not finished, also the one under way.
func (m *mailbox[I]) waiting(input I) *command[I] {
	for _, c := range m.commands {
		if c.input == input {
			return c
		}
	}
	return nil
}

// take carries out the first command, to its end even when the workflow is cancelled meanwhile: money
// or stock whose fate is not known cannot be left alone.
func (m *mailbox[I]) take(ctx workflow.Context) {
	ctx, cancel := workflow.NewDisconnectedContext(ctx)
	defer cancel()
	c := m.commands[0]
	c.err = c.run(ctx)
	m.commands, c.done = m.commands[1:], true
}

// answerRest ends every command that the loop will not carry out with the answer that settle returns for it.
func (m *mailbox[I]) answerRest(settle func(*command[I]) error) {
	for _, c := range m.commands {
		c.err, c.done = settle(c), true
	}
	m.commands = nil
}

// What a loop woke up for.
type wake int

const (
	wakeUrgent wake = iota
	wakeCommand
	wakeDeadline
	wakeCancelled // the workflow itself was cancelled
)

// next waits for the input that comes first. When several are there at once a command goes before the
// deadline, because inventory's clock, not ours, decides whether it comes too late.
//
// The timer is armed from the absolute deadline, never from a duration that was sent, and is cancelled when
// another input came first. A timer that starts and is cancelled in one workflow task leaves no event.
func (m *mailbox[I]) next(ctx workflow.Context, deadline time.Time, summary string) wake {
	timerCtx, stop := workflow.WithCancel(ctx)
	defer stop()
	untilDeadline := deadline.Sub(workflow.Now(ctx))
	timer := workflow.NewTimerWithOptions(timerCtx, untilDeadline, workflow.TimerOptions{Summary: summary})
	due := func() bool { return timer.IsReady() && ctx.Err() == nil }
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

// Inventory's clock can be behind ours: then it answers that a reservation is not due yet. These are the
// shortest and the longest pause before the workflow asks again.
const (
	firstEarlyPause = 100 * time.Millisecond
	maxEarlyPause   = 5 * time.Second
)

// wakeAt is the deadline, or a little later if inventory has called the last expiries early. early is how
// many there were in a row.
func wakeAt(ctx workflow.Context, deadline time.Time, early int) time.Time {
	if early == 0 {
		return deadline
	}
	soonest := workflow.Now(ctx).Add(min(firstEarlyPause<<min(early-1, 10), maxEarlyPause))
	if soonest.After(deadline) {
		return soonest
	}
	return deadline
}
