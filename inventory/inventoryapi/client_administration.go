package inventoryapi

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// ImportTimeout is how long an import may take: ten thousand rows are fifty transactions.
const ImportTimeout = time.Minute

var _ Administration = (*Client)(nil)

// ReceiveStock implements Administration.
func (c *Client) ReceiveStock(ctx context.Context, productID uuid.UUID, in ReceiveRequest, o WriteOptions) (StockChange, error) {
	return call[StockChange](ctx, WriteTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.ReceiveStock(ctx, productID, &ReceiveStockParams{XActor: o.Actor, IdempotencyKey: o.Key, IfMatch: o.IfMatch}, in)
	})
}

// AdjustStock implements Administration.
func (c *Client) AdjustStock(ctx context.Context, productID uuid.UUID, in AdjustRequest, o WriteOptions) (StockChange, error) {
	return call[StockChange](ctx, WriteTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.AdjustStock(ctx, productID, &AdjustStockParams{XActor: o.Actor, IdempotencyKey: o.Key, IfMatch: o.IfMatch}, in)
	})
}

// TransferStock implements Administration.
func (c *Client) TransferStock(ctx context.Context, productID uuid.UUID, in TransferRequest, o WriteOptions) (TransferResult, error) {
	return call[TransferResult](ctx, WriteTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.TransferStock(ctx, productID, &TransferStockParams{XActor: o.Actor, IdempotencyKey: o.Key, IfMatch: o.IfMatch}, in)
	})
}

// SetThreshold implements Administration.
func (c *Client) SetThreshold(ctx context.Context, productID uuid.UUID, in ThresholdRequest, o WriteOptions) (ThresholdResult, error) {
	return call[ThresholdResult](ctx, WriteTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.SetThreshold(ctx, productID, &SetThresholdParams{XActor: o.Actor, IdempotencyKey: o.Key, IfMatch: o.IfMatch}, in)
	})
}

// CreateItem implements Administration.
func (c *Client) CreateItem(ctx context.Context, productID uuid.UUID, location string, in CreateItemRequest, o WriteOptions) (Item, error) {
	return call[Item](ctx, WriteTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.CreateItem(ctx, productID, location, &CreateItemParams{XActor: o.Actor, IdempotencyKey: o.Key, IfMatch: o.IfMatch}, in)
	})
}

// DeleteItem implements Administration.
func (c *Client) DeleteItem(ctx context.Context, productID uuid.UUID, location string, in DeleteItemRequest, o WriteOptions) (StockChange, error) {
	return call[StockChange](ctx, WriteTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.DeleteItem(ctx, productID, location, &DeleteItemParams{XActor: o.Actor, IdempotencyKey: o.Key, IfMatch: o.IfMatch}, in)
	})
}

// SetSellable implements Administration.
func (c *Client) SetSellable(ctx context.Context, productID uuid.UUID, in SellableRequest) (Sellable, error) {
	return call[Sellable](ctx, WriteTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.SetSellable(ctx, productID, in)
	})
}

// Locations implements Administration.
func (c *Client) Locations(ctx context.Context) ([]Location, error) {
	list, err := call[LocationList](ctx, ReadTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.Locations(ctx)
	})
	return list.Items, err
}

// PutLocation implements Administration.
func (c *Client) PutLocation(ctx context.Context, code string, in LocationRequest, o WriteOptions) (Location, error) {
	return call[Location](ctx, WriteTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.PutLocation(ctx, code, &PutLocationParams{XActor: o.Actor, IdempotencyKey: o.Key}, in)
	})
}

// ImportStock implements Administration.
func (c *Client) ImportStock(ctx context.Context, csv io.Reader, o ImportOptions) (ImportReport, error) {
	return call[ImportReport](ctx, ImportTimeout, uuid.Nil, func(ctx context.Context) (*http.Response, error) {
		return c.rest.ImportStockWithBody(ctx, &ImportStockParams{DryRun: o.DryRun, XActor: o.Actor, IdempotencyKey: o.Key}, "text/csv", csv)
	})
}
