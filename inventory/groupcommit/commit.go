package groupcommit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
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
	// regroupOnLock waits for the lock once. Then the batch stays undecided, and the queue forms new batches of its
	// submissions.
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
	store    Store
	log      *slog.Logger
	metrics  *metrics
	onCommit func(*stock.Book) // Options.Committed
	repeats  repeats
}

// commit decides a batch and commits its changes. No caller's context ends it, because a batch has several callers.
func (c *committer) commit(ctx context.Context, tasks []Task, onLock lockPolicy) outcome {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	c.metrics.batch.Observe(float64(len(tasks)))

	err := c.attempt(ctx, tasks, onLock)
	if err == nil {
		return decided
	}

	if store.Classify(err) == store.Blocked {
		if onLock == regroupOnLock {
			return undecided
		}
		c.fail(ctx, tasks, err)
		return refusedByLock
	}

	c.bisect(ctx, tasks, err)
	return decided
}

// bisect answers the tasks of a batch that failed with err. If one task may be at fault, bisect decides each half of
// the batch again, until that task fails alone. Otherwise all tasks fail.
func (c *committer) bisect(ctx context.Context, tasks []Task, err error) {
	if len(tasks) == 1 || !oneTaskAtFault(err) {
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

// oneTaskAtFault reports whether one task of a batch may have caused err, so that the other tasks can succeed without
// it.
func oneTaskAtFault(err error) bool {
	class := store.Classify(err)
	return class == store.Other || class == store.OperationTaken
}

// fail refuses every task with the error that err means for its caller.
func (c *committer) fail(ctx context.Context, tasks []Task, err error) {
	err = c.explain(ctx, err)
	for _, t := range tasks {
		t.fail(err)
	}
}

// attempt decides and commits the batch. After a conflict or a lost connection it tries again, and after a lock of
// another transaction if onLock is refuseOnLock. It makes at most maxAttempts attempts.
//
// If a reserve falls short and overdue reservations hold its stock, it tries again at once, and reads and locks those
// reservations with everything else. A second attempt is needed because a transaction locks all its items in one order.
// So it does if a decision about backorders needs more products or backorders.
func (c *committer) attempt(ctx context.Context, tasks []Task, onLock lockPolicy) error {
	allReads := *mergeReads(tasks)
	reads := c.firstReads(allReads)
	reconnects, takeBacks := 0, 0

	for n := 1; ; n++ {
		err := c.transact(ctx, tasks, reads)
		if err == nil {
			return nil
		}
		reads = allReads

		if errors.Is(err, errNotLookedUp) { // before Classify, which takes an unknown error for a lost connection
			c.repeats.note()
			continue
		}

		var overdue *store.OverdueError
		if errors.As(err, &overdue) {
			allReads.Reservations = slices.Concat(allReads.Reservations, overdue.Reservations)
			reads = allReads
			if takeBacks++; takeBacks <= maxTakeBacks {
				c.countRetry("overdue")
				n--
				continue
			}
		}

		var more *stock.MoreError
		if errors.As(err, &more) {
			allReads.Products = slices.Concat(allReads.Products, more.Products)
			allReads.Backorders = slices.Concat(allReads.Backorders, more.Backorders)
			reads = allReads
			if takeBacks++; takeBacks <= maxTakeBacks {
				c.countRetry("backorders")
				n--
				continue
			}
		}

		switch store.Classify(err) {
		case store.Conflict:
			if store.ReservationExists(err) {
				c.repeats.note()
			}
			c.countRetry("conflict")
		case store.OperationTaken:
			// Another call of the same operation may have committed first. Then the next attempt reads its entries and
			// answers as it did. If the id is still taken, it belongs to a different operation.
			if n > 1 {
				return err
			}
			c.countRetry("conflict")
		case store.Disconnected:
			if reconnects++; reconnects > maxReconnects {
				return err
			}
			c.countRetry("disconnected")
		case store.Blocked:
			c.countRetry("blocked")
			if onLock == regroupOnLock || n > 1 {
				return err
			}
		default:
			return err
		}

		if n == maxAttempts || !pause(ctx, n) {
			return err
		}
	}
}

// firstReads returns what the first attempt reads. Most reserves are new, so the first attempt looks up neither their
// reservations nor their owners' numbers: a unique key refuses a repeated reserve, and the next attempt reads all. For
// a while after a repeated reserve, the first attempt looks up the reservations too.
func (c *committer) firstReads(all stock.Reads) stock.Reads {
	if len(all.Backorders) > 0 { // few; and no key refuses a backorder whose id or number a reservation has
		return all
	}
	all.Owners = nil
	if !c.repeats.recent() {
		all.Reserves = nil
	}
	return all
}

func (c *committer) countRetry(cause string) { c.metrics.retries.WithLabelValues(cause).Inc() }

// errNotLookedUp means that a reserve would be refused although the attempt did not look for its reservation. The batch
// must be decided again with the look-up, because a repeated reserve must get its first answer.
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
	if errors.Is(err, errNotLookedUp) {
		return err // the transaction was rolled back
	}

	// If the connection was lost, the transaction may have been committed.
	if err == nil || store.Classify(err) == store.Disconnected {
		c.onCommit(read)
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

// errDryRun makes the store roll back a dry run.
var errDryRun = errors.New("dry run")

// dryRun decides tasks as commit would and writes nothing. A task that is at fault, or whose stock another transaction
// has locked, fails alone. The error means that the database does not answer.
func (c *committer) dryRun(ctx context.Context, tasks []Task) error {
	if len(tasks) == 0 {
		return nil
	}

	err := c.attemptDryRun(ctx, tasks)
	switch {
	case err == nil:
		return nil
	case store.Classify(err) == store.Disconnected:
		return &inventoryapi.UnavailableError{Cause: err}
	case len(tasks) == 1:
		tasks[0].fail(c.explain(ctx, err))
		return nil
	}

	middle := len(tasks) / 2
	if err := c.dryRun(ctx, tasks[:middle]); err != nil {
		return err
	}
	return c.dryRun(ctx, tasks[middle:])
}

// attemptDryRun decides the tasks in one transaction and rolls it back. After a conflict it tries again.
func (c *committer) attemptDryRun(ctx context.Context, tasks []Task) error {
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
		if store.Classify(err) != store.Conflict || n == maxAttempts || !pause(ctx, n) {
			return err
		}
	}
}

// explain returns the error that the caller of a failed task gets.
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
		if ctx.Err() == nil { // otherwise time was up or the caller left
			c.log.WarnContext(ctx, "the database does not answer", "error", err)
		}
		return &inventoryapi.UnavailableError{Cause: err}
	default:
		return err // an internal error, which the HTTP server logs
	}
}
