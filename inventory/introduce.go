package inventory

import (
	"context"

	"holdfast/inventory/stock"
)

// Introduce takes the first stock of products in, each once per operation id. Receipts and errors are in the order of
// the requests, and of each request exactly one counts: AlreadyExists for a product that has stock already, which
// stays as it is.
func (s *Service) Introduce(ctx context.Context, in ...stock.Receive) ([]stock.Receipt, []error) {
	return introduce(in, func(batch []stock.Request) ([]answer, error) { return s.apply(ctx, batch), nil })
}

// RehearseIntroduce says what Introduce would do, and writes nothing.
func (s *Service) RehearseIntroduce(ctx context.Context, in ...stock.Receive) ([]stock.Receipt, []error) {
	return introduce(in, func(batch []stock.Request) ([]answer, error) { return s.rehearse(ctx, batch) })
}

func introduce(in []stock.Receive, do func([]stock.Request) ([]answer, error)) ([]stock.Receipt, []error) {
	receipts, errs := make([]stock.Receipt, len(in)), make([]error, len(in))
	var batch []stock.Request
	var at []int // where each of the batch came from
	for i, r := range in {
		if errs[i] = r.Check(); errs[i] == nil {
			batch, at = append(batch, stock.Introduce{Receive: r}), append(at, i)
		}
	}
	if len(batch) == 0 {
		return receipts, errs
	}
	answers, err := do(batch)
	for n, i := range at {
		if errs[i] = err; err != nil {
			continue
		}
		if errs[i] = answers[n].err; errs[i] == nil {
			receipts[i] = answers[n].value.(stock.Receipt)
		}
	}
	return receipts, errs
}
