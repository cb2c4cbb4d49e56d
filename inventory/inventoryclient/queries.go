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
	params := &inventoryapi.ListAvailabilityParams{Cursor: page.Cursor, Limit: given(page.Limit)}
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.ListAvailability(ctx, params) }
	return call[inventoryapi.AvailabilityList](ctx, c.reads, uuid.Nil, do)
}

// Statistics implements Queries.
func (c *Client) Statistics(ctx context.Context) (inventoryapi.Statistics, error) {
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.GetStatistics(ctx) }
	return call[inventoryapi.Statistics](ctx, c.reads, uuid.Nil, do)
}

// MostReserved implements Queries.
func (c *Client) MostReserved(ctx context.Context, limit int) (inventoryapi.MostReserved, error) {
	params := &inventoryapi.ListMostReservedParams{Limit: given(limit)}
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.ListMostReserved(ctx, params) }
	return call[inventoryapi.MostReserved](ctx, c.reads, uuid.Nil, do)
}

// LowStock implements Queries.
func (c *Client) LowStock(
	ctx context.Context, filter inventoryapi.LowStockFilter, page inventoryapi.Page,
) (inventoryapi.LowStockList, error) {
	params := &inventoryapi.ListLowStockParams{
		Location: filter.Location, Threshold: filter.Threshold, Cursor: page.Cursor, Limit: given(page.Limit),
	}
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.ListLowStock(ctx, params) }
	return call[inventoryapi.LowStockList](ctx, c.reads, uuid.Nil, do)
}

// Holds implements Queries.
func (c *Client) Holds(
	ctx context.Context, productID uuid.UUID, page inventoryapi.Page,
) (inventoryapi.HoldList, error) {
	params := &inventoryapi.ListHoldsParams{Cursor: page.Cursor, Limit: given(page.Limit)}
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.ListHolds(ctx, productID, params) }
	return call[inventoryapi.HoldList](ctx, c.reads, uuid.Nil, do)
}

// Reservations implements Queries.
func (c *Client) Reservations(
	ctx context.Context, filter inventoryapi.ReservationFilter, page inventoryapi.Page,
) (inventoryapi.ReservationList, error) {
	params := &inventoryapi.ListReservationsParams{
		Status:        filter.Statuses,
		OrderID:       filter.OrderID,
		ExpiresAfter:  filter.ExpiresAfter,
		ExpiresBefore: filter.ExpiresBefore,
		Cursor:        page.Cursor,
		Limit:         given(page.Limit),
	}
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.ListReservations(ctx, params) }
	return call[inventoryapi.ReservationList](ctx, c.reads, uuid.Nil, do)
}

// Overdue implements Queries.
func (c *Client) Overdue(ctx context.Context, page inventoryapi.Page) (inventoryapi.OverdueList, error) {
	params := &inventoryapi.ListOverdueParams{Cursor: page.Cursor, Limit: given(page.Limit)}
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.ListOverdue(ctx, params) }
	return call[inventoryapi.OverdueList](ctx, c.reads, uuid.Nil, do)
}

// Ledger implements Queries.
func (c *Client) Ledger(
	ctx context.Context, productID uuid.UUID, location string, page inventoryapi.Page,
) (inventoryapi.Ledger, error) {
	params := &inventoryapi.ListLedgerParams{Location: location, Cursor: page.Cursor, Limit: given(page.Limit)}
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.ListLedger(ctx, productID, params) }
	return call[inventoryapi.Ledger](ctx, c.reads, uuid.Nil, do)
}

// ReorderProposals implements Queries.
func (c *Client) ReorderProposals(
	ctx context.Context, status inventoryapi.ReorderStatus, page inventoryapi.Page,
) (inventoryapi.ReorderProposalList, error) {
	params := &inventoryapi.ListReorderProposalsParams{Status: status, Cursor: page.Cursor, Limit: given(page.Limit)}
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.ListReorderProposals(ctx, params) }
	return call[inventoryapi.ReorderProposalList](ctx, c.reads, uuid.Nil, do)
}

// given returns nil for a limit of 0, so that the request has no limit and the service uses its default.
func given(limit int) *int {
	if limit == 0 {
		return nil
	}
	return &limit
}
