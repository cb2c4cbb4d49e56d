package cache

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// How long Redis keeps values and versions.
const (
	// longTTL and shortTTL bound the age of a stale value, even after several failures at once. The short one applies if
	// stock is low: then a stale value does more harm, and changes are more likely.
	longTTL, shortTTL = 5 * time.Minute, time.Minute
	// jitter is the share by which a time to live varies either way, so that values that were stored together do not
	// expire together.
	jitter = 0.1
	// versionTTL is how long versions outlive the value that a change dropped. It must be longer than the time from a
	// reader's read of the database to its Set.
	versionTTL = 5 * time.Minute
	// lowStock is the available quantity at or below which a location is low on stock: the database's default threshold.
	lowStock = 10
)

// ttl returns the time to live of a value.
func ttl(a inventoryapi.Availability) time.Duration {
	base := longTTL
	if slices.ContainsFunc(a.Locations, func(l inventoryapi.LocationStock) bool { return l.Available <= lowStock }) {
		base = shortTTL
	}
	return time.Duration(float64(base) * (1 - jitter + 2*jitter*rand.Float64())) //nolint:gosec // jitter needs no secrecy
}

// encode returns the stored form of a value: its version, whether the product is sold (1 or 0), the overdue and the
// waiting quantity and, for each location, code, quantity, reserved and version; numbers as varints, texts after their
// length. The other fields follow from these or from the request. To decode JSON instead would take longer than the
// database takes for a list of products.
func encode(a inventoryapi.Availability) []byte {
	b := binary.AppendVarint(make([]byte, 0, 16+32*len(a.Locations)), a.Version)
	sellable := uint64(0)
	if a.Sellable {
		sellable = 1
	}
	b = binary.AppendUvarint(b, sellable)
	b = binary.AppendVarint(b, a.OverdueQuantity)
	b = binary.AppendVarint(b, a.WaitingQuantity)
	b = binary.AppendUvarint(b, uint64(len(a.Locations)))
	for _, l := range a.Locations {
		b = binary.AppendUvarint(b, uint64(len(l.Location)))
		b = append(b, l.Location...)
		b = binary.AppendVarint(b, l.Quantity)
		b = binary.AppendVarint(b, l.Reserved)
		b = binary.AppendVarint(b, l.Version)
	}
	return b
}

// decode reports false for a text that encode has not written.
func decode(product uuid.UUID, raw string) (inventoryapi.Availability, bool) {
	r := strings.NewReader(raw)
	ok := true
	number := func() int64 {
		v, err := binary.ReadVarint(r)
		ok = ok && err == nil
		return v
	}
	size := func() int {
		v, err := binary.ReadUvarint(r)
		if ok = ok && err == nil && v <= uint64(r.Len()); !ok { //nolint:gosec // a length is not negative
			return 0
		}
		return int(v) //nolint:gosec // at most r.Len()
	}
	a := inventoryapi.Availability{ProductID: product, Version: number()}
	sellable, err := binary.ReadUvarint(r)
	ok = ok && err == nil && sellable <= 1
	a.Sellable = sellable == 1
	a.OverdueQuantity = number()
	a.WaitingQuantity = number()
	a.Locations = make([]inventoryapi.LocationStock, size())
	for i := range a.Locations {
		n := size()
		from := len(raw) - r.Len()
		code := raw[from : from+n]
		_, _ = r.Seek(int64(n), io.SeekCurrent) // within the text
		l := inventoryapi.LocationStock{Location: code, Quantity: number(), Reserved: number(), Version: number()}
		l.Available = l.Quantity - l.Reserved
		a.Locations[i] = l
		a.TotalStock += l.Quantity
		a.ReservedQuantity += l.Reserved
		a.AvailableQuantity += l.Available
	}
	a.AvailableQuantity = max(a.AvailableQuantity-a.WaitingQuantity, 0)
	return a, ok && r.Len() == 0
}
