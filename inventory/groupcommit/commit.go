package groupcommit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

// applyTimeout bounds the time in which a batch is decided, with all its attempts.
const applyTimeout = 10 * time.Second

// lockPolicy determines what happens to a batch if another transaction holds a lock on its stock.
type lockPolicy int

const (
	// regroupOnLock waits for the lock once and then leaves the batch undecided.
	regroupOnLock lockPolicy = iota
	// refuseOnLock waits for the lock twice and then refuses the requests.
	refuseOnLock
)

// outcome is the result of a batch.
type outcome int

const (
	// decided means that each task has its answer.
	decided outcome = iota
	// refusedByLock means that the committer refused each task, because another transaction holds a lock on the stock.
	refusedByLock
	// undecided means that the batch changed nothing, because another transaction holds a lock on some of the stock.
	undecided
)

// committer decides batches and commits what they change.
type committer struct {
	store     Store
	log       *slog.Logger
	metrics   *metrics
	committed func(*stock.Book)
	repeats   repeats
}

// commit decides a batch and commits its changes. No caller's context ends it, because a batch has several callers.
func (c *committer) commit(tasks []Task, onLock lockPolicy) outcome {
	ctx, cancel := context.WithTimeout(context.Background(), applyTimeout)
	defer cancel()
	c.metrics.batch.Observe(float64(len(tasks)))
	err := c.attempt(ctx, tasks, onLock)
	switch {
	case err == nil:
		return decided
	case store.Classify(err) != store.Blocked:
		c.bisect(ctx, tasks, err)
		return decided
	case onLock == regroupOnLock:
		return undecided
	default:
		c.fail(ctx, tasks, err)
		return refusedByLock
	}
}

// bisect answers the tasks of a batch that failed with err. If one task may be at fault, it decides each half again,
// and so on until that task is alone.
func (c *committer) bisect(ctx context.Context, tasks []Task, err error) {
	class := store.Classify(err)
	if len(tasks) == 1 || class != store.Other && class != store.OperationTaken {
		c.fail(ctx, tasks, err)
		return
	}
	middle := len(tasks) / 2
	for _, half := range [][]Task{tasks[:middle], tasks[middle:]} {
		if err := c.attempt(ctx, half, refuseOnLock); err != nil {
			c.bisect(ctx, half, err)
		}
	}
}

// fail answers every task with what err means for its caller.
func (c *committer) fail(ctx context.Context, tasks []Task, err error) {
	err = c.explain(ctx, err)
	for _, t := range tasks {
		t.fail(err)
	}
}

// attempt decides and commits the batch, and does so again after a lost race or connection, within bounds.
func (c *committer) attempt(ctx context.Context, tasks []Task, onLock lockPolicy) error {
	thorough := *mergeReads(tasks)
	// The first attempt skips two look-ups: of new reservations, unless a reserve was repeated lately, and of their
	// owners' numbers. If a reserve is a repeat, a unique key refuses it, and the next attempt reads what exists.
	reads := thorough
	reads.Owners = nil
	if !c.repeats.recent() {
		reads.Reserves = nil
	}
	reconnects := 0
	for n := 1; ; n++ {
		err := c.transact(ctx, tasks, reads)
		class := store.Classify(err)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errNotLookedUp):
			c.repeats.note()
			reads = thorough
			continue
		case class == store.Conflict:
			if store.ReservationExists(err) {
				c.repeats.note()
			}
			c.metrics.retries.WithLabelValues("conflict").Inc()
		case class == store.OperationTaken:
			// Another call of the same operation may have committed first: then a fresh read shows it. The second time,
			// the id belongs to a different operation.
			if n > 1 {
				return err
			}
			c.metrics.retries.WithLabelValues("conflict").Inc()
		case class == store.Disconnected:
			if reconnects++; reconnects > maxReconnects {
				return err
			}
			c.metrics.retries.WithLabelValues("disconnected").Inc()
		case class == store.Blocked:
			c.metrics.retries.WithLabelValues("blocked").Inc()
			if onLock == regroupOnLock || n > 1 {
				return err
			}
		default:
			return err
		}
		reads = thorough
		if n == maxAttempts || !pause(ctx, n) {
			return err
		}
	}
}

