package inventory

import (
	"context"

	"holdfast/inventory/groupcommit"
	"holdfast/inventory/stock"
)

// Introduce takes in the first stock of products, once per operation id. It returns a receipt and an error for each
// request, in order; one of the two is zero. For a product that has stock already, the error is AlreadyExists and the
// stock does not change.
func (s *Service) Introduce(ctx context.Context, in ...stock.Receive) ([]stock.Receipt, []error) {
	return introduce(in, func(batch []stock.Request[stock.Receipt]) ([]groupcommit.Answer[stock.Receipt], error) {
		return apply(ctx, s, batch...), nil
	})
}

// DryRunIntroduce returns what Introduce would return, and writes nothing.
func (s *Service) DryRunIntroduce(ctx context.Context, in ...stock.Receive) ([]stock.Receipt, []error) {
	return introduce(in, func(batch []stock.Request[stock.Receipt]) ([]groupcommit.Answer[stock.Receipt], error) {
		return groupcommit.DryRun(ctx, s.writer, batch...)
	})
}

// introduce calls decide with the well-formed requests and returns each answer at the index of its request.
func introduce(
	in []stock.Receive,
	decide func([]stock.Request[stock.Receipt]) ([]groupcommit.Answer[stock.Receipt], error),
) ([]stock.Receipt, []error) {
	receipts, errs := make([]stock.Receipt, len(in)), make([]error, len(in))
	var batch []stock.Request[stock.Receipt]
	var indexes []int // of the batch's requests, in in
	for i, r := range in {
		if errs[i] = r.Check(); errs[i] == nil {
			batch, indexes = append(batch, stock.Introduce{Receive: r}), append(indexes, i)
		}
	}
	if len(batch) == 0 {
		return receipts, errs
	}
	answers, err := decide(batch)
	for n, i := range indexes {
		if err != nil {
			errs[i] = err
			continue
		}
		receipts[i], errs[i] = answers[n].Value, answers[n].Err
	}
	return receipts, errs
}
