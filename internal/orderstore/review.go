package orderstore

import (
	"context"
	"fmt"

	"holdfast/db/ordersdb"
	"holdfast/internal/order"
)

// carriedOut are the states of an order that was paid.
var carriedOut = statesThat(order.State.CarriedOut)

// PaidBefore reports whether the customer has paid an order before, and to which country (ISO 3166-1 alpha-2) the last
// of them went; the country is empty if none had an address.
func (s *Store) PaidBefore(ctx context.Context, issuer, customer string) (paid bool, country string, err error) {
	row, err := s.q.PaidBefore(ctx, s.pool, ordersdb.PaidBeforeParams{
		CustomerID: customer, Issuer: issuer, Paid: carriedOut,
	})
	if err != nil {
		return false, "", fmt.Errorf("read the earlier orders of a customer: %w", err)
	}
	return row.Paid, row.Country, nil
}
