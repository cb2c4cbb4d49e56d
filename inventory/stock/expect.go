package stock

import (
	"slices"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// Expectation is the version of the product that the caller of a write expects; the zero value expects none. It is
// compared with the version that this batch has reached. So if two writers read the same version, only the first
// succeeds, also when one batch decides both.
type Expectation struct {
	Version *int64               // the product's version; another version is a VersionConflict
	Match   inventoryapi.IfMatch // of the If-Match header; another version is PreconditionFailed
}

// NewExpectation reads the two forms in which a caller can state a version.
func NewExpectation(version *int64, ifMatch string) (Expectation, error) {
	match, err := inventoryapi.ParseIfMatch(ifMatch)
	if err != nil {
		return Expectation{}, err
	}
	if version != nil && *version < 0 {
		return Expectation{}, inventoryapi.Errorf(inventoryapi.InvalidInput, "expected_version", "a version is not negative")
	}
	return Expectation{version, match}, nil
}

func (x Expectation) check(b *Book, product uuid.UUID) error {
	if x.Version == nil && !x.Match.Given {
		return nil
	}
	at := b.version(product)
	switch {
	case x.Match.Given && (!b.hasItem(product) || !x.Match.Any && !slices.Contains(x.Match.Versions, at)):
		return inventoryapi.Errorf(inventoryapi.PreconditionFailed, "If-Match",
			"product %s is at version %d; read it again and repeat the change on the current version", product, at)
	case x.Version != nil && *x.Version != at:
		return inventoryapi.Errorf(inventoryapi.VersionConflict, "expected_version",
			"product %s is at version %d, not %d; read it again and repeat the change on the current version",
			product, at, *x.Version)
	}
	return nil
}
