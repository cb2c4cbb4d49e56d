package inventory

import (
	"context"
	"errors"

	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

// errDryRun ends a transaction whose decisions were only wanted for show.
var errDryRun = errors.New("dry run")

// rehearse decides a batch as apply would, and writes nothing. A request that is at fault, or whose stock somebody holds
// a lock on, fails alone, as it does there. The error means that the database does not answer.
func (s *Service) rehearse(ctx context.Context, batch []stock.Request) ([]answer, error) {
	var reads stock.Reads
	for _, request := range batch {
		request.Reads(&reads)
	}
	answers := make([]answer, len(batch))
	for n := 1; ; n++ {
		err := s.store.Decide(ctx, reads, func(book *stock.Book) (stock.Changes, error) {
			if _, err := decide(book, batch, answers); err != nil {
				return stock.Changes{}, err
			}
			return stock.Changes{}, errDryRun
		})
		if errors.Is(err, errDryRun) {
			return answers, nil
		}
		switch class := store.Classify(err); {
		case class == store.Conflict && n < maxAttempts && pause(ctx, n):
			continue
		case class == store.Disconnected:
			return nil, unavailable(err)
		case len(batch) == 1:
			answers[0] = answer{err: s.explain(ctx, err)}
			return answers, nil
		}
		half := len(batch) / 2
		first, err := s.rehearse(ctx, batch[:half])
		if err != nil {
			return nil, err
		}
		second, err := s.rehearse(ctx, batch[half:])
		return append(first, second...), err
	}
}
