package inventory

import (
	"context"
	"time"

	"holdfast/inventory/groupcommit"
	"holdfast/inventory/stock"
)

// apply writes requests through the group commit and returns one answer for each.
func apply[T any](ctx context.Context, s *Service, requests ...stock.Request[T]) []groupcommit.Answer[T] {
	start := time.Now()
	answers := groupcommit.Apply(ctx, s.writer, requests...)
	took := time.Since(start)
	for i, r := range requests {
		s.metrics.answered(r.Kind(), &answers[i].Value, answers[i].Err, took)
	}
	return answers
}

// applyOne writes one request, unless its check has failed with err.
func applyOne[T any](ctx context.Context, s *Service, request stock.Request[T], err error) (T, error) {
	if err != nil {
		s.metrics.refused(request.Kind(), err)
		var none T
		return none, err
	}
	start := time.Now()
	answer := groupcommit.ApplyOne(ctx, s.writer, request)
	s.metrics.answered(request.Kind(), &answer.Value, answer.Err, time.Since(start))
	return answer.Value, answer.Err
}