// errNotLookedUp means that the batch refuses a reserve whose reservation may exist, because the attempt did not look
// it up. The batch must be decided again with a look-up.
var errNotLookedUp = errors.New("a reserve would be refused without a look-up of its reservation")

// transact decides the tasks in one transaction and commits their changes.
func (c *committer) transact(ctx context.Context, tasks []Task, reads stock.Reads) error {
	var read *stock.Book
	err := c.store.Decide(ctx, reads, func(book *stock.Book) (stock.Changes, error) {
		read = book
		if err := decideAll(book, tasks); err != nil {
			return stock.Changes{}, err
		}
		if reads.Reserves == nil && anyReserveRefused(tasks) {
			return stock.Changes{}, errNotLookedUp
		}
		return book.Changes(), nil
	})
	// After a lost connection, the transaction may have been committed.
	if err == nil || store.Classify(err) == store.Disconnected && !errors.Is(err, errNotLookedUp) {
		c.committed(read)
	}
	return err
}

// decideAll decides the tasks in order. A panic in a rule becomes an error, so that it fails one request and not the
// process with its other callers.
func decideAll(book *stock.Book, tasks []Task) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{v, debug.Stack()}
		}
	}()
	for _, t := range tasks {
		if err := t.decide(book); err != nil {
			return err
		}
	}
	return nil
}

// panicError is a panic in a rule.
type panicError struct {
	value any
	stack []byte
}

// Is makes store.Classify treat it as a fault of the request.
func (e *panicError) Is(target error) bool { return target == store.ErrFault }

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

func anyReserveRefused(tasks []Task) bool {
	for _, t := range tasks {
		if len(t.reads().Reserves) > 0 && t.err() != nil {
			return true
		}
	}
	return false
}

// errDryRun ends the transaction of a rehearsal.
var errDryRun = errors.New("dry run")

// rehearse decides tasks as commit would and writes nothing. A task that is at fault, or whose stock another
// transaction has locked, fails alone. The error means that the database does not answer.
func (c *committer) rehearse(ctx context.Context, tasks []Task) error {
	if len(tasks) == 0 {
		return nil
	}
	reads := *mergeReads(tasks)
	for n := 1; ; n++ {
		err := c.store.Decide(ctx, reads, func(book *stock.Book) (stock.Changes, error) {
			if err := decideAll(book, tasks); err != nil {
				return stock.Changes{}, err
			}
			return stock.Changes{}, errDryRun
		})
		if errors.Is(err, errDryRun) {
			return nil
		}

		switch class := store.Classify(err); {
		case class == store.Conflict && n < maxAttempts && pause(ctx, n):
			continue
		case class == store.Disconnected:
			return &inventoryapi.UnavailableError{Cause: err}
		case len(tasks) == 1:
			tasks[0].fail(c.explain(ctx, err))
			return nil
		}

		middle := len(tasks) / 2
		if err := c.rehearse(ctx, tasks[:middle]); err != nil {
			return err
		}
		return c.rehearse(ctx, tasks[middle:])
	}
}

// explain turns the failure of a batch that cannot be bisected further into the caller's error.
func (c *committer) explain(ctx context.Context, err error) error {
	switch store.Classify(err) {
	case store.Blocked:
		return inventoryapi.Errorf(inventoryapi.VersionConflict, "",
			"another transaction holds a lock on this stock; send the same request again")
	case store.Conflict:
		return inventoryapi.Errorf(inventoryapi.VersionConflict, "",
			"other requests kept changing this stock; send the same request again")
	case store.OperationTaken:
		return inventoryapi.Errorf(inventoryapi.AlreadyExists, "operation_id",
			"the operation_id was already used for a different request; send a new operation_id")
	case store.Disconnected:
		if ctx.Err() == nil {
			c.log.WarnContext(ctx, "the database does not answer", "error", err)
		}
		return &inventoryapi.UnavailableError{Cause: err}
	default:
		return err // an internal error, which the HTTP server logs
	}
}
