package inventory

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

// How a batch that lost a race, or its connection, is tried again.
const (
	maxAttempts   = 12
	maxReconnects = 3 // attempts without a usable connection; the caller has its own patience
	firstPause    = time.Millisecond
	maxPause      = 50 * time.Millisecond
	applyTimeout  = 10 * time.Second
)

// answer is what became of one request: its result, or why not.
type answer struct {
	value any
	err   error
}

// apply is the one write path. It decides a batch of requests in order and commits what they change
// together; a refused request changes nothing and stands in nobody's way. Answers are in the order of
// the requests.
//
// A lost race, or a connection lost at whatever moment, is answered by deciding the batch again from
// a fresh read. That is safe even when the commit did happen and only its answer was lost, because
// every request recognises its own work: reserve by the reservation's id and hash, the resolutions by
// the status, extend by the deadline, return and receive by the operation id in the ledger.
//
// An error that is nobody's race (a constraint that one of the requests broke) splits the batch, so that
// the request at fault fails alone. Where somebody else holds a lock, the committer gathers anew.
func (s *Service) apply(ctx context.Context, requests []stock.Request) []answer {
	if len(requests) == 0 {
		return nil
	}
	start := time.Now()
	answers, err := s.committer.submit(ctx, requests)
	if err != nil {
		err = overloaded(err)
		answers = slices.Repeat([]answer{{err: err}}, len(requests))
	}
	took := time.Since(start)
	for i, r := range requests {
		s.metrics.done(r.Kind(), answers[i], took)
	}
	return answers
}

// commit has a batch decided and committed. It does not end with a caller: the others want theirs. With
// others it reports true, and has nothing done, when somebody holds a lock on stock of one of them: then
// each has to be decided without those whom that is nothing to.
func (s *Service) commit(batch []stock.Request, answers []answer, others bool) (blocked bool) {
	ctx, cancel := context.WithTimeout(context.Background(), applyTimeout)
	defer cancel()
	s.metrics.batch.Observe(float64(len(batch)))
	err := s.attempt(ctx, batch, answers, others)
	if store.Classify(err) == store.Blocked {
		if others {
			return true
		}
		s.fail(ctx, answers, err)
		return true
	}
	s.settle(ctx, batch, answers, err)
	return false
}

// errPanic is a fault of ours in a rule. It fails the request at fault alone, as any other would, and
// not the process, whose other callers have done nothing wrong.
type errPanic struct {
	value any
	stack []byte
}

// Is makes it a fault of ours to store.Classify.
func (e *errPanic) Is(target error) bool { return target == store.ErrFault }

func (e *errPanic) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

// settle fills the answers of a batch that was attempted, splitting it where it must.
func (s *Service) settle(ctx context.Context, batch []stock.Request, answers []answer, err error) {
	if err == nil {
		return
	}
	if alone := store.Classify(err); len(batch) > 1 && (alone == store.Other || alone == store.OperationTaken) {
		half := len(batch) / 2
		s.settle(ctx, batch[:half], answers[:half], s.attempt(ctx, batch[:half], answers[:half], false))
		s.settle(ctx, batch[half:], answers[half:], s.attempt(ctx, batch[half:], answers[half:], false))
		return
	}
	s.fail(ctx, answers, err)
}

// fail answers everybody with what an error means for the caller.
func (s *Service) fail(ctx context.Context, answers []answer, err error) {
	err = s.explain(ctx, err)
	for i := range answers {
		answers[i] = answer{err: err}
	}
}

