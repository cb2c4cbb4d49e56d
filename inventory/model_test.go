package inventory_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/stock"
)

// model is the inventory as simply as it can be said.
type model struct {
	quantity map[uuid.UUID]int64
	holds    map[uuid.UUID]*modelHold
}

type modelHold struct {
	in     inventoryapi.ReserveRequest
	status inventoryapi.Status // "" while unseen
	due    bool
	out    int64 // confirmed and not come back
}

func (h *modelHold) wants(p uuid.UUID) (n int64) {
	for _, l := range h.in.Lines {
		if l.ProductID == p {
			n += l.Quantity
		}
	}
	return n
}

func (m *model) reserved(p uuid.UUID) (n int64) {
	for _, h := range m.holds {
		if h.status == inventoryapi.StatusPending {
			n += h.wants(p)
		}
	}
	return n
}

// adjust is what an adjustment must answer; a success changes the model.
func (m *model) adjust(p uuid.UUID, n int64) inventoryapi.Code {
	switch {
	case n == 0:
		return inventoryapi.InvalidQuantity
	case m.quantity[p]+n < 0:
		return inventoryapi.NegativeQuantity
	case m.quantity[p]+n < m.reserved(p):
		return inventoryapi.InsufficientStock
	}
	m.quantity[p] += n
	return ""
}

// expect is the code that the operation must answer, "" for success; a success changes the model.
func (m *model) expect(kind string, h *modelHold) inventoryapi.Code {
	const pending, confirmed, released, expired = inventoryapi.StatusPending, inventoryapi.StatusConfirmed, inventoryapi.StatusReleased, inventoryapi.StatusExpired
	switch kind {
	case "reserve":
		switch h.status {
		case pending, confirmed:
			return ""
		case released, expired:
			return inventoryapi.AlreadyResolved
		}
		for p, q := range m.quantity {
			if q-m.reserved(p) < h.wants(p) {
				return inventoryapi.InsufficientStock
			}
		}
		h.status = pending
		return ""
	case "release":
		if h.status == confirmed || h.status == expired {
			return inventoryapi.AlreadyResolved
		}
		h.status = released
		return ""
	}
	if h.status == "" {
		return inventoryapi.ReservationNotFound
	}
	switch kind {
	case "confirm":
		switch {
		case h.status == confirmed:
			return ""
		case h.status == released:
			return inventoryapi.AlreadyResolved
		case h.status == expired || h.due:
			return inventoryapi.ReservationExpired
		}
		h.status = confirmed
		for p := range m.quantity {
			m.quantity[p] -= h.wants(p)
			h.out += h.wants(p)
		}
	case "expire":
		switch {
		case h.status == expired:
			return ""
		case h.status != pending:
			return inventoryapi.AlreadyResolved
		case !h.due:
			return inventoryapi.NotDue
		}
		h.status = expired
	case "return":
		if h.status != confirmed || h.out == 0 {
			return inventoryapi.InvalidReturn
		}
		for p := range m.quantity {
			m.quantity[p] += h.wants(p)
		}
		h.out = 0
	}
	return ""
}

// TestServiceFollowsModel runs random operations, each sent twice as if the first answer had been
// lost, against the real database and the model.
func TestServiceFollowsModel(t *testing.T) {
	t.Parallel()
	s := newService(t)
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{quantity: map[uuid.UUID]int64{}, holds: map[uuid.UUID]*modelHold{}}
		var products, ids []uuid.UUID
		for range 2 {
			n := int64(rapid.IntRange(0, 6).Draw(rt, "stock"))
			p := s.Stock(t, n)
			products, m.quantity[p] = append(products, p), n
		}
		for range 4 {
			var lines []inventoryapi.ReserveLine
			for range rapid.IntRange(1, 3).Draw(rt, "lines") {
				lines = append(lines, inventorytest.Line(rapid.SampledFrom(products).Draw(rt, "product"), int64(rapid.IntRange(1, 3).Draw(rt, "quantity"))))
			}
			in := inventorytest.NewReserve(lines...)
			ids, m.holds[in.ReservationID] = append(ids, in.ReservationID), &modelHold{in: in}
		}
		for range rapid.IntRange(1, 14).Draw(rt, "operations") {
			id := rapid.SampledFrom(ids).Draw(rt, "reservation")
			h := m.holds[id]
			kind := rapid.SampledFrom([]string{"reserve", "reserve", "confirm", "release", "expire", "return", "receive", "adjust", "wait"}).Draw(rt, "kind")
			var call func() error
			want := inventoryapi.Code("")
			resolve, back := inventorytest.Resolve(), inventorytest.ReturnOf()
			switch kind {
			case "reserve":
				call = func() error { _, err := s.API.Reserve(t.Context(), h.in); return err }
			case "confirm":
				call = func() error { _, err := s.API.Confirm(t.Context(), id, resolve); return err }
			case "release":
				call = func() error { _, err := s.API.Release(t.Context(), id, inventorytest.ReleaseOf(h.in)); return err }
			case "expire":
				call = func() error { _, err := s.API.Expire(t.Context(), id, resolve); return err }
			case "return":
				call = func() error { _, err := s.API.Return(t.Context(), id, back); return err }
			case "receive":
				p := rapid.SampledFrom(products).Draw(rt, "product")
				in := stock.Receive{OperationID: uuid.New(), ProductID: p, Location: "near", Quantity: 2, Actor: inventorytest.Actor}
				m.quantity[p] += 2
				call = func() error { _, err := s.Service.Receive(t.Context(), in); return err }
			case "adjust":
				p, n := rapid.SampledFrom(products).Draw(rt, "product"), int64(rapid.IntRange(-4, 3).Draw(rt, "delta"))
				want = m.adjust(p, n)
				in := inventoryapi.AdjustRequest{OperationID: uuid.New(), Location: "near", Delta: &n, Reason: "r"}
				call = func() error {
					_, err := s.API.(inventoryapi.Administration).AdjustStock(t.Context(), p, in, inventorytest.By)
					return err
				}
			case "wait":
				if h.status == inventoryapi.StatusPending {
					s.Age(t, id)
					h.due = true
				}
				continue
			}
			if kind != "receive" && kind != "adjust" {
				want = m.expect(kind, h)
			}
			for range 2 {
				err := call()
				require.Equal(rt, want, inventoryapi.CodeOf(err), "%s: %v", kind, err)
				require.Equal(rt, want == "", err == nil, "%s: %v", kind, err)
			}
			for _, p := range products {
				available, reserved := s.Available(t, p)
				require.Equal(rt, m.reserved(p), reserved)
				require.Equal(rt, m.quantity[p]-m.reserved(p), available)
			}
		}
	})
	inventorytest.RequireConsistent(t, s.Pool)
}
