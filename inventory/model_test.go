package inventory_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/tests/fault"
)

// TestServiceFollowsModel runs random operations of every kind against the real database and the model. Some answers to
// a COMMIT get lost. The caller sends every request twice, and the second answer must be the same as the first.
func TestServiceFollowsModel(t *testing.T) {
	t.Parallel()
	url, pool := inventorytest.NewDatabase(t)
	faulty, proxy := inventorytest.NewProxiedPool(t, url)
	service := inventory.New(inventory.Options{Pool: faulty})
	s := inventorytest.NewSubject(t, service, pool)
	rapid.Check(t, func(rt *rapid.T) {
		r := &modelRun{
			t:       t,
			rt:      rt,
			s:       s,
			service: service,
			proxy:   proxy,
			world: world{
				items: map[uuid.UUID]map[string]*worldItem{},
				holds: map[uuid.UUID]*worldHold{},
			},
			was: map[[2]string]bool{},
		}
		for range 2 {
			p := uuid.New()
			r.products = append(r.products, p)
			r.world.items[p] = map[string]*worldItem{"near": {threshold: 10}, "far": {threshold: 10}}
		}

		strategies := []inventoryapi.Strategy{
			"",
			inventoryapi.StrategyPriority,
			inventoryapi.StrategyMostStock,
			inventoryapi.StrategyFewestLocations,
		}
		for range 5 {
			var lines []inventoryapi.ReserveLine
			for range rapid.IntRange(1, 3).Draw(rt, "lines") {
				lines = append(lines, inventorytest.Line(r.product(), int64(rapid.IntRange(1, 4).Draw(rt, "quantity"))))
			}
			in := inventorytest.NewReserve(lines...)
			in.Strategy = rapid.SampledFrom(strategies).Draw(rt, "strategy")
			h := &worldHold{in: in}
			if n := len(r.ids); n > 0 && rapid.IntRange(0, 2).Draw(rt, "replaces") == 0 {
				h.old = r.world.holds[r.ids[n-1]]
				h.in = inventorytest.ReplaceOf(h.old.in, lines...)
				h.in.Strategy = in.Strategy
			}
			r.ids = append(r.ids, h.in.ReservationID)
			r.world.holds[h.in.ReservationID] = h
		}

		kinds := []string{
			"reserve", "reserve", "reserve",
			"confirm", "release", "expire", "extend", "return", "wait",
			"receive", "receive", "adjust", "count", "transfer", "threshold", "create", "delete",
		}
		for range rapid.IntRange(4, 16).Draw(rt, "operations") {
			r.step(rapid.SampledFrom(kinds).Draw(rt, "kind"))
			r.compare()
		}
	})
	service.Close()
	inventorytest.RequireConsistent(t, pool)
}

// modelRun is one sequence of operations on products and reservations of its own.
type modelRun struct {
	t        *testing.T
	rt       *rapid.T
	s        inventorytest.Subject
	service  *inventory.Service
	proxy    *fault.Postgres
	world    world
	products []uuid.UUID
	ids      []uuid.UUID
	was      map[[2]string]bool // by product and location: an item exists or existed
}

func (r *modelRun) product() uuid.UUID { return rapid.SampledFrom(r.products).Draw(r.rt, "product") }

func (r *modelRun) location() string { return rapid.SampledFrom(worldLocations).Draw(r.rt, "location") }