// attempt decides and commits the batch, again after a lost race, within bounds. With others who want
// something else a lock is waited for once, without them twice.
func (s *Service) attempt(ctx context.Context, batch []stock.Request, answers []answer, others bool) error {
	var reads stock.Reads
	for _, r := range batch {
		r.Reads(&reads)
	}
	// A new reservation is looked up only where one was sent again of late, and its owner's number, which
	// nobody but a faulty caller uses twice, never: their unique keys find out, and the next attempt reads
	// what is there. No reserve is refused before it was looked up: it may have been granted long ago.
	thorough := reads
	reads.Owners = nil
	if !s.repeats.recent() {
		reads.Reserves = nil
	}
	reconnects := 0
	for n := 1; ; n++ {
		var book *stock.Book
		err := s.store.Decide(ctx, reads, func(b *stock.Book) (stock.Changes, error) {
			book = b
			changes, err := decide(b, batch, answers)
			if err == nil && reads.Reserves == nil && anyReserveRefused(batch, answers) {
				err = errLookUp
			}
			return changes, err
		})
		if errors.Is(err, errLookUp) {
			s.repeats.seen()
			reads = thorough
			continue
		}
		if err == nil || store.Classify(err) == store.Disconnected { // the commit may have happened
			s.seen(book)
		}
		if err == nil {
			return nil
		}
		switch store.Classify(err) {
		case store.Conflict:
			if store.ReservationExists(err) {
				s.repeats.seen()
			}
			reads = thorough
			s.metrics.retries.WithLabelValues("conflict").Inc()
		case store.OperationTaken:
			// Another call of the same operation may have been first: then a fresh read shows it. A second
			// time, the id belongs to another operation.
			if n > 1 {
				return err
			}
			reads = thorough
			s.metrics.retries.WithLabelValues("conflict").Inc()
		case store.Disconnected:
			reads = thorough // what it had decided may be there now
			if reconnects++; reconnects > maxReconnects {
				return err
			}
			s.metrics.retries.WithLabelValues("disconnected").Inc()
		case store.Blocked:
			s.metrics.retries.WithLabelValues("blocked").Inc()
			if others || n > 1 {
				return err
			}
			reads = thorough
		default:
			return err
		}
		if n == maxAttempts || !pause(ctx, n) {
			return err
		}
	}
}

// decide has the book decide every request in order.
func decide(book *stock.Book, batch []stock.Request, answers []answer) (c stock.Changes, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &errPanic{v, debug.Stack()}
		}
	}()
	for i, r := range batch {
		value, err := book.Apply(r)
		if err == stock.ErrStale { //nolint:errorlint // a sentinel that is never wrapped
			return c, err
		}
		answers[i] = answer{value, err}
	}
	return book.Changes(), nil
}

// errLookUp means that a batch has to be decided again with its reservations looked up.
var errLookUp = errors.New("a reserve would be refused that may have been granted before")

func anyReserveRefused(batch []stock.Request, answers []answer) bool {
	for i, r := range batch {
		if _, ok := r.(stock.Reserve); ok && answers[i].err != nil {
			return true
		}
	}
	return false
}

// repeatsMemory is how long after a request that had been sent before more of them are expected.
const repeatsMemory = time.Second

// repeats remembers when a reserve was last sent again: callers do so when answers are slow or lost, and
// then many do.
type repeats struct{ last atomic.Int64 } // nanoseconds since 1970

func (r *repeats) seen() { r.last.Store(time.Now().UnixNano()) }

func (r *repeats) recent() bool { return time.Now().UnixNano()-r.last.Load() < int64(repeatsMemory) }

// pause waits before attempt n+1, longer each time and with full jitter, so that those who met once
// do not meet again. It reports whether there is time left.
func pause(ctx context.Context, n int) bool {
	limit := min(firstPause<<n, maxPause)
	t := time.NewTimer(time.Duration(rand.Int64N(int64(limit)))) //nolint:gosec // jitter needs no secrecy
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// explain turns the failure of a batch that cannot be split further into the caller's error.
func (s *Service) explain(ctx context.Context, err error) error {
	switch store.Classify(err) {
	case store.Blocked:
		return inventoryapi.Errorf(inventoryapi.VersionConflict, "", "somebody else works on this stock; send the same request again")
	case store.Conflict:
		return inventoryapi.Errorf(inventoryapi.VersionConflict, "", "the stock kept changing meanwhile; send the same request again")
	case store.OperationTaken:
		return inventoryapi.Errorf(inventoryapi.AlreadyExists, "operation_id", "the operation id was used for something else")
	case store.Disconnected:
		if ctx.Err() == nil {
			s.log.WarnContext(ctx, "the database does not answer", "error", err)
		}
		return &inventoryapi.UnavailableError{Cause: err}
	default:
		return err // an internal error; whoever answers the caller logs it
	}
}
