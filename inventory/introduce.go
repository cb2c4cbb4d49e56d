package inventory

import (
	"context"

	"holdfast/inventory/stock"
)

// Introduce takes the first stock of products in, each once per operation id. Receipts and errors are in the order of
// the requests, and of each request exactly one counts: AlreadyExists for a product that has stock already, which
// stays as it is.
func (s *Service) Introduce(ctx context.Context, in ...stock.Receive) ([]stock.Receipt, []error) {
	receipts, errs := make([]stock.Receipt, len(in)), make([]error, len(in))
	var batch []stock.Request
	var at []int // where each of the batch came from
	for i, r := range in {
		if errs[i] = r.Check(); errs[i] == nil {
			batch, at = append(batch, stock.Introduce{Receive: r}), append(at, i)
		}
	}
	for n, a := range s.apply(ctx, batch) {
		if errs[at[n]] = a.err; a.err == nil {
			receipts[at[n]] = a.value.(stock.Receipt)
		}
	}
	return receipts, errs
}