// step draws the arguments of an operation and does the operation.
func (r *modelRun) step(kind string) {
	ctx := r.rt.Context()
	id := rapid.SampledFrom(r.ids).Draw(r.rt, "reservation")
	h := r.world.holds[id]
	p, at := r.product(), r.location()
	n := int64(rapid.IntRange(1, 5).Draw(r.rt, "n"))
	op := uuid.New()
	var want inventoryapi.Code
	var call func() (any, error)
	switch kind {
	case "wait":
		if h.status == inventoryapi.StatusPending {
			r.s.Age(r.t, id)
			r.world.age(h)
		}
		return
	case "reserve":
		want = r.world.reserve(h)
		call = func() (any, error) {
			out, err := r.service.Reserve(ctx, h.in)
			out.Replayed = false
			return out, err
		}
	case "confirm", "expire":
		in := inventoryapi.ResolveRequest{OperationID: op, Actor: inventorytest.Actor}
		if kind == "confirm" {
			want = r.world.resolve(h, inventoryapi.StatusConfirmed)
			call = func() (any, error) { return r.service.Confirm(ctx, id, in) }
		} else {
			want = r.world.resolve(h, inventoryapi.StatusExpired)
			call = func() (any, error) { return r.service.Expire(ctx, id, in) }
		}
	case "release":
		in := inventorytest.ReleaseOf(h.in)
		want = r.world.resolve(h, inventoryapi.StatusReleased)
		call = func() (any, error) { return r.service.Release(ctx, id, in) }
	case "extend":
		deadline := time.Now().Add(time.Duration(n) * time.Hour)
		in := inventoryapi.ExtendRequest{ExpiresAt: deadline, Actor: inventorytest.Actor}
		want = r.world.extend(h)
		call = func() (any, error) { return r.service.Extend(ctx, id, in) }
	case "return":
		in := inventoryapi.ReturnRequest{OperationID: op, Actor: inventorytest.Actor}
		line := rapid.IntRange(0, len(h.in.Lines)).Draw(r.rt, "line")
		if line > 0 {
			in.Lines = []inventoryapi.ReturnLine{{LineNo: line, Quantity: n}}
		}
		want = r.world.giveBack(h, line, map[bool]int64{true: n}[line > 0])
		call = func() (any, error) { return r.service.Return(ctx, id, in) }
	case "receive":
		r.was[[2]string{p.String(), at}] = true
		want = r.world.receive(p, at, n)
		in := inventoryapi.ReceiveRequest{OperationID: op, Location: at, Quantity: n}
		call = func() (any, error) { return plain(r.service.ReceiveStock(ctx, p, in, inventorytest.By)) }
	case "adjust":
		n -= 3
		in := inventoryapi.AdjustRequest{OperationID: op, Location: at, Delta: &n, Reason: "r"}
		want = r.world.adjust(p, at, n)
		call = func() (any, error) { return plain(r.service.AdjustStock(ctx, p, in, inventorytest.By)) }
	case "count":
		in := inventoryapi.AdjustRequest{OperationID: op, Location: at, Quantity: &n, Reason: "r"}
		want = r.world.adjust(p, at, n-r.world.items[p][at].quantity)
		call = func() (any, error) { return plain(r.service.AdjustStock(ctx, p, in, inventorytest.By)) }
	case "transfer":
		to := map[string]string{"near": "far", "far": "near"}[at]
		in := inventoryapi.TransferRequest{OperationID: op, From: at, To: to, Quantity: n, Reason: "r"}
		if want = r.world.transfer(p, at, to, n); want == "" {
			r.was[[2]string{p.String(), to}] = true
		}
		call = func() (any, error) {
			out, err := r.service.TransferStock(ctx, p, in, inventorytest.By)
			out.Replayed, out.Version = false, 0
			return out, err
		}
	case "threshold":
		want = r.world.setThreshold(p, at, n)
		in := inventoryapi.ThresholdRequest{Location: at, LowStockThreshold: &n}
		call = func() (any, error) { return r.service.SetThreshold(ctx, p, in, inventorytest.By) }
	case "create":
		r.was[[2]string{p.String(), at}] = true
		want = r.world.createItem(p, at)
		call = func() (any, error) {
			out, err := r.service.CreateItem(ctx, p, at, inventoryapi.CreateItemRequest{}, inventorytest.By)
			out.Created = false
			return out, err
		}
	case "delete":
		want = r.world.deleteItem(p, at, r.was[[2]string{p.String(), at}])
		in := inventoryapi.DeleteItemRequest{OperationID: op, Reason: "r"}
		call = func() (any, error) { return plain(r.service.DeleteItem(ctx, p, at, in, inventorytest.By)) }
	}
	r.ask(kind, want, call)
}

// plain removes the fields that differ between a first answer and a repeated one.
func plain(out inventoryapi.StockChange, err error) (inventoryapi.StockChange, error) {
	out.Replayed, out.Version = false, 0
	return out, err
}

// ask does the operation, sometimes with a lost answer to the COMMIT, and does it again.
func (r *modelRun) ask(kind string, want inventoryapi.Code, call func() (any, error)) {
	if rapid.IntRange(0, 3).Draw(r.rt, "lose") == 0 {
		rule := r.proxy.LoseCommits(1)
		defer rule.Release()
	}
	first, err := call()
	require.Equal(r.rt, want, inventoryapi.CodeOf(err), "%s: %v", kind, err)
	require.Equal(r.rt, want == "", err == nil, "%s: %v", kind, err)
	again, err := call() // by a caller that did not get the first answer
	require.Equal(r.rt, want, inventoryapi.CodeOf(err), "%s again: %v", kind, err)
	if want == "" {
		require.Equal(r.rt, first, again, "%s again", kind)
	}
}

// compare compares the stock and reservations that a caller can read with the model.
func (r *modelRun) compare() {
	for _, p := range r.products {
		a, err := r.service.Availability(r.rt.Context(), p, 1)
		got := map[string][2]int64{}
		for _, l := range a.Locations {
			got[l.Location] = [2]int64{l.Quantity, l.Reserved}
			require.Equal(r.rt, l.Quantity-l.Reserved, l.Available)
		}
		want := map[string][2]int64{}
		for location, it := range r.world.items[p] {
			if it.kept {
				want[location] = [2]int64{it.quantity, it.reserved - r.world.overdue(p, location)}
			}
		}
		require.Equal(r.rt, want, got)
		require.Equal(r.rt, len(want) > 0, err == nil, "%v", err)
	}
	for id, h := range r.world.holds {
		out, err := r.service.GetReservation(r.rt.Context(), id)
		require.Equal(r.rt, h.status == "", err != nil, "%v", err)
		require.Equal(r.rt, h.status, out.Status)
		var got []worldPick
		for _, l := range out.Lines {
			got = append(got, worldPick{l.LineNo, l.ProductID, l.Location, l.Quantity, l.Returned})
		}
		require.ElementsMatch(r.rt, h.picks, got)
	}
}
