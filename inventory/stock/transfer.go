package stock

import (
	"cmp"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// Transfer moves available stock of a product from one location to another, and creates the item there if it is
// missing. It acts once per operation id.
type Transfer struct {
	OperationID   uuid.UUID
	ProductID     uuid.UUID
	From, To      string // codes
	Quantity      int64
	Actor         string
	Reason        string
	Expect        Expectation
	CorrelationID string
}

// The lines of a transfer's two entries in the ledger.
const (
	lineOut = 1
	lineIn  = 2
)

// NewTransfer makes the request from the contract's, and checks it. The caller has set the operation id.
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

// Check refuses a request that is invalid for any stock.
func (t Transfer) Check() error {
	if err := checkAdministration(t.OperationID, t.ProductID, t.Actor, t.Reason); err != nil {
		return err
	}
	if err := checkLocation("from", t.From); err != nil {
		return err
	}
	if err := checkLocation("to", t.To); err != nil {
		return err
	}
	switch {
	case t.From == t.To:
		return inventoryapi.Errorf(inventoryapi.InvalidInput, "to", "a transfer goes to another location")
	case t.Quantity < 1 || t.Quantity > MaxStock:
		return inventoryapi.Errorf(inventoryapi.InvalidQuantity, "quantity",
			"a transferred quantity lies between 1 and %d", int64(MaxStock))
	}
	return nil
}

// Kind names the operation.
func (Transfer) Kind() string { return "transfer" }

// TellsVersion reports that the answer contains the product's version.
func (Transfer) TellsVersion() bool { return true }

// Reads adds the product's items, the item to create and the entries that the operation wrote before.
func (t Transfer) Reads(reads *Reads) {
	reads.Products = append(reads.Products, t.ProductID)
	reads.Ensure = append(reads.Ensure, Place{t.ProductID, t.To})
	reads.Operations = append(reads.Operations, t.OperationID)
}

func (t Transfer) decide(b *Book) (out inventoryapi.TransferResult, err error) {
	if done := b.entries[t.OperationID]; len(done) > 0 {
		if !t.wrote(b, done) {
			return out, operationUsed(t.OperationID)
		}
		return t.answer(b, true)
	}

	from, err := b.visibleItemAt(Place{t.ProductID, t.From}, "from")
	if err != nil {
		return out, err
	}
	to := b.itemAt(Place{t.ProductID, t.To})
	if to == nil {
		return out, noLocation("to", t.To)
	}
	if err := t.Expect.check(b, t.ProductID); err != nil {
		return out, err
	}
	switch {
	case from.Available() < t.Quantity:
		return out, tooFew(from, t.Quantity,
			"product %s has %d at %s, of which %d are reserved; at most %d can be moved",
			t.ProductID, from.Quantity, t.From, from.Reserved, from.Available())
	case to.Quantity+t.Quantity > MaxStock:
		return out, stockFull("quantity")
	}

	for _, side := range []struct {
		item *Item
		line int
		n    int64
	}{
		{from, lineOut, -t.Quantity},
		{to, lineIn, t.Quantity},
	} {
		e := b.record(side.item, Entry{
			OperationID:   t.OperationID,
			Line:          side.line,
			Kind:          Transferred,
			QuantityDelta: side.n,
			Actor:         t.Actor,
			Reason:        t.Reason,
		})
		b.noteItem(inventoryapi.EventTransferred, e, t.CorrelationID)
	}
	return t.answer(b, false)
}

// wrote reports whether this request wrote the entries.
func (t Transfer) wrote(b *Book, done []Entry) bool {
	from, to := b.itemAt(Place{t.ProductID, t.From}), b.itemAt(Place{t.ProductID, t.To})
	if len(done) != 2 || from == nil || to == nil {
		return false
	}
	items := map[int]int64{lineOut: from.ID, lineIn: to.ID}
	for _, e := range done {
		if e.Kind != Transferred || moved(e) != t.Quantity || e.ItemID != items[e.Line] {
			return false
		}
	}
	return true
}

func (t Transfer) answer(b *Book, replayed bool) (out inventoryapi.TransferResult, err error) {
	entries, err := b.entriesOf(t.OperationID, uuid.Nil)
	if err != nil {
		return out, err
	}
	out = inventoryapi.TransferResult{
		OperationID: t.OperationID,
		ProductID:   t.ProductID,
		From:        t.From,
		To:          t.To,
		Quantity:    t.Quantity,
		Lines:       b.stockLines(entries),
		Replayed:    replayed,
	}
	if !replayed {
		out.Version = b.tellVersion(t.ProductID)
	}
	return out, nil
}
