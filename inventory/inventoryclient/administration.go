package inventoryclient

import (
	"cmp"
	"context"
	"io"
	"net/http"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

var _ inventoryapi.Administration = (*Client)(nil)

// ReceiveStock implements Administration.
func (c *Client) ReceiveStock(
	ctx context.Context, productID uuid.UUID, in inventoryapi.ReceiveRequest, o inventoryapi.WriteOptions,
) (inventoryapi.StockChange, error) {
	ctx = actingFor(ctx, cmp.Or(o.Actor, in.Actor))
	params := &inventoryapi.ReceiveStockParams{XActor: o.Actor, IdempotencyKey: o.Key, IfMatch: o.IfMatch}
	do := func(ctx context.Context) (*http.Response, error) {
		return c.rest.ReceiveStock(ctx, productID, params, in)
	}
	return call[inventoryapi.StockChange](ctx, c.writes, uuid.Nil, do)
}

// AdjustStock implements Administration.
func (c *Client) AdjustStock(
	ctx context.Context, productID uuid.UUID, in inventoryapi.AdjustRequest, o inventoryapi.WriteOptions,
) (inventoryapi.StockChange, error) {
	ctx = actingFor(ctx, cmp.Or(o.Actor, in.Actor))
	params := &inventoryapi.AdjustStockParams{XActor: o.Actor, IdempotencyKey: o.Key, IfMatch: o.IfMatch}
	do := func(ctx context.Context) (*http.Response, error) {
		return c.rest.AdjustStock(ctx, productID, params, in)
	}
	return call[inventoryapi.StockChange](ctx, c.writes, uuid.Nil, do)
}

// TransferStock implements Administration.
func (c *Client) TransferStock(
	ctx context.Context, productID uuid.UUID, in inventoryapi.TransferRequest, o inventoryapi.WriteOptions,
) (inventoryapi.TransferResult, error) {
	ctx = actingFor(ctx, cmp.Or(o.Actor, in.Actor))
	params := &inventoryapi.TransferStockParams{XActor: o.Actor, IdempotencyKey: o.Key, IfMatch: o.IfMatch}
	do := func(ctx context.Context) (*http.Response, error) {
		return c.rest.TransferStock(ctx, productID, params, in)
	}
	return call[inventoryapi.TransferResult](ctx, c.writes, uuid.Nil, do)
}

// SetThreshold implements Administration.
func (c *Client) SetThreshold(
	ctx context.Context, productID uuid.UUID, in inventoryapi.ThresholdRequest, o inventoryapi.WriteOptions,
) (inventoryapi.ThresholdResult, error) {
	ctx = actingFor(ctx, cmp.Or(o.Actor, in.Actor))
	params := &inventoryapi.SetThresholdParams{XActor: o.Actor, IdempotencyKey: o.Key, IfMatch: o.IfMatch}
	do := func(ctx context.Context) (*http.Response, error) {
		return c.rest.SetThreshold(ctx, productID, params, in)
	}
	return call[inventoryapi.ThresholdResult](ctx, c.writes, uuid.Nil, do)
}

// CreateItem implements Administration.
func (c *Client) CreateItem(
	ctx context.Context,
	productID uuid.UUID, location string,
	in inventoryapi.CreateItemRequest, o inventoryapi.WriteOptions,
) (inventoryapi.Item, error) {
	ctx = actingFor(ctx, cmp.Or(o.Actor, in.Actor))
	params := &inventoryapi.CreateItemParams{XActor: o.Actor, IdempotencyKey: o.Key, IfMatch: o.IfMatch}
	do := func(ctx context.Context) (*http.Response, error) {
		return c.rest.CreateItem(ctx, productID, location, params, in)
	}
	return call[inventoryapi.Item](ctx, c.writes, uuid.Nil, do)
}

// DeleteItem implements Administration.
func (c *Client) DeleteItem(
	ctx context.Context,
	productID uuid.UUID, location string,
	in inventoryapi.DeleteItemRequest, o inventoryapi.WriteOptions,
) (inventoryapi.StockChange, error) {
	ctx = actingFor(ctx, cmp.Or(o.Actor, in.Actor))
	params := &inventoryapi.DeleteItemParams{XActor: o.Actor, IdempotencyKey: o.Key, IfMatch: o.IfMatch}
	do := func(ctx context.Context) (*http.Response, error) {
		return c.rest.DeleteItem(ctx, productID, location, params, in)
	}
	return call[inventoryapi.StockChange](ctx, c.writes, uuid.Nil, do)
}

// SetSellable implements Administration.
func (c *Client) SetSellable(
	ctx context.Context, productID uuid.UUID, in inventoryapi.SellableRequest,
) (inventoryapi.Sellable, error) {
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.SetSellable(ctx, productID, in) }
	return call[inventoryapi.Sellable](ctx, c.writes, uuid.Nil, do)
}

// Locations implements Administration.
func (c *Client) Locations(ctx context.Context) ([]inventoryapi.Location, error) {
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.Locations(ctx) }
	list, err := call[inventoryapi.LocationList](ctx, c.reads, uuid.Nil, do)
	return list.Items, err
}

// PutLocation implements Administration.
func (c *Client) PutLocation(
	ctx context.Context, code string, in inventoryapi.LocationRequest, o inventoryapi.WriteOptions,
) (inventoryapi.Location, error) {
	ctx = actingFor(ctx, cmp.Or(o.Actor, in.Actor))
	params := &inventoryapi.PutLocationParams{XActor: o.Actor, IdempotencyKey: o.Key}
	do := func(ctx context.Context) (*http.Response, error) { return c.rest.PutLocation(ctx, code, params, in) }
	return call[inventoryapi.Location](ctx, c.writes, uuid.Nil, do)
}

// DismissReorderProposal implements Administration.
func (c *Client) DismissReorderProposal(
	ctx context.Context, proposal uuid.UUID, in inventoryapi.DismissRequest,
) (inventoryapi.ReorderProposal, error) {
	ctx = actingFor(ctx, in.Actor)
	params := &inventoryapi.DismissReorderProposalParams{}
	do := func(ctx context.Context) (*http.Response, error) {
		return c.rest.DismissReorderProposal(ctx, proposal, params, in)
	}
	return call[inventoryapi.ReorderProposal](ctx, c.writes, uuid.Nil, do)
}

// ImportStock implements Administration.
func (c *Client) ImportStock(
	ctx context.Context, csv io.Reader, o inventoryapi.ImportOptions,
) (inventoryapi.ImportReport, error) {
	ctx = actingFor(ctx, o.Actor)
	params := &inventoryapi.ImportStockParams{DryRun: o.DryRun, XActor: o.Actor, IdempotencyKey: o.Key}
	do := func(ctx context.Context) (*http.Response, error) {
		return c.rest.ImportStockWithBody(ctx, params, "text/csv", csv)
	}
	return call[inventoryapi.ImportReport](ctx, c.writes.once(inventoryapi.ImportTimeout), uuid.Nil, do)
}
