package stock

import "holdfast/inventory/inventoryapi"

// Count sets the quantity of an item to a count, and its threshold if one is given. It creates the item if it is
// missing. A Count is a row of an import, and acts once per operation id.
type Count struct {
	Adjust
	Threshold *int64
}

// Counted answers a Count.
type Counted struct {
	Outcome  inventoryapi.ImportOutcome
	Replayed bool // the same operation id had done it before
}

// Check refuses a request that is invalid for any stock.
func (c Count) Check() error {
	if c.Threshold != nil {
		if err := CheckCount("low_stock_threshold", *c.Threshold); err != nil {
			return err
		}
	}
	return c.Adjust.Check()
}

// Kind names the operation.
func (Count) Kind() string { return "count" }

// TellsVersion reports that the answer does not contain the product's version.
func (Count) TellsVersion() bool { return false }

// Reads adds the product's items, the item to create and the entries that the operation wrote before.
func (c Count) Reads(reads *Reads) {
	c.Adjust.Reads(reads)
	reads.Ensure = append(reads.Ensure, c.Place)
}

func (c Count) decide(b *Book) (out Counted, err error) {
	it := b.itemAt(c.Place)
	if it == nil {
		return out, noLocation("location", c.Place.Location)
	}
	if done, err := b.repeated(c.OperationID, Adjusted, c.Place); err != nil || done != nil {
		if err == nil && !c.wrote(*done) {
			err = operationUsed(c.OperationID)
		}
		return Counted{inventoryapi.OutcomeReplayed, true}, err
	}

	n := c.change(it)
	if err := c.checkChangeOf(it, n); err != nil {
		return out, err
	}

	out = Counted{Outcome: inventoryapi.OutcomeUnchanged}
	created := it.Deleted
	if created {
		b.show(it)
	}
	if c.Threshold != nil && *c.Threshold != it.Threshold {
		it.Threshold, it.changed = *c.Threshold, true
		out.Outcome = inventoryapi.OutcomeAdjusted
	}
	if n != 0 {
		out.Outcome = inventoryapi.OutcomeAdjusted
	}
	if created {
		out.Outcome = inventoryapi.OutcomeCreated
	}
	c.adjust(b, it, n)
	return out, nil
}
