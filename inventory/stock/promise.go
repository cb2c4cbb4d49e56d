package stock

import (
	"time"
)

// Want is what a backorder wants of one product.
type Want struct {
	Quantity  int64
	Ahead     int64 // the quantity that earlier backorders want of the product
	Available int64 // the stock of the product that no reservation holds
	Expected  []Delivery
}

// Delivery is stock of a product that is expected.
type Delivery struct {
	At       time.Time
	Quantity int64
}

// covered returns the time from which the stock and the deliveries, in the order in which they come, are enough for the
// want and for all earlier ones. The time is zero if the stock is enough now; ok is false if nothing known is enough.
func (w Want) covered() (at time.Time, ok bool) {
	missing := w.Ahead + w.Quantity - w.Available
	if missing <= 0 {
		return time.Time{}, true
	}
	for _, d := range w.Expected {
		if missing -= d.Quantity; missing <= 0 {
			return d.At, true
		}
	}
	return time.Time{}, false
}

// PromisedAt returns the time at which a backorder with these wants can be granted, if the expected deliveries come in
// time and every earlier backorder takes its stock. It is zero if some product is not covered by a known delivery, and
// if no product has to be waited for.
func PromisedAt(wants []Want) (promised time.Time) {
	for _, w := range wants {
		at, ok := w.covered()
		if !ok {
			return time.Time{}
		}
		if at.After(promised) {
			promised = at
		}
	}
	return promised
}

// CoveredAt is PromisedAt for one product.
func CoveredAt(w Want) time.Time { return PromisedAt([]Want{w}) }
