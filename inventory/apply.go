package inventory

import (
	"context"
	"math/rand/v2"
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
// An error that is nobody's race (a constraint that one of the requests broke) splits the batch, so
// that the request at fault fails alone.
func (s *Service) apply(ctx context.Context, batch []stock.Request) []answer {
	answers := make([]answer, len(batch))
	if len(batch) == 0 {
		return answers
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	s.settle(ctx, batch, answers)
	took := time.Since(start)
	for i, r := range batch {
		s.metrics.done(r.Kind(), answers[i], took)
	}
	return answers
}

// settle fills the answers, splitting the batch where it must.
func (s *Service) settle(ctx context.Context, batch []stock.Request, answers []answer) {
	err := s.attempt(ctx, batch, answers)
	if err == nil {
		return
	}
	if class := store.Classify(err); len(batch) > 1 && (class == store.Other || class == store.OperationTaken) {
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
	reconnects := 0
	for n := 1; ; n++ {
		err := s.store.Decide(ctx, reads, func(book *stock.Book) (stock.Changes, error) {
			for i, r := range batch {
				value, err := book.Apply(r)
				if err == stock.ErrStale { //nolint:errorlint // a sentinel that is never wrapped
					return stock.Changes{}, err
				}
				answers[i] = answer{value, err}
			}
			return book.Changes(), nil
		})
		if err == nil {
			return nil
		}
		switch store.Classify(err) {
		case store.Conflict:
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
		default:
			return err
		}
		if n == maxAttempts || !pause(ctx, n) {
			return err
		}
	}
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
