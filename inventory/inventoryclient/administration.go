package inventoryclient

import (
	"context"
	"io"
	"net/http"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

var _ inventoryapi.Administration = (*Client)(nil)

// ReceiveStock implements Administration.
func (c *Client) ReceiveStock(ctx context.Context, productID uuid.UUID, in inventoryapi.ReceiveRequest, o inventoryapi.WriteOptions) (inventoryapi.StockChange, error) {
	return call[inventoryapi.StockChange](ctx, WriteTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.ReceiveStock(ctx, productID, &inventoryapi.ReceiveStockParams{XActor: o.Actor, IdempotencyKey: o.Key, IfMatch: o.IfMatch}, in)
	})
}

// AdjustStock implements Administration.
func (c *Client) AdjustStock(ctx context.Context, productID uuid.UUID, in inventoryapi.AdjustRequest, o inventoryapi.WriteOptions) (inventoryapi.StockChange, error) {
	return call[inventoryapi.StockChange](ctx, WriteTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.AdjustStock(ctx, productID, &inventoryapi.AdjustStockParams{XActor: o.Actor, IdempotencyKey: o.Key, IfMatch: o.IfMatch}, in)
	})
}

// TransferStock implements Administration.
func (c *Client) TransferStock(ctx context.Context, productID uuid.UUID, in inventoryapi.TransferRequest, o inventoryapi.WriteOptions) (inventoryapi.TransferResult, error) {
	return call[inventoryapi.TransferResult](ctx, WriteTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.TransferStock(ctx, productID, &inventoryapi.TransferStockParams{XActor: o.Actor, IdempotencyKey: o.Key, IfMatch: o.IfMatch}, in)
	})
}

// SetThreshold implements Administration.
func (c *Client) SetThreshold(ctx context.Context, productID uuid.UUID, in inventoryapi.ThresholdRequest, o inventoryapi.WriteOptions) (inventoryapi.ThresholdResult, error) {
	return call[inventoryapi.ThresholdResult](ctx, WriteTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.SetThreshold(ctx, productID, &inventoryapi.SetThresholdParams{XActor: o.Actor, IdempotencyKey: o.Key, IfMatch: o.IfMatch}, in)
	})
}

// CreateItem implements Administration.
func (c *Client) CreateItem(ctx context.Context, productID uuid.UUID, location string, in inventoryapi.CreateItemRequest, o inventoryapi.WriteOptions) (inventoryapi.Item, error) {
	return call[inventoryapi.Item](ctx, WriteTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.CreateItem(ctx, productID, location, &inventoryapi.CreateItemParams{XActor: o.Actor, IdempotencyKey: o.Key, IfMatch: o.IfMatch}, in)
	})
}

// DeleteItem implements Administration.
func (c *Client) DeleteItem(ctx context.Context, productID uuid.UUID, location string, in inventoryapi.DeleteItemRequest, o inventoryapi.WriteOptions) (inventoryapi.StockChange, error) {
	return call[inventoryapi.StockChange](ctx, WriteTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.DeleteItem(ctx, productID, location, &inventoryapi.DeleteItemParams{XActor: o.Actor, IdempotencyKey: o.Key, IfMatch: o.IfMatch}, in)
	})
}

// SetSellable implements Administration.
func (c *Client) SetSellable(ctx context.Context, productID uuid.UUID, in inventoryapi.SellableRequest) (inventoryapi.Sellable, error) {
	return call[inventoryapi.Sellable](ctx, WriteTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.SetSellable(ctx, productID, in)
	})
}

// Locations implements Administration.
func (c *Client) Locations(ctx context.Context) ([]inventoryapi.Location, error) {
	list, err := call[inventoryapi.LocationList](ctx, ReadTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.Locations(ctx)
	})
	return list.Items, err
}

// PutLocation implements Administration.
func (c *Client) PutLocation(ctx context.Context, code string, in inventoryapi.LocationRequest, o inventoryapi.WriteOptions) (inventoryapi.Location, error) {
	return call[inventoryapi.Location](ctx, WriteTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.PutLocation(ctx, code, &inventoryapi.PutLocationParams{XActor: o.Actor, IdempotencyKey: o.Key}, in)
	})
}

// ImportStock implements Administration.
func (c *Client) ImportStock(ctx context.Context, csv io.Reader, o inventoryapi.ImportOptions) (inventoryapi.ImportReport, error) {
	return call[inventoryapi.ImportReport](ctx, inventoryapi.ImportTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.ImportStockWithBody(ctx, &inventoryapi.ImportStockParams{DryRun: o.DryRun, XActor: o.Actor, IdempotencyKey: o.Key}, "text/csv", csv)
	})
}
