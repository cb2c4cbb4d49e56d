package inventory

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
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
// An error that is nobody's race (a constraint that one of the requests broke, stock that somebody else
// holds a lock on) splits the batch, so that the request at fault fails alone.
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

// commit has a batch decided and committed. It does not end with a caller: the others want theirs.
func (s *Service) commit(batch []stock.Request, answers []answer) {
	ctx, cancel := context.WithTimeout(context.Background(), applyTimeout)
	defer cancel()
	s.metrics.batch.Observe(float64(len(batch)))
	s.settle(ctx, batch, answers)
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

// settle fills the answers, splitting the batch where it must.
func (s *Service) settle(ctx context.Context, batch []stock.Request, answers []answer) {
	err := s.attempt(ctx, batch, answers)
	if err == nil {
		return
	}
	if alone := store.Classify(err); len(batch) > 1 && (alone == store.Other || alone == store.OperationTaken || alone == store.Blocked) {
		half := len(batch) / 2
		s.settle(ctx, batch[:half], answers[:half])
		s.settle(ctx, batch[half:], answers[half:])
		return
	}
	err = s.explain(ctx, err)
	for i := range answers {
		answers[i] = answer{err: err}
	}
}

// attempt decides and commits the batch, again after a lost race, within bounds.
func (s *Service) attempt(ctx context.Context, batch []stock.Request, answers []answer) error {
	var reads stock.Reads
	for _, r := range batch {
		r.Reads(&reads)
	}
	// Nobody but a faulty caller uses an owner's number twice, so it is not looked up at first: its
	// unique key finds out, and the next attempt reads who has it.
	owners := reads.Owners
	reads.Owners = nil
	reconnects := 0
	for n := 1; ; n++ {
		var changes stock.Changes
		err := s.store.Decide(ctx, reads, func(book *stock.Book) (stock.Changes, error) {
			var err error
			changes, err = decide(book, batch, answers)
			return changes, err
		})
		if err == nil || store.Classify(err) == store.Disconnected { // the commit may have happened
			s.changed(written(changes))
		}
		if err == nil {
			return nil
		}
		switch store.Classify(err) {
		case store.Conflict:
			reads.Owners = owners
			s.metrics.retries.WithLabelValues("conflict").Inc()
		case store.OperationTaken:
			// Another call of the same operation may have been first: then a fresh read shows it. A second
			// time, the id belongs to another operation.
			if n > 1 {
				return err
			}
			s.metrics.retries.WithLabelValues("conflict").Inc()
		case store.Disconnected:
			if reconnects++; reconnects > maxReconnects {
				return err
			}
			s.metrics.retries.WithLabelValues("disconnected").Inc()
		case store.Blocked:
			if len(batch) > 1 {
				return err
			}
			s.metrics.retries.WithLabelValues("blocked").Inc()
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
	case store.Conflict, store.Blocked:
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
