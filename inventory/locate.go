package inventory

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory/store"
)

// locateTimeout bounds the look-up of what units concern that could not be done.
const locateTimeout = time.Second

// somethingLocked reports whether some stock is expected to be locked by somebody.
func (c *committer) somethingLocked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.locked {
		if c.isLocked(p) {
			return true
		}
	}
	return c.apart > 0
}

// isLocked reports whether a product is expected to be locked, and forgets it when that was long ago.
func (c *committer) isLocked(product uuid.UUID) bool {
	at, found := c.locked[product]
	if found && time.Since(at) > lockMemory {
		delete(c.locked, product)
		return false
	}
	return found
}

// locate looks up the products of units that name reservations only. Those that cannot be looked up are left
// out, and go on sharing a lane.
func (c *committer) locate(ctx context.Context, units ...*unit) map[*unit][]uuid.UUID {
	var ids []uuid.UUID
	for _, u := range units {
		ids = append(ids, u.reservations...)
	}
	if len(ids) == 0 || c.products == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, locateTimeout)
	defer cancel()
	found, err := c.products(ctx, ids)
	if err != nil {
		return nil
	}
	located := make(map[*unit][]uuid.UUID, len(units))
	for _, u := range units {
		if len(u.reservations) > 0 {
			products := []uuid.UUID{} // none is known as well
			for _, r := range u.reservations {
				products = append(products, found[r]...)
			}
			located[u] = products
		}
	}
	return located
}

// know names the products of a unit's reservations; nil where they were not found out.
func (u *unit) know(products []uuid.UUID) {
	if products == nil {
		return
	}
	u.reservations = nil
	u.products = store.Distinct(slices.Concat(u.products, products))
	u.keys = slices.DeleteFunc(store.Distinct(slices.Concat(u.keys, products)), func(k uuid.UUID) bool { return k == uuid.Max })
}

// shares are what of the queue a unit takes a share of: its products, or where they are not known, what all
// such units have in common.
func (u *unit) shares() []uuid.UUID {
	if len(u.reservations) > 0 {
		return unknown
	}
	return u.products
}

var unknown = []uuid.UUID{uuid.Max}
