package linearize_test

import (
	"fmt"

	"github.com/anishathalye/porcupine"
	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// This file is the sequential specification of the inventory of one product at one location: the answer of every
// operation if no other operation runs at the same time. A history of concurrent operations is linearizable if each
// operation can be given a moment between its call and its answer, so that this specification, in the order of these
// moments, gives exactly these answers.

// The number of reservations, and of changes by an operator, in the history of one product.
const (
	shelfHolds   = 24
	shelfChanges = 8
)

// action is the call of an operation.
type action struct {
	kind string
	i    int   // index of the reservation or change
	n    int64 // quantity or difference
	at   int64 // requested deadline, µs
	op   uuid.UUID
	ends bool // the database names the operation as the end of its reservation
}

// result is the answer to an action. If there was none, it is unknown whether the operation happened.
type result struct {
	unknown  bool
	within   bool              // the attempt was over when the answer to another attempt came
	code     inventoryapi.Code // "" for success
	status   inventoryapi.Status
	replayed bool
	counts   [3]int64 // the numbers in the answer; their meaning depends on the operation
	version  int64
	deadline int64 // µs; 0 until an answer contains it
}

type shelf struct {
	cached             bool // availability is read from a cache
	quantity, reserved int64
	version            int64 // of the last read
	changed            int64 // changes since that read; changes that were committed together moved the version once
	holds              [shelfHolds]hold
	blurred            [shelfHolds]bool // an extension of the reservation has an unknown outcome
	changes            [shelfChanges]change
}

type hold struct {
	status   inventoryapi.Status // "" while there is no reservation
	quantity int64
	version  int64
	due      bool
	deadline int64    // µs; 0 while it is unknown
	first    [3]int64 // the counts in the answer to a repeated reserve
	last     [3]int64 // the counts in the answer to a repeated resolution
}

type change struct {
	done   bool
	counts [3]int64
}

// do returns the shelf after an action and the expected answer. It takes the deadlines from the actual answer, because
// they depend on the clock of the database.
func (s shelf) do(a action, got result) (shelf, result) {
	h := &s.holds[a.i%shelfHolds]
	switch a.kind {
	case "reserve":
		want := s.reserve(h, a, got)
		return s, want
	case "confirm", "release", "expire":
		want := s.resolve(h, a)
		return s, want
	case "extend":
		switch {
		case h.status == "":
			return s, result{code: inventoryapi.ReservationNotFound}
		case h.status == inventoryapi.StatusExpired, h.status == inventoryapi.StatusPending && h.due:
			return s, result{code: inventoryapi.ReservationExpired, status: h.status, deadline: h.deadline}
		case h.status != inventoryapi.StatusPending:
			return s, result{code: inventoryapi.ReservationNotPending, status: h.status}
		}
		if a.at > h.deadline { // true also if the first deadline is unknown: every requested deadline is later
			h.deadline = a.at
			h.version++
		}
		return s, result{status: h.status, deadline: h.deadline}
	case "age": // the deadline passes
		if h.status != inventoryapi.StatusPending || h.due {
			return s, result{code: elsewhere}
		}
		h.due, h.deadline = true, got.deadline
		return s, result{deadline: got.deadline}
	case "get":
		if h.status == "" {
			return s, result{code: inventoryapi.ReservationNotFound}
		}
		if h.deadline == 0 {
			h.deadline = got.deadline
		}
		want := result{status: h.status, version: h.version, deadline: h.deadline}
		if h.quantity > 0 { // a tombstone has no lines
			want.counts = [3]int64{h.quantity, s.quantity - s.reserved, s.reserved}
		}
		return s, want
	case "takeback": // a reserve ends an overdue reservation
		if h.status != inventoryapi.StatusPending || !h.due {
			return s, result{code: elsewhere}
		}
		s.end(h, inventoryapi.StatusExpired)
		return s, result{}
	case "read":
		available := s.quantity - s.reserved + s.overdue()
		if s.cached { // a deadline that a test has moved into the past does not end a cached value
			available = max(s.quantity-s.reserved, min(got.counts[1], available))
		}
		want := result{counts: [3]int64{s.quantity, available, s.quantity - available}, version: s.version}
		if s.changed > 0 && got.version > s.version && got.version <= s.version+s.changed {
			want.version = got.version
		} else if s.changed > 0 {
			want.version = -1
		}
		s.version, s.changed = want.version, 0
		return s, want
	}
	want := s.change(&s.changes[a.i], a, got)
	return s, want
}

// overdue returns the quantity that overdue reservations hold.
func (s *shelf) overdue() (n int64) {
	for _, h := range s.holds {
		if h.status == inventoryapi.StatusPending && h.due {
			n += h.quantity
		}
	}
	return n
}

// reserve makes a reservation. Overdue reservations that it takes back are actions of their own, before it. It must
// have taken all of them back before it may be refused.
func (s *shelf) reserve(h *hold, a action, got result) result {
	switch {
	case h.status == "" && replaces(a.i):
		return s.replace(h, a, got)
	case h.status == "" && s.quantity-s.reserved < a.n && s.overdue() > 0:
		return result{code: elsewhere}
	case h.status == inventoryapi.StatusReleased, h.status == inventoryapi.StatusExpired:
		return result{code: inventoryapi.AlreadyResolved, status: h.status}
	case h.status == "" && s.quantity-s.reserved < a.n:
		return result{code: inventoryapi.InsufficientStock, counts: [3]int64{a.n, s.quantity - s.reserved}}
	case h.status == "":
		s.reserved += a.n
		s.changed++
		*h = hold{
			status:   inventoryapi.StatusPending,
			quantity: a.n,
			version:  1,
			deadline: got.deadline,
			first:    [3]int64{a.n, s.quantity - s.reserved, s.reserved},
		}
		// If the answer to its COMMIT is lost, the service itself tries again and finds its own work.
		return result{status: h.status, replayed: got.replayed, counts: h.first, version: 1, deadline: got.deadline}
	}
	if h.deadline == 0 {
		h.deadline = got.deadline
	}
	return result{status: h.status, replayed: true, counts: h.first, version: h.version, deadline: h.deadline}
}

// elsewhere is not an answer. It means that the action has another place in the history, because the database names
// another action as the end of the reservation. The result would be the same without it, but the search for an order
// would try impossible orders.
const elsewhere inventoryapi.Code = "elsewhere"

// resolve ends a reservation. The first confirm, release or expire that is allowed ends it.
func (s *shelf) resolve(h *hold, a action) result {
	end := map[string]inventoryapi.Status{
		"confirm": inventoryapi.StatusConfirmed,
		"release": inventoryapi.StatusReleased,
		"expire":  inventoryapi.StatusExpired,
	}[a.kind]
	if a.ends && h.status != "" && h.status != inventoryapi.StatusPending && h.status != end {
		return result{code: elsewhere}
	}
	switch {
	case h.status == "" && a.kind == "release" && a.ends:
		*h = hold{status: end, version: 1, due: true} // a tombstone
		return result{status: end}
	case h.status == "" && a.kind != "release":
		return result{code: inventoryapi.ReservationNotFound}
	case h.status == end:
		return result{status: end, counts: h.last}
	case a.kind == "confirm" &&
		(h.status == inventoryapi.StatusExpired || h.status == inventoryapi.StatusPending && h.due):
		return result{code: inventoryapi.ReservationExpired, status: h.status, deadline: h.deadline}
	case h.status != inventoryapi.StatusPending:
		return result{code: inventoryapi.AlreadyResolved, status: h.status}
	case a.kind == "expire" && !h.due:
		return result{code: inventoryapi.NotDue, status: h.status, deadline: h.deadline}
	case !a.ends:
		return result{code: elsewhere}
	}
	s.end(h, end)
	return result{status: end, counts: h.last}
}

// end gives a pending reservation its terminal status.
func (s *shelf) end(h *hold, status inventoryapi.Status) {
	h.status = status
	h.version++
	s.changed++
	s.reserved -= h.quantity
	h.last = [3]int64{h.quantity, s.quantity - s.reserved, s.reserved}
	if status == inventoryapi.StatusConfirmed {
		s.quantity -= h.quantity
		h.last[1] = s.quantity
	}
}

// replaces reports whether the reservation with the index replaces the one before it.
func replaces(i int) bool { return i%4 == 3 }

// replace makes a reservation and releases the one before it, or refuses.
func (s *shelf) replace(h *hold, a action, got result) result {
	old := &s.holds[a.i-1]
	available := s.quantity - s.reserved + old.quantity
	switch {
	case old.status == "":
		return result{code: inventoryapi.ReservationNotFound}
	case old.status == inventoryapi.StatusExpired, old.status == inventoryapi.StatusPending && old.due:
		want := result{code: inventoryapi.ReservationExpired, status: old.status, deadline: old.deadline}
		if s.blurred[a.i-1] {
			want.deadline = got.deadline
		}
		return want
	case old.status != inventoryapi.StatusPending:
		return result{code: inventoryapi.ReservationNotPending, status: old.status}
	case available < a.n && s.overdue() > 0:
		return result{code: elsewhere}
	case available < a.n:
		return result{code: inventoryapi.InsufficientStock, counts: [3]int64{a.n, available}}
	case !a.ends: // the database names another end of the old reservation
		return result{code: elsewhere}
	}
	s.end(old, inventoryapi.StatusReleased)
	s.blurred[a.i] = s.blurred[a.i-1]
	s.reserved += a.n
	s.changed++
	*h = hold{
		status:   inventoryapi.StatusPending,
		quantity: a.n,
		version:  1,
		deadline: old.deadline,
		first:    [3]int64{a.n, s.quantity - s.reserved, s.reserved},
	}
	if h.deadline == 0 {
		h.deadline = got.deadline
	}
	return result{status: h.status, replayed: got.replayed, counts: h.first, version: 1, deadline: h.deadline}
}

// change is a receipt or an adjustment.
func (s *shelf) change(c *change, a action, got result) result {
	switch {
	case c.done:
		return result{replayed: true, counts: c.counts}
	case s.quantity+a.n < 0:
		return result{code: inventoryapi.NegativeQuantity}
	case s.quantity+a.n < s.reserved:
		return result{code: inventoryapi.InsufficientStock, counts: [3]int64{-a.n, s.quantity - s.reserved}}
	}
	s.quantity += a.n
	s.changed++
	*c = change{done: true, counts: [3]int64{a.n, s.quantity, s.reserved}}
	return result{replayed: got.replayed, counts: c.counts} // see reserve
}

// shelfModel returns the specification of a product that begins with the given stock.
func shelfModel(quantity int64, cached bool) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return shelf{cached: cached, quantity: quantity, version: 1} },
		Step: func(state, input, output any) (bool, any) {
			s, a, got := state.(shelf), input.(action), output.(result)
			if a.kind == "extend" && got.unknown {
				// From now on the model does not compare the deadline and version that the extension may have changed.
				// That makes the check weaker, but the search need not try both outcomes at every later moment.
				s.blurred[a.i] = true
				return true, s
			}
			next, want := s.do(a, got)
			if want.deadline == 0 { // unknown to the model, which accepts any
				want.deadline = got.deadline
			}
			if a.kind != "read" && a.kind != "change" && s.blurred[a.i] {
				want.deadline, want.version = got.deadline, got.version
			}
			return got == want || got.unknown && want.code != elsewhere, next
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
		DescribeState: func(state any) string {
			s := state.(shelf)
			text := fmt.Sprintf("%d in stock, %d reserved, version %d+%d", s.quantity, s.reserved, s.version, s.changed)
			for i, h := range s.holds {
				if h.status != "" {
					text += fmt.Sprintf("\n%d: %+v", i, h)
				}
			}
			return text
		},
	}
}
