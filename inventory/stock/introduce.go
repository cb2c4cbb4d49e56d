package stock

import "holdfast/inventory/inventoryapi"

// Introduce is the first Receive of a product. It is refused (AlreadyExists) if the product has or had stock at any
// location, so that an import of a catalogue never adds to stock that an operator has counted.
type Introduce struct{ Receive }

// Kind names the operation.
func (Introduce) Kind() string { return "introduce" }

// TellsVersion reports that the answer does not contain the product's version.
func (Introduce) TellsVersion() bool { return false }

func (i Introduce) decide(b *Book) (out Receipt, err error) {
	if len(b.entries[i.OperationID]) == 0 {
		for _, it := range b.itemsByProduct[i.ProductID] {
			// Ensure has created the item at the location by now. It is deleted until a request shows it.
			if !it.Deleted || it.Version > 0 || it.changed {
				return out, inventoryapi.Errorf(inventoryapi.AlreadyExists, "product_id",
					"product %s has stock already", i.ProductID)
			}
		}
	}
	return i.Receive.decide(b)
}
