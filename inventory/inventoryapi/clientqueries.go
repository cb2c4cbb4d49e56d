package inventoryapi

import (
	"context"
	"net/http"

	"github.com/google/uuid"
)

var _ Queries = (*Client)(nil)

// List implements Queries.
func (c *Client) List(ctx context.Context, page Page) (AvailabilityList, error) {
	return call[AvailabilityList](ctx, ReadTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.ListAvailability(ctx, &ListAvailabilityParams{Cursor: page.Cursor, Limit: given(page.Limit)})
	})
}

// Statistics implements Queries.
func (c *Client) Statistics(ctx context.Context) (Statistics, error) {
	return call[Statistics](ctx, ReadTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.GetStatistics(ctx)
	})
}

// MostReserved implements Queries.
func (c *Client) MostReserved(ctx context.Context, limit int) (MostReserved, error) {
	return call[MostReserved](ctx, ReadTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.ListMostReserved(ctx, &ListMostReservedParams{Limit: given(limit)})
	})
}

// LowStock implements Queries.
func (c *Client) LowStock(ctx context.Context, location string, page Page) (LowStockList, error) {
	return call[LowStockList](ctx, ReadTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.ListLowStock(ctx, &ListLowStockParams{Location: location, Cursor: page.Cursor, Limit: given(page.Limit)})
	})
}

// Holds implements Queries.
func (c *Client) Holds(ctx context.Context, productID uuid.UUID, page Page) (HoldList, error) {
	return call[HoldList](ctx, ReadTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.ListHolds(ctx, productID, &ListHoldsParams{Cursor: page.Cursor, Limit: given(page.Limit)})
	})
}

// Ledger implements Queries.
func (c *Client) Ledger(ctx context.Context, productID uuid.UUID, location string, page Page) (Ledger, error) {
	return call[Ledger](ctx, ReadTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.ListLedger(ctx, productID, &ListLedgerParams{Location: location, Cursor: page.Cursor, Limit: given(page.Limit)})
	})
}

// given leaves a limit of 0 out of the request: the default.
func given(limit int) *int {
	if limit == 0 {
		return nil
	}
	return &limit
}
