package stock

import (
	"cmp"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// The functions of this file make the requests of operators from the contract's requests, and check them. The caller
// has set the operation ids.

// NewReceive checks a request. The contract requires at least one unit, although Receive itself accepts 0.
func NewReceive(
	product uuid.UUID, in inventoryapi.ReceiveRequest, o inventoryapi.WriteOptions, correlationID string,
) (Receive, error) {
	expect, err := NewExpectation(in.ExpectedVersion, o.IfMatch)
	if err != nil {
		return Receive{}, err
	}
	r := Receive{
		OperationID:   in.OperationID,
		ProductID:     product,
		Location:      in.Location,
		Quantity:      in.Quantity,
		Actor:         cmp.Or(o.Actor, in.Actor),
		Reason:        in.Reason,
		Expect:        expect,
		CorrelationID: correlationID,
	}
	if r.Quantity < 1 || r.Quantity > MaxStock {
		return Receive{}, inventoryapi.Errorf(inventoryapi.InvalidQuantity, "quantity",
			"a received quantity lies between 1 and %d", int64(MaxStock))
	}
	return r, r.Check()
}

// NewAdjust checks a request.
func NewAdjust(
	product uuid.UUID, in inventoryapi.AdjustRequest, o inventoryapi.WriteOptions, correlationID string,
) (Adjust, error) {
	expect, err := NewExpectation(in.ExpectedVersion, o.IfMatch)
	if err != nil {
		return Adjust{}, err
	}
	a := Adjust{
		OperationID:   in.OperationID,
		Place:         Place{product, in.Location},
		Delta:         in.Delta,
		Quantity:      in.Quantity,
		Actor:         cmp.Or(o.Actor, in.Actor),
		Reason:        in.Reason,
		Expect:        expect,
		CorrelationID: correlationID,
	}
	return a, a.Check()
}

// NewTransfer checks a request.
func NewTransfer(
	product uuid.UUID, in inventoryapi.TransferRequest, o inventoryapi.WriteOptions, correlationID string,
) (Transfer, error) {
	expect, err := NewExpectation(in.ExpectedVersion, o.IfMatch)
	if err != nil {
		return Transfer{}, err
	}
	t := Transfer{
		OperationID:   in.OperationID,
		ProductID:     product,
		From:          in.From,
		To:            in.To,
		Quantity:      in.Quantity,
		Actor:         cmp.Or(o.Actor, in.Actor),
		Reason:        in.Reason,
		Expect:        expect,
		CorrelationID: correlationID,
	}
	return t, t.Check()
}

// NewSetThreshold checks a request.
func NewSetThreshold(
	product uuid.UUID, in inventoryapi.ThresholdRequest, o inventoryapi.WriteOptions,
) (SetThreshold, error) {
	expect, err := NewExpectation(in.ExpectedVersion, o.IfMatch)
	switch {
	case err != nil:
		return SetThreshold{}, err
	case in.LowStockThreshold == nil:
		return SetThreshold{}, required("low_stock_threshold")
	}
	t := SetThreshold{
		ProductID: product,
		Location:  in.Location,
		Threshold: *in.LowStockThreshold,
		Actor:     cmp.Or(o.Actor, in.Actor),
		Expect:    expect,
	}
	return t, t.Check()
}

// NewCreateItem checks a request.
func NewCreateItem(p Place, in inventoryapi.CreateItemRequest, o inventoryapi.WriteOptions) (CreateItem, error) {
	expect, err := NewExpectation(in.ExpectedVersion, o.IfMatch)
	if err != nil {
		return CreateItem{}, err
	}
	c := CreateItem{Place: p, Actor: cmp.Or(o.Actor, in.Actor), Expect: expect}
	return c, c.Check()
}

// NewDeleteItem checks a request.
func NewDeleteItem(
	p Place, in inventoryapi.DeleteItemRequest, o inventoryapi.WriteOptions, correlationID string,
) (DeleteItem, error) {
	expect, err := NewExpectation(in.ExpectedVersion, o.IfMatch)
	if err != nil {
		return DeleteItem{}, err
	}
	d := DeleteItem{
		OperationID:   in.OperationID,
		Place:         p,
		Actor:         cmp.Or(o.Actor, in.Actor),
		Reason:        in.Reason,
		Expect:        expect,
		CorrelationID: correlationID,
	}
	return d, d.Check()
}
