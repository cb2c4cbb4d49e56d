package inventory_test

import (
	"maps"
	"slices"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// world is a simple model of the inventory at two locations, "near" before "far". Each method is an operation. It
// returns the expected code of the answer; "" means success, and only success changes the world.
type world struct {
	items map[uuid.UUID]map[string]*worldItem
	holds map[uuid.UUID]*worldHold
	aged  int // the number of deadlines that have passed
}

type worldItem struct {
	quantity, reserved, threshold int64
	kept                          bool
}

func (i *worldItem) available() int64 { return i.quantity - i.reserved }

type worldHold struct {
	in     inventoryapi.ReserveRequest
	old    *worldHold          // which it replaces; nil if none
	status inventoryapi.Status // "" while there is no reservation
	due    bool
	dueAs  int // the position of its deadline among those that have passed
	picks  []worldPick
}

// holds returns the quantity of a product that the hold claims.
func (h *worldHold) holds(p uuid.UUID) (n int64) {
	for _, pick := range h.picks {
		if pick.product == p && h.status == inventoryapi.StatusPending {
			n += pick.quantity
		}
	}
	return n
}

// age lets the deadline of a hold pass.
func (w *world) age(h *worldHold) {
	w.aged++
	h.due, h.dueAs = true, w.aged
}

// missingOf returns the quantities of a demand that are not available.
func (w *world) missingOf(demand map[uuid.UUID]int64) map[uuid.UUID]int64 {
	missing := map[uuid.UUID]int64{}
	for p, n := range demand {
		if short := n - w.items[p]["near"].available() - w.items[p]["far"].available(); short > 0 {
			missing[p] = short
		}
	}
	return missing
}

// takeBack expires overdue holds for a reserve that falls short, the oldest deadline first, until it no longer does.
func (w *world) takeBack(demand map[uuid.UUID]int64) {
	for missing := w.missingOf(demand); len(missing) > 0; missing = w.missingOf(demand) {
		var oldest *worldHold
		for _, h := range w.holds {
			for p := range missing {
				if h.due && h.holds(p) > 0 && (oldest == nil || h.dueAs < oldest.dueAs) {
					oldest = h
				}
			}
		}
		if oldest == nil {
			return
		}
		_ = w.resolve(oldest, inventoryapi.StatusExpired)
	}
}

// overdue returns the quantity of an item that overdue holds claim.
func (w *world) overdue(p uuid.UUID, location string) (n int64) {
	for _, h := range w.holds {
		for _, pick := range h.picks {
			if h.due && h.status == inventoryapi.StatusPending && pick.product == p && pick.location == location {
				n += pick.quantity
			}
		}
	}
	return n
}

type worldPick struct {
	line               int
	product            uuid.UUID
	location           string
	quantity, returned int64
}

var worldLocations = []string{"near", "far"}

// missing returns the code for a product or item that does not exist, or "".
func (w *world) missing(p uuid.UUID, location string) inventoryapi.Code {
	switch {
	case w.items[p][location].kept:
		return ""
	case w.items[p]["near"].kept || w.items[p]["far"].kept:
		return inventoryapi.ItemNotFound
	}
	return inventoryapi.ProductNotFound
}

func (w *world) receive(p uuid.UUID, location string, n int64) inventoryapi.Code {
	it := w.items[p][location]
	it.kept = true
	it.quantity += n
	return ""
}

func (w *world) adjust(p uuid.UUID, location string, n int64) inventoryapi.Code {
	it := w.items[p][location]
	code := w.missing(p, location)
	switch {
	case code != "":
		return code
	case it.quantity+n < 0:
		return inventoryapi.NegativeQuantity
	case it.quantity+n < it.reserved:
		return inventoryapi.InsufficientStock
	}
	it.quantity += n
	return ""
}

func (w *world) transfer(p uuid.UUID, from, to string, n int64) inventoryapi.Code {
	code := w.missing(p, from)
	switch {
	case code != "":
		return code
	case w.items[p][from].available() < n:
		return inventoryapi.InsufficientStock
	}
	w.items[p][from].quantity -= n
	w.items[p][to].quantity += n
	w.items[p][to].kept = true
	return ""
}

func (w *world) setThreshold(p uuid.UUID, location string, n int64) inventoryapi.Code {
	if code := w.missing(p, location); code != "" {
		return code
	}
	w.items[p][location].threshold = n
	return ""
}

func (w *world) createItem(p uuid.UUID, location string) inventoryapi.Code {
	w.items[p][location].kept = true
	return ""
}

// deleteItem deletes an item. To delete a deleted item again succeeds and changes nothing.
func (w *world) deleteItem(p uuid.UUID, location string, was bool) inventoryapi.Code {
	it := w.items[p][location]
	code := w.missing(p, location)
	switch {
	case !it.kept && was:
		return ""
	case code != "":
		return code
	case it.reserved > 0:
		return inventoryapi.InsufficientStock
	}
	it.quantity, it.kept = 0, false
	return ""
}

func (w *world) reserve(h *worldHold) inventoryapi.Code {
	switch h.status {
	case inventoryapi.StatusPending, inventoryapi.StatusConfirmed:
		return ""
	case inventoryapi.StatusReleased, inventoryapi.StatusExpired:
		return inventoryapi.AlreadyResolved
	}
	demand := map[uuid.UUID]int64{}
	for _, l := range h.in.Lines {
		demand[l.ProductID] += l.Quantity
	}
	beyond := maps.Clone(demand) // what the units of the replaced reservation do not fill
	if h.old != nil {
		if code := w.mayReplace(h.old); code != "" {
			return code
		}
		for _, p := range h.old.picks {
			beyond[p.product] -= p.quantity
		}
	}
	w.takeBack(beyond)
	if len(w.missingOf(beyond)) > 0 {
		return inventoryapi.InsufficientStock
	}
	if h.old != nil {
		_ = w.resolve(h.old, inventoryapi.StatusReleased)
	}
	for i, l := range h.in.Lines {
		rest := l.Quantity
		for _, location := range w.order(h.in.Strategy, l.ProductID, demand) {
			take := min(rest, w.left(h, l.ProductID, location))
			if take > 0 {
				h.picks = append(h.picks, worldPick{
					line:     i + 1,
					product:  l.ProductID,
					location: location,
					quantity: take,
				})
				rest -= take
			}
		}
	}
	for _, p := range h.picks {
		w.items[p.product][p.location].reserved += p.quantity
	}
	h.status = inventoryapi.StatusPending
	return ""
}

// mayReplace returns the code of the refusal to replace a hold, or "".
func (w *world) mayReplace(old *worldHold) inventoryapi.Code {
	switch {
	case old.status == "":
		return inventoryapi.ReservationNotFound
	case old.status == inventoryapi.StatusExpired, old.status == inventoryapi.StatusPending && old.due:
		return inventoryapi.ReservationExpired
	case old.status != inventoryapi.StatusPending:
		return inventoryapi.ReservationNotPending
	}
	return ""
}

// order returns the locations that a reserve takes a product from, in order. It is one location if one can fill the
// demand.
func (w *world) order(strategy inventoryapi.Strategy, p uuid.UUID, demand map[uuid.UUID]int64) []string {
	order := slices.Clone(worldLocations)
	if strategy == inventoryapi.StrategyMostStock && w.items[p]["far"].available() > w.items[p]["near"].available() {
		slices.Reverse(order)
	}
	if strategy == inventoryapi.StrategyFewestLocations {
		for _, location := range worldLocations { // one location for all products
			enough := true
			for q, n := range demand {
				enough = enough && w.items[q][location].available() >= n
			}
			if enough {
				return []string{location}
			}
		}
	}
	for _, location := range order {
		if w.items[p][location].available() >= demand[p] {
			return []string{location}
		}
	}
	return order
}

// left returns the available quantity at a location after the picks that the hold has already.
func (w *world) left(h *worldHold, p uuid.UUID, location string) int64 {
	left := w.items[p][location].available()
	for _, pick := range h.picks {
		if pick.product == p && pick.location == location {
			left -= pick.quantity
		}
	}
	return left
}

// resolve is confirm, release and expire, by the status to which each leads.
func (w *world) resolve(h *worldHold, to inventoryapi.Status) inventoryapi.Code {
	switch {
	case h.status == "" && to != inventoryapi.StatusReleased:
		return inventoryapi.ReservationNotFound
	case h.status == to, h.status == "":
		h.status = to
		return ""
	case to == inventoryapi.StatusConfirmed &&
		(h.status == inventoryapi.StatusExpired || h.status == inventoryapi.StatusPending && h.due):
		return inventoryapi.ReservationExpired
	case h.status != inventoryapi.StatusPending:
		return inventoryapi.AlreadyResolved
	case to == inventoryapi.StatusExpired && !h.due:
		return inventoryapi.NotDue
	}
	for _, p := range h.picks {
		w.items[p.product][p.location].reserved -= p.quantity
		if to == inventoryapi.StatusConfirmed {
			w.items[p.product][p.location].quantity -= p.quantity
		}
	}
	h.status = to
	return ""
}

func (w *world) extend(h *worldHold) inventoryapi.Code {
	switch {
	case h.status == "":
		return inventoryapi.ReservationNotFound
	case h.status == inventoryapi.StatusExpired, h.status == inventoryapi.StatusPending && h.due:
		return inventoryapi.ReservationExpired
	case h.status != inventoryapi.StatusPending:
		return inventoryapi.ReservationNotPending
	}
	return ""
}

// giveBack returns n units of a line, or everything if line is 0.
func (w *world) giveBack(h *worldHold, line int, n int64) inventoryapi.Code {
	if h.status == "" {
		return inventoryapi.ReservationNotFound
	}
	left := int64(0)
	for _, p := range h.picks {
		if line == 0 || p.line == line {
			left += p.quantity - p.returned
		}
	}
	if h.status != inventoryapi.StatusConfirmed || left == 0 || left < n {
		return inventoryapi.InvalidReturn
	}
	if line == 0 {
		n = left
	}
	for i := range h.picks {
		p := &h.picks[i]
		if line != 0 && p.line != line {
			continue
		}
		back := min(n, p.quantity-p.returned)
		if back > 0 {
			n -= back
			p.returned += back
			w.items[p.product][p.location].quantity += back
			w.items[p.product][p.location].kept = true
		}
	}
	return ""
}
