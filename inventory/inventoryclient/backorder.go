package inventoryclient

import (
	"cmp"
	"context"
	"net/http"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

var (
	_ inventoryapi.Backorders    = (*Client)(nil)
	_ inventoryapi.IncomingStock = (*Client)(nil)
)

// PlaceBackorder implements Backorders.
func (c *Client) PlaceBackorder(
	ctx context.Context, in inventoryapi.PlaceBackorderRequest,
) (inventoryapi.Backorder, error) {
	ctx = actingFor(ctx, in.Actor)
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.PlaceBackorder(ctx, in) }
	return call[inventoryapi.Backorder](ctx, c.writes, in.BackorderID, do)
}

// GetBackorder implements Backorders.
func (c *Client) GetBackorder(ctx context.Context, id uuid.UUID) (inventoryapi.Backorder, error) {
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.GetBackorder(ctx, id) }
	return call[inventoryapi.Backorder](ctx, c.reads, id, do)
}

// CancelBackorder implements Backorders.
func (c *Client) CancelBackorder(
	ctx context.Context, id uuid.UUID, in inventoryapi.ReleaseRequest,
) (inventoryapi.Backorder, error) {
	ctx = actingFor(ctx, in.Actor)
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.CancelBackorder(ctx, id, in) }
	return call[inventoryapi.Backorder](ctx, c.writes, id, do)
}

// ExpireBackorder implements Backorders.
func (c *Client) ExpireBackorder(
	ctx context.Context, id uuid.UUID, in inventoryapi.ResolveRequest,
) (inventoryapi.Backorder, error) {
	ctx = actingFor(ctx, in.Actor)
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.ExpireBackorder(ctx, id, in) }
	return call[inventoryapi.Backorder](ctx, c.writes, id, do)
}

// ExtendBackorder implements Backorders.
func (c *Client) ExtendBackorder(
	ctx context.Context, id uuid.UUID, in inventoryapi.ExtendBackorderRequest,
) (inventoryapi.Backorder, error) {
	ctx = actingFor(ctx, in.Actor)
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.ExtendBackorder(ctx, id, in) }
	return call[inventoryapi.Backorder](ctx, c.writes, id, do)
}

// WaitingList implements Backorders.
func (c *Client) WaitingList(
	ctx context.Context, productID uuid.UUID, page inventoryapi.Page,
) (inventoryapi.WaitingList, error) {
	params := &inventoryapi.ListWaitingParams{Cursor: page.Cursor, Limit: given(page.Limit)}
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.ListWaiting(ctx, productID, params) }
	return call[inventoryapi.WaitingList](ctx, c.reads, uuid.Nil, do)
}

// AddIncoming implements IncomingStock.
func (c *Client) AddIncoming(
	ctx context.Context, productID uuid.UUID, in inventoryapi.AddIncomingRequest, o inventoryapi.WriteOptions,
) (inventoryapi.Incoming, error) {
	ctx = actingFor(ctx, cmp.Or(o.Actor, in.Actor))
	params := &inventoryapi.AddIncomingParams{XActor: o.Actor, IdempotencyKey: o.Key}
	do := func(ctx context.Context) (*http.Response, error) {
		return c.rest.AddIncoming(ctx, productID, params, in)
	}
	return call[inventoryapi.Incoming](ctx, c.writes, uuid.Nil, do)
}

// ChangeIncoming implements IncomingStock.
func (c *Client) ChangeIncoming(
	ctx context.Context, incomingID uuid.UUID, in inventoryapi.ChangeIncomingRequest, o inventoryapi.WriteOptions,
) (inventoryapi.Incoming, error) {
	ctx = actingFor(ctx, cmp.Or(o.Actor, in.Actor))
	params := &inventoryapi.ChangeIncomingParams{XActor: o.Actor, IdempotencyKey: o.Key}
	do := func(ctx context.Context) (*http.Response, error) {
		return c.rest.ChangeIncoming(ctx, incomingID, params, in)
	}
	return call[inventoryapi.Incoming](ctx, c.writes, uuid.Nil, do)
}

// ReceiveIncoming implements IncomingStock.
func (c *Client) ReceiveIncoming(
	ctx context.Context, incomingID uuid.UUID, in inventoryapi.ReceiveIncomingRequest, o inventoryapi.WriteOptions,
) (inventoryapi.IncomingReceipt, error) {
	ctx = actingFor(ctx, cmp.Or(o.Actor, in.Actor))
	params := &inventoryapi.ReceiveIncomingParams{XActor: o.Actor, IdempotencyKey: o.Key}
	do := func(ctx context.Context) (*http.Response, error) {
		return c.rest.ReceiveIncoming(ctx, incomingID, params, in)
	}
	return call[inventoryapi.IncomingReceipt](ctx, c.writes, uuid.Nil, do)
}

// CancelIncoming implements IncomingStock.
func (c *Client) CancelIncoming(
	ctx context.Context, incomingID uuid.UUID, in inventoryapi.CancelIncomingRequest, o inventoryapi.WriteOptions,
) (inventoryapi.Incoming, error) {
	ctx = actingFor(ctx, cmp.Or(o.Actor, in.Actor))
	params := &inventoryapi.CancelIncomingParams{XActor: o.Actor, IdempotencyKey: o.Key}
	do := func(ctx context.Context) (*http.Response, error) {
		return c.rest.CancelIncoming(ctx, incomingID, params, in)
	}
	return call[inventoryapi.Incoming](ctx, c.writes, uuid.Nil, do)
}

// GetIncoming implements IncomingStock.
func (c *Client) GetIncoming(ctx context.Context, incomingID uuid.UUID) (inventoryapi.Incoming, error) {
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.GetIncoming(ctx, incomingID) }
	return call[inventoryapi.Incoming](ctx, c.reads, uuid.Nil, do)
}

// ListIncoming implements IncomingStock.
func (c *Client) ListIncoming(
	ctx context.Context, productID uuid.UUID, page inventoryapi.Page,
) (inventoryapi.IncomingList, error) {
	params := &inventoryapi.ListIncomingParams{Cursor: page.Cursor, Limit: given(page.Limit)}
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.ListIncoming(ctx, productID, params) }
	return call[inventoryapi.IncomingList](ctx, c.reads, uuid.Nil, do)
}
