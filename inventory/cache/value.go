package cache

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"time"

	"holdfast/inventory/inventoryapi"
)

// How long things are kept.
const (
	// longTTL and shortTTL bound how long a value may be stale after all that can go wrong. Where stock
	// is low that matters more, and changes are more likely.
	longTTL, shortTTL = 5 * time.Minute, time.Minute
	// jitter is the share by which a time to live varies either way, so that what was stored together
	// does not end together.
	jitter = 0.1
	// remembered is how long versions outlive the value that a change dropped. It has to be more than
	// the time from a reader's look into the database to its Set.
	remembered = 5 * time.Minute
	// lowStock is what is available at a location that is low on stock: the database's own default
	// of the threshold.
	lowStock = 10
)

// ttl is how long a value may be served.
func ttl(a inventoryapi.Availability) time.Duration {
	base := longTTL
	if slices.ContainsFunc(a.Locations, func(l inventoryapi.LocationStock) bool { return l.Available <= lowStock }) {
		base = shortTTL
	}
	return time.Duration(float64(base) * (1 - jitter + 2*jitter*rand.Float64())) //nolint:gosec // jitter needs no secrecy
}

// encode makes the stored form of a value: without what depends on the question.
func encode(a inventoryapi.Availability) ([]byte, error) {
	a.RequestedQuantity, a.IsAvailable = 0, false
	return json.Marshal(a)
}

func decode(raw string) (a inventoryapi.Availability, err error) {
	err = json.Unmarshal([]byte(raw), &a)
	return a, err
}
