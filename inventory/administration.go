package inventory

import (
	"cmp"
	"context"
	"unicode/utf8"

	"github.com/google/uuid"

	"holdfast/internal/correlation"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

var _ inventoryapi.Administration = (*Service)(nil)

// newIfNone makes an operation id where the caller sent none.
func newIfNone(op uuid.UUID) uuid.UUID {
	if op == uuid.Nil {
		return uuid.New()
	}
	return op
}

// ReceiveStock implements inventoryapi.Administration.
func (s *Service) ReceiveStock(ctx context.Context, productID uuid.UUID, in inventoryapi.ReceiveRequest, o inventoryapi.WriteOptions) (inventoryapi.StockChange, error) {
	in.OperationID = newIfNone(in.OperationID)
	got, err := one[stock.Receipt](ctx, s, "receive")(stock.NewReceive(productID, in, o, correlation.From(ctx)))
	switch {
	case err != nil:
		return inventoryapi.StockChange{}, err
	case got.Quantity != in.Quantity: // a repeat changed nothing, so it is not too late to refuse it
		return inventoryapi.StockChange{}, inventoryapi.Errorf(inventoryapi.AlreadyExists, "operation_id", "operation %s received another quantity", in.OperationID)
	}
	return inventoryapi.StockChange{
		OperationID: in.OperationID, ProductID: got.ProductID, Location: got.Location, Quantity: got.Quantity, Stock: got.Stock,
		ReservedStock: got.Reserved, AvailableStock: got.Stock - got.Reserved, Version: got.Version, Replayed: got.Replayed,
	}, nil
}

// AdjustStock implements inventoryapi.Administration.
func (s *Service) AdjustStock(ctx context.Context, productID uuid.UUID, in inventoryapi.AdjustRequest, o inventoryapi.WriteOptions) (inventoryapi.StockChange, error) {
	in.OperationID = newIfNone(in.OperationID)
	return one[inventoryapi.StockChange](ctx, s, "adjust")(stock.NewAdjust(productID, in, o, correlation.From(ctx)))
}

// TransferStock implements inventoryapi.Administration.
func (s *Service) TransferStock(ctx context.Context, productID uuid.UUID, in inventoryapi.TransferRequest, o inventoryapi.WriteOptions) (inventoryapi.TransferResult, error) {
	in.OperationID = newIfNone(in.OperationID)
	return one[inventoryapi.TransferResult](ctx, s, "transfer")(stock.NewTransfer(productID, in, o, correlation.From(ctx)))
}

// SetThreshold implements inventoryapi.Administration. No entry of the ledger tells of it, so the log
// says who did it.
func (s *Service) SetThreshold(ctx context.Context, productID uuid.UUID, in inventoryapi.ThresholdRequest, o inventoryapi.WriteOptions) (inventoryapi.ThresholdResult, error) {
	out, err := one[inventoryapi.ThresholdResult](ctx, s, "set_threshold")(stock.NewSetThreshold(productID, in, o))
	if err == nil {
		s.log.InfoContext(ctx, "low-stock threshold set", "actor", cmp.Or(o.Actor, in.Actor), "product_id", productID, "locations", out.Locations, "threshold", out.LowStockThreshold)
	}
	return out, err
}

// CreateItem implements inventoryapi.Administration.
func (s *Service) CreateItem(ctx context.Context, productID uuid.UUID, location string, in inventoryapi.CreateItemRequest, o inventoryapi.WriteOptions) (inventoryapi.Item, error) {
	out, err := one[inventoryapi.Item](ctx, s, "create_item")(stock.NewCreateItem(stock.Place{ProductID: productID, Location: location}, in, o))
	if err == nil && out.Created {
		s.log.InfoContext(ctx, "item created", "actor", cmp.Or(o.Actor, in.Actor), "product_id", productID, "location", location)
	}
	return out, err
}

// DeleteItem implements inventoryapi.Administration.
func (s *Service) DeleteItem(ctx context.Context, productID uuid.UUID, location string, in inventoryapi.DeleteItemRequest, o inventoryapi.WriteOptions) (inventoryapi.StockChange, error) {
	in.OperationID = newIfNone(in.OperationID)
	place := stock.Place{ProductID: productID, Location: location}
	out, err := one[inventoryapi.StockChange](ctx, s, "delete_item")(stock.NewDeleteItem(place, in, o, correlation.From(ctx)))
	if err == nil {
		s.log.InfoContext(ctx, "item deleted", "actor", cmp.Or(o.Actor, in.Actor), "product_id", productID, "location", location, "reason", in.Reason)
	}
	return out, err
}

// Locations implements inventoryapi.Administration.
func (s *Service) Locations(ctx context.Context) ([]inventoryapi.Location, error) {
	found, err := s.store.Locations(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	out := make([]inventoryapi.Location, len(found))
	for i, l := range found {
		out[i] = inventoryapi.Location{Code: l.Code, Name: l.Name, Priority: l.Priority}
	}
	return out, nil
}

const (
	maxLocationName     = 255 // characters
	maxLocationPriority = 1_000_000
)

// PutLocation implements inventoryapi.Administration.
func (s *Service) PutLocation(ctx context.Context, code string, in inventoryapi.LocationRequest, o inventoryapi.WriteOptions) (inventoryapi.Location, error) {
	actor := cmp.Or(o.Actor, in.Actor)
	if err := checkPutLocation(code, in, actor); err != nil {
		return inventoryapi.Location{}, err
	}
	if err := s.PutLocations(ctx, store.Location{Code: code, Name: in.Name, Priority: *in.Priority}); err != nil {
		return inventoryapi.Location{}, err
	}
	s.log.InfoContext(ctx, "location set", "actor", actor, "location", code, "name", in.Name, "priority", *in.Priority)
	return inventoryapi.Location{Code: code, Name: in.Name, Priority: *in.Priority}, nil
}

func checkPutLocation(code string, in inventoryapi.LocationRequest, actor string) error {
	invalid := func(field, format string, args ...any) error {
		return inventoryapi.Errorf(inventoryapi.InvalidInput, field, format, args...)
	}
	switch {
	case !locationCode.MatchString(code):
		return invalid("code", "a location's code has 1 to 64 of a-z, 0-9 and hyphens, and begins with no hyphen")
	case in.Name == "" || utf8.RuneCountInString(in.Name) > maxLocationName || !stock.Storable(in.Name):
		return invalid("name", "a name has 1 to %d characters, none of them U+0000", maxLocationName)
	case in.Priority == nil:
		return invalid("priority", "priority is required")
	case *in.Priority < 0 || *in.Priority > maxLocationPriority:
		return invalid("priority", "a priority lies between 0 and %d", maxLocationPriority)
	}
	return stock.CheckActor(actor)
}
