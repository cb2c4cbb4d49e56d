package inventory

import (
	"context"

	"github.com/google/uuid"

	"holdfast/inventory/stock"
)

// ApplyAtOnce has the requests decided in one batch and returns what became of each.
func (s *Service) ApplyAtOnce(ctx context.Context, requests ...stock.Request) []error {
	errs := make([]error, len(requests))
	for i, a := range s.apply(ctx, requests) {
		errs[i] = a.err
	}
	return errs
}

// Waiting is how many requests wait for their batch; those of a batch under way do not.
func (s *Service) Waiting() int { return int(s.committer.waitingNow()) }

// AnswersAtOnce is ApplyAtOnce for whoever wants what was answered; nil for what was refused.
func (s *Service) AnswersAtOnce(ctx context.Context, requests ...stock.Request) []any {
	out := make([]any, len(requests))
	for i, a := range s.apply(ctx, requests) {
		out[i] = a.value
	}
	return out
}

// FaultyRequest concerns a product, and its rule panics.
type FaultyRequest struct {
	stock.Request // nil: whoever decides it dereferences that
	Product       uuid.UUID
}

// Kind implements stock.Request.
func (FaultyRequest) Kind() string { return "faulty" }

// Reads implements stock.Request.
func (r FaultyRequest) Reads(reads *stock.Reads) { reads.Products = append(reads.Products, r.Product) }
