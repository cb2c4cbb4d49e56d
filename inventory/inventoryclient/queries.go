package inventoryclient

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

var _ inventoryapi.Queries = (*Client)(nil)

// List implements Queries.
func (c *Client) List(ctx context.Context, page inventoryapi.Page) (inventoryapi.AvailabilityList, error) {
	return call[inventoryapi.AvailabilityList](ctx, ReadTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.ListAvailability(ctx, &inventoryapi.ListAvailabilityParams{Cursor: page.Cursor, Limit: given(page.Limit)})
	})
}

// Statistics implements Queries.
func (c *Client) Statistics(ctx context.Context) (inventoryapi.Statistics, error) {
	return call[inventoryapi.Statistics](ctx, ReadTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.GetStatistics(ctx)
	})
}

// MostReserved implements Queries.
func (c *Client) MostReserved(ctx context.Context, limit int) (inventoryapi.MostReserved, error) {
	return call[inventoryapi.MostReserved](ctx, ReadTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.ListMostReserved(ctx, &inventoryapi.ListMostReservedParams{Limit: given(limit)})
	})
}

// LowStock implements Queries.
func (c *Client) LowStock(ctx context.Context, location string, page inventoryapi.Page) (inventoryapi.LowStockList, error) {
	return call[inventoryapi.LowStockList](ctx, ReadTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.ListLowStock(ctx, &inventoryapi.ListLowStockParams{Location: location, Cursor: page.Cursor, Limit: given(page.Limit)})
	})
}

// Holds implements Queries.
func (c *Client) Holds(ctx context.Context, productID uuid.UUID, page inventoryapi.Page) (inventoryapi.HoldList, error) {
	return call[inventoryapi.HoldList](ctx, ReadTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.ListHolds(ctx, productID, &inventoryapi.ListHoldsParams{Cursor: page.Cursor, Limit: given(page.Limit)})
	})
}

// Ledger implements Queries.
func (c *Client) Ledger(ctx context.Context, productID uuid.UUID, location string, page inventoryapi.Page) (inventoryapi.Ledger, error) {
	return call[inventoryapi.Ledger](ctx, ReadTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.ListLedger(ctx, productID, &inventoryapi.ListLedgerParams{Location: location, Cursor: page.Cursor, Limit: given(page.Limit)})
	})
}

// given leaves a limit of 0 out of the request: the default.
func given(limit int) *int {
	if limit == 0 {
		return nil
	}
	return &limit
}
