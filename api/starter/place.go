package starter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivelimiter"
	"github.com/google/uuid"

	"holdfast/internal/orderstore"
	"holdfast/workflows/orderflow"
)

// Admit waits until the caller may read for an order and insert it. The caller calls leave afterwards; more calls do
// nothing. If too many others are inserting orders, Admit returns ErrBusy after insertWait.
func (s *Starter) Admit(ctx context.Context) (leave func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, insertWait)
	defer cancel()
	if err := s.inserts.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return sync.OnceFunc(func() { s.inserts.Release(1) }), nil
}

// Placed is an order that Place has found to be inserted.
type Placed struct {
	// New reports whether Place has inserted the order. If it is false, the order has a row already.
	New bool
	// Number is the number of a new order.
	Number string

	starter *Starter
	id      uuid.UUID
	result  chan Result
	likely  func(time.Duration) bool // whether the workflow is likely to record the order within the time
}

// Result is what is known of an order that was placed.
type Result struct {
	// View is the order as its workflow has recorded it, or nil if the workflow has not answered yet.
	View *orderflow.View
	// Err is final: the workflow has refused the order, or has ended without recording it.
	Err error
}

// Place inserts the order and has its workflow started.
//
// If it returns ErrFull or a *orderstore.HoardingError, the order is not inserted. After any other error it is not
// known whether it is.
func (s *Starter) Place(ctx context.Context, in orderflow.OrderInput) (placed Placed, err error) {
	var permit adaptivelimiter.Permit
	direct := false
	if !s.behind.Load() {
		permit, direct = s.limiter.TryAcquirePermit()
	}
	if !direct {
		if s.waiting.Load() >= int64(s.max) {
			return Placed{}, ErrFull
		}
		s.behind.Store(true)
	}

	result := s.expect(in.OrderID)
	defer func() {
		if placed.result == nil {
			s.forget(in.OrderID, result)
		}
	}()
	insertCtx, cancel := context.WithTimeout(ctx, storeTimeout)
	number, err := s.store.Place(insertCtx, in, direct)
	cancel()
	if direct && (err != nil || number == "") {
		permit.Drop()
	}
	var hoarding *orderstore.HoardingError
	if err != nil && !errors.As(err, &hoarding) {
		// The database may have inserted the order. The lease would then keep every starter from it.
		s.spawn(func() { s.giveBack(in.OrderID, 0) })
	}
	if err != nil {
		return Placed{}, err
	}
	if number == "" {
		return Placed{}, nil
	}
	in.Number = number

	placed = Placed{New: true, Number: number, starter: s, id: in.OrderID, result: result}
	if !direct {
		ahead := s.waiting.Add(1)
		s.poke()
		placed.likely = func(wait time.Duration) bool {
			return !s.failing.Load() && s.estimate(ahead) <= wait/rushFactor
		}
		return placed, nil
	}
	started := s.spawn(func() { s.start(s.causedBy(ctx), permit, orderstore.Start{Input: in, Attempts: 1}) })
	if !started {
		permit.Drop()
		s.giveBack(in.OrderID, 0) // this process stops
	}
	placed.likely = func(time.Duration) bool { return started }
	return placed, nil
}

// Await waits until the workflow of a new order has recorded it, for the given time at most. If it is likely to take
// longer, because others wait before the order, Await does not wait. It is called once.
func (p Placed) Await(ctx context.Context, wait time.Duration) Result {
	if !p.New {
		return Result{}
	}
	defer p.starter.forget(p.id, p.result)
	if !p.likely(wait) {
		return Result{}
	}
	select {
	case out := <-p.result:
		return out
	case <-time.After(wait):
	case <-ctx.Done():
	}
	return Result{}
}
