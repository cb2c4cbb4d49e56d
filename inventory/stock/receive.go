package stock

import (
	"cmp"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// Receive adds stock that arrived at a location, and creates the item if it is missing. A quantity of 0 only creates
// the item. It acts once per operation id.
type Receive struct {
	OperationID   uuid.UUID
	ProductID     uuid.UUID
	Location      string // code
	Quantity      int64
	Actor         string
	Reason        string
	Expect        Expectation
	CorrelationID string
}

// Receipt answers a Receive.
type Receipt struct {
	ProductID uuid.UUID
	Location  string
	Quantity  int64 // received by this operation
	Stock     int64
	Reserved  int64
	Version   int64 // of the product, after this operation; 0 if the operation is a repeat
	Replayed  bool  // the operation is a repeat
}

// WasReplayed reports whether the receipt answers a repeated operation.
func (r Receipt) WasReplayed() bool { return r.Replayed }

// MaxStock bounds an item's quantity, far from any overflow of sums.
const MaxStock = 1_000_000_000_000

// NewReceive makes the request from the contract's, and checks it. The caller has set the operation id. The contract
// requires at least one unit, although Receive itself accepts 0.
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

// Check refuses a request that is invalid for any stock.
func (r Receive) Check() error {
	if err := checkChange(r.OperationID, r.Actor, r.Reason); err != nil {
		return err
	}
	switch {
	case r.ProductID == uuid.Nil:
		return required("product_id")
	case r.Quantity < 0 || r.Quantity > MaxStock:
		return inventoryapi.Errorf(inventoryapi.InvalidQuantity, "quantity",
			"a received quantity lies between 1 and %d", int64(MaxStock))
	}
	return checkLocation("location", r.Location)
}

// Kind names the operation.
func (Receive) Kind() string { return "receive" }

// TellsVersion reports that the answer contains the product's version.
func (Receive) TellsVersion() bool { return true }

// Reads adds the product's items, the item to create and the entries that the operation wrote before.
func (r Receive) Reads(reads *Reads) {
	reads.Products = append(reads.Products, r.ProductID)
	reads.Ensure = append(reads.Ensure, Place{r.ProductID, r.Location})
	reads.Operations = append(reads.Operations, r.OperationID)
}

func (r Receive) decide(b *Book) (out Receipt, err error) {
	it := b.itemAt(Place{r.ProductID, r.Location})
	if it == nil {
		return out, noLocation("location", r.Location)
	}

	out = Receipt{ProductID: r.ProductID, Location: r.Location}
	done, err := b.repeated(r.OperationID, Received, Place{r.ProductID, r.Location})
	if err != nil {
		return out, err
	}
	if done != nil {
		out.Quantity, out.Stock, out.Reserved = done.QuantityDelta, done.QuantityAfter, done.ReservedAfter
		out.Replayed = true
		return out, nil
	}

	if err := r.Expect.check(b, r.ProductID); err != nil {
		return out, err
	}
	switch {
	case it.Quantity+r.Quantity > MaxStock:
		return out, stockFull("quantity")
	case r.Quantity > 0:
		e := b.record(it, Entry{
			OperationID:   r.OperationID,
			Line:          1,
			Kind:          Received,
			QuantityDelta: r.Quantity,
			Actor:         r.Actor,
			Reason:        r.Reason,
		})
		b.noteItem(inventoryapi.EventRestocked, e, r.CorrelationID)
	case it.Deleted:
		b.show(it)
	}

	out.Quantity, out.Stock, out.Reserved = r.Quantity, it.Quantity, it.Reserved
	out.Version = b.tellVersion(it.ProductID)
	return out, nil
}
