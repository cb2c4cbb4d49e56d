package linearize_test

import (
	"fmt"

	"github.com/anishathalye/porcupine"
	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// The inventory of one product at one location, as a sequential specification: what every operation
// answers when nothing else happens at the same time. A history of concurrent operations is linearizable
// when each can be given a moment between its call and its answer, so that this specification, taken in
// that order, gives exactly these answers.

// How many reservations and changes by hand the history of one product has.
const (
	shelfHolds   = 24
	shelfChanges = 8
)

// action is the call of an operation.
type action struct {
	kind string
	i    int   // which reservation or change
	n    int64 // quantity, or by how much
	at   int64 // deadline wanted, µs
	op   uuid.UUID
	ends bool // the books name it as what ended its reservation
}

// result is its answer, or that there was none: then it is not known whether the operation happened.
type result struct {
	unknown  bool
	within   bool              // it was over when the answer to another attempt came
	code     inventoryapi.Code // "" for success
	status   inventoryapi.Status
	replayed bool
	counts   [3]int64 // what the answer counts, by the operation
	version  int64
	deadline int64 // µs; of each reservation it is known once somebody was told
}

type shelf struct {
	quantity, reserved int64
	version            int64 // as somebody read it last
	changed            int64 // changes since; those that were committed together moved the version once
	holds              [shelfHolds]hold
	blurred            [shelfHolds]bool // somebody has tried to extend it, and may have
	changes            [shelfChanges]change
}

type hold struct {
	status   inventoryapi.Status // "" while unseen
	quantity int64
	version  int64
	due      bool
	deadline int64    // µs; 0 while nobody knows it
	first    [3]int64 // the counts that a repeated reserve is answered with
	last     [3]int64 // and a repeated resolution
}

type change struct {
	done   bool
	counts [3]int64
}

// do returns what the shelf is after an action and what has to be answered. What was answered is given
// for the deadlines, which the database's clock decides.
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
		if a.at > h.deadline { // later than any first deadline, so also where that is not known
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
	case "read":
		want := result{counts: [3]int64{s.quantity, s.quantity - s.reserved, s.reserved}, version: s.version}
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

func (s *shelf) reserve(h *hold, a action, got result) result {
	switch {
	case h.status == inventoryapi.StatusReleased, h.status == inventoryapi.StatusExpired:
		return result{code: inventoryapi.AlreadyResolved, status: h.status}
	case h.status == "" && s.quantity-s.reserved < a.n:
		return result{code: inventoryapi.InsufficientStock, counts: [3]int64{a.n, s.quantity - s.reserved}}
	case h.status == "":
		s.reserved += a.n
		s.changed++
		*h = hold{
			status: inventoryapi.StatusPending, quantity: a.n, version: 1, deadline: got.deadline,
			first: [3]int64{a.n, s.quantity - s.reserved, s.reserved},
		}
		// The service itself asks again when the answer to its COMMIT is lost, and then finds its own work.
		return result{status: h.status, replayed: got.replayed, counts: h.first, version: 1, deadline: got.deadline}
	}
	if h.deadline == 0 {
		h.deadline = got.deadline
	}
	return result{status: h.status, replayed: true, counts: h.first, version: h.version, deadline: h.deadline}
}

// elsewhere is no answer: the action has its place elsewhere in the history, because the books name
// another one as what ended the reservation. It is true anyhow, and saves the search for an
// order from trying what cannot have been.
const elsewhere inventoryapi.Code = "elsewhere"

// resolve ends a reservation, by the first of confirm, release and expire that may.
func (s *shelf) resolve(h *hold, a action) result {
	end := map[string]inventoryapi.Status{
		"confirm": inventoryapi.StatusConfirmed, "release": inventoryapi.StatusReleased, "expire": inventoryapi.StatusExpired,
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
	case a.kind == "confirm" && (h.status == inventoryapi.StatusExpired || h.status == inventoryapi.StatusPending && h.due):
		return result{code: inventoryapi.ReservationExpired, status: h.status, deadline: h.deadline}
	case h.status != inventoryapi.StatusPending:
		return result{code: inventoryapi.AlreadyResolved, status: h.status}
	case a.kind == "expire" && !h.due:
		return result{code: inventoryapi.NotDue, status: h.status, deadline: h.deadline}
	case !a.ends:
		return result{code: elsewhere}
	}
	h.status = end
	h.version++
	s.changed++
	s.reserved -= h.quantity
	h.last = [3]int64{h.quantity, s.quantity - s.reserved, s.reserved}
	if a.kind == "confirm" {
		s.quantity -= h.quantity
		h.last[1] = s.quantity
	}
	return result{status: end, counts: h.last}
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

// shelfModel is the specification of a product that begins with the given stock.
func shelfModel(quantity int64) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return shelf{quantity: quantity, version: 1} },
		Step: func(state, input, output any) (bool, any) {
			s, a, got := state.(shelf), input.(action), output.(result)
			if a.kind == "extend" && got.unknown {
				// What it may have changed is not looked at from now on. That is less to hold anybody to, and keeps
				// the search from trying both at every later moment.
				s.blurred[a.i] = true
				return true, s
			}
			next, want := s.do(a, got)
			if want.deadline == 0 { // not known to the model: whatever was answered
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
