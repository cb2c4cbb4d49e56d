package inventory_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/tests/fault"
)

// TestBackordersFollowTheRule runs random operations on two products against the real database. Some answers to a
// COMMIT get lost; the caller sends every request twice. After each operation it compares the backorders that were
// granted with those that the rule grants: in the order of placing, each whole or not at all, from the stock that the
// operation has left.
func TestBackordersFollowTheRule(t *testing.T) {
	t.Parallel()
	url, pool := inventorytest.NewDatabase(t)
	faulty, proxy := inventorytest.NewProxiedPool(t, url)
	service := inventory.New(inventory.Options{Pool: faulty})
	s := inventorytest.NewSubject(t, service, pool)
	rapid.Check(t, func(rt *rapid.T) {
		r := &queueRun{
			t:       t,
			rt:      rt,
			s:       s,
			service: service,
			proxy:   proxy,
			places:  map[uuid.UUID]inventoryapi.PlaceBackorderRequest{},
		}
		r.products = []uuid.UUID{s.Stock(t, 3, 1), uuid.New()} // inventory does not know the second one yet
		kinds := []string{
			"place", "place", "place", "place", "reserve", "reserve",
			"receive", "receive", "adjust", "release", "expire", "confirm", "return",
			"cancel", "expire backorder", "extend", "wait", "wait for backorder",
		}
		for range rapid.IntRange(5, 25).Draw(rt, "operations") {
			r.step(rapid.SampledFrom(kinds).Draw(rt, "kind"))
		}
		faults, err := inventorytest.Inconsistencies(t.Context(), pool)
		require.NoError(rt, err)
		require.Empty(rt, faults)
	})
	service.Close()
	inventorytest.RequireConsistent(t, pool)
}

// queueRun is one sequence of operations on products of its own.
type queueRun struct {
	t        *testing.T
	rt       *rapid.T
	s        inventorytest.Subject
	service  *inventory.Service
	proxy    *fault.Postgres
	products []uuid.UUID
	places   map[uuid.UUID]inventoryapi.PlaceBackorderRequest
	placed   []uuid.UUID // the ids of places, in order
	reserved []inventoryapi.ReserveRequest
}

// queued is a backorder as the database has it.
type queued struct {
	id      uuid.UUID
	status  inventoryapi.BackorderStatus
	overdue bool
	wants   map[uuid.UUID]int64
}

// queueState is the stock and the backorders of a run's products.
type queueState struct {
	available map[uuid.UUID]int64 // what no reservation holds
	supplies  map[uuid.UUID]int64 // how often stock became available
	queue     []queued            // in the order of placing
}

// read reads the present state.
func (r *queueRun) read() queueState {
	s := queueState{available: map[uuid.UUID]int64{}, supplies: map[uuid.UUID]int64{}}
	rows, err := r.s.Pool.Query(r.t.Context(), `
		SELECT product_id, sum(quantity - reserved)::bigint, sum((
			SELECT count(*) FROM stock_ledger l WHERE l.item_id = i.item_id AND l.quantity_delta > l.reserved_delta
		))::bigint
		FROM items i WHERE product_id = ANY ($1) GROUP BY 1`, r.products)
	require.NoError(r.rt, err)
	for rows.Next() {
		var p uuid.UUID
		var available, supplies int64
		require.NoError(r.rt, rows.Scan(&p, &available, &supplies))
		s.available[p], s.supplies[p] = available, supplies
	}
	require.NoError(r.rt, rows.Err())

	rows, err = r.s.Pool.Query(r.t.Context(), `
		SELECT b.backorder_id, b.status, b.deadline <= clock_timestamp(), l.product_id, sum(l.quantity)::bigint
		FROM backorders b JOIN backorder_lines l USING (backorder_id)
		WHERE b.backorder_id = ANY ($1)
		GROUP BY b.position, 1, 2, 3, 4
		ORDER BY b.position`, r.placed)
	require.NoError(r.rt, err)
	var id, product uuid.UUID
	var status string
	var overdue bool
	var wanted int64
	_, err = pgx.ForEachRow(rows, []any{&id, &status, &overdue, &product, &wanted}, func() error {
		if n := len(s.queue); n == 0 || s.queue[n-1].id != id {
			s.queue = append(s.queue, queued{id, inventoryapi.BackorderStatus(status), overdue, map[uuid.UUID]int64{}})
		}
		s.queue[len(s.queue)-1].wants[product] = wanted
		return nil
	})
	require.NoError(r.rt, err)
	return s
}

func (s queueState) find(id uuid.UUID) *queued {
	i := slices.IndexFunc(s.queue, func(q queued) bool { return q.id == id })
	if i < 0 {
		return nil
	}
	return &s.queue[i]
}

// step does an operation, twice, and checks which backorders were granted.
func (r *queueRun) step(kind string) {
	before := r.read()
	call := r.operation(kind)
	if call == nil {
		return
	}
	if rapid.IntRange(0, 3).Draw(r.rt, "lose") == 0 {
		defer r.proxy.LoseCommits(1).Release()
	}
	code, err := call()
	require.NotContains(r.rt, []inventoryapi.Code{"", inventoryapi.Unavailable}, errorCode(code, err), "%s: %v", kind, err)
	again, err := call() // by a caller that did not get the first answer
	require.Equal(r.rt, code, again, "%s again: %v", kind, err)
	r.check(kind, before, r.read())
}

// errorCode returns "ok" for success and the code of an error; "" is an error without a code.
func errorCode(code inventoryapi.Code, err error) inventoryapi.Code {
	if err == nil {
		return "ok"
	}
	return code
}

// check compares the backorders that were granted with those that the rule grants. The rule looks at the list of a
// product if stock of it became available or a backorder left the list. An operation that fell short may have taken
// stock back or ended an overdue backorder.
func (r *queueRun) check(kind string, before, after queueState) {
	stirs := map[uuid.UUID]bool{}
	var granted []uuid.UUID
	left := map[uuid.UUID]int64{} // what the operation has left to the waiting list
	for p, n := range after.available {
		left[p] = n
	}
	for _, q := range after.queue {
		was := before.find(q.id)
		if was == nil || was.status != inventoryapi.BackorderWaiting {
			continue
		}
		if q.status == inventoryapi.BackorderGranted {
			granted = append(granted, q.id)
			for p, n := range q.wants {
				left[p] += n
			}
		}
		if q.status == inventoryapi.BackorderCancelled || q.status == inventoryapi.BackorderExpired {
			for p := range q.wants {
				stirs[p] = true
			}
		}
	}
	for p, n := range after.supplies {
		if n > before.supplies[p] {
			stirs[p] = true
		}
	}

	var want []uuid.UUID
	for _, q := range before.queue {
		now := after.find(q.id)
		waits := q.status == inventoryapi.BackorderWaiting && !q.overdue &&
			(now.status == inventoryapi.BackorderWaiting || now.status == inventoryapi.BackorderGranted)
		looked, fits := false, true
		for p, n := range q.wants {
			looked = looked || stirs[p]
			fits = fits && left[p] >= n
		}
		if waits && looked && fits {
			want = append(want, q.id)
			for p, n := range q.wants {
				left[p] -= n
			}
		}
	}
	require.Equal(r.rt, want, granted, "%s: %v, then %v", kind, before, after)
	for p, n := range after.available {
		require.GreaterOrEqual(r.rt, n, int64(0), "product %s is oversold", p)
	}
}

// operation draws the arguments of an operation, or returns nil if there is nothing to do it to.
func (r *queueRun) operation(kind string) func() (inventoryapi.Code, error) {
	ctx := r.rt.Context()
	op := uuid.New()
	p := rapid.SampledFrom(r.products).Draw(r.rt, "product")
	at := rapid.SampledFrom(worldLocations).Draw(r.rt, "location")
	n := int64(rapid.IntRange(1, 4).Draw(r.rt, "n"))
	resolve := inventoryapi.ResolveRequest{OperationID: op, Actor: inventorytest.Actor}
	coded := func(err error) (inventoryapi.Code, error) { return inventoryapi.CodeOf(err), err }
	switch kind {
	case "place":
		in := inventorytest.NewPlace(r.lines()...)
		r.places[in.BackorderID] = in
		r.placed = append(r.placed, in.BackorderID)
		return func() (inventoryapi.Code, error) {
			out, err := r.service.PlaceBackorder(ctx, in)
			if err == nil {
				require.Contains(r.rt, []inventoryapi.BackorderStatus{
					inventoryapi.BackorderWaiting, inventoryapi.BackorderGranted,
				}, out.Status)
			}
			return coded(err)
		}
	case "reserve":
		in := inventorytest.NewReserve(r.lines()...)
		r.reserved = append(r.reserved, in)
		return func() (inventoryapi.Code, error) { _, err := r.service.Reserve(ctx, in); return coded(err) }
	case "receive":
		in := inventoryapi.ReceiveRequest{OperationID: op, Location: at, Quantity: n}
		return func() (inventoryapi.Code, error) {
			_, err := r.service.ReceiveStock(ctx, p, in, inventorytest.By)
			return coded(err)
		}
	case "adjust":
		n -= 2
		in := inventoryapi.AdjustRequest{OperationID: op, Location: at, Delta: &n, Reason: "r"}
		return func() (inventoryapi.Code, error) {
			_, err := r.service.AdjustStock(ctx, p, in, inventorytest.By)
			return coded(err)
		}
	}

	if backorder := r.backorderOperation(kind, resolve); backorder != nil {
		return backorder
	}
	ids := slices.Clone(r.placed) // reservations, some of them granted, some still waiting
	for _, in := range r.reserved {
		ids = append(ids, in.ReservationID)
	}
	if len(ids) == 0 {
		return nil
	}
	id := rapid.SampledFrom(ids).Draw(r.rt, "reservation")
	switch kind {
	case "release":
		in := inventoryapi.ReleaseRequest{OperationID: op, Actor: inventorytest.Actor}
		return func() (inventoryapi.Code, error) { _, err := r.service.Release(ctx, id, in); return coded(err) }
	case "expire":
		return func() (inventoryapi.Code, error) { _, err := r.service.Expire(ctx, id, resolve); return coded(err) }
	case "confirm":
		return func() (inventoryapi.Code, error) { _, err := r.service.Confirm(ctx, id, resolve); return coded(err) }
	case "return":
		in := inventoryapi.ReturnRequest{OperationID: op, Actor: inventorytest.Actor}
		return func() (inventoryapi.Code, error) { _, err := r.service.Return(ctx, id, in); return coded(err) }
	case "wait":
		_, err := r.s.Pool.Exec(ctx, `
			UPDATE reservations SET expires_at = clock_timestamp() - interval '1 second'
			WHERE reservation_id = $1 AND status = 'pending'`, id)
		require.NoError(r.rt, err)
	}
	return nil
}

// backorderOperation is operation for those that name a backorder.
func (r *queueRun) backorderOperation(
	kind string, resolve inventoryapi.ResolveRequest,
) func() (inventoryapi.Code, error) {
	if len(r.placed) == 0 {
		return nil
	}
	ctx := r.rt.Context()
	id := rapid.SampledFrom(r.placed).Draw(r.rt, "backorder")
	coded := func(err error) (inventoryapi.Code, error) { return inventoryapi.CodeOf(err), err }
	switch kind {
	case "cancel":
		in := inventorytest.CancelOf(r.places[id])
		return func() (inventoryapi.Code, error) {
			_, err := r.service.CancelBackorder(ctx, id, in)
			return coded(err)
		}
	case "expire backorder":
		return func() (inventoryapi.Code, error) {
			_, err := r.service.ExpireBackorder(ctx, id, resolve)
			return coded(err)
		}
	case "extend":
		now, err := r.service.GetBackorder(ctx, id)
		require.NoError(r.rt, err)
		in := inventoryapi.ExtendBackorderRequest{Deadline: now.CreatedAt.AddDate(0, 1, 0), Actor: inventorytest.Actor}
		return func() (inventoryapi.Code, error) {
			_, err := r.service.ExtendBackorder(ctx, id, in)
			return coded(err)
		}
	case "wait for backorder":
		_, err := r.s.Pool.Exec(ctx, `
			WITH late AS (
				UPDATE backorders SET deadline = clock_timestamp() - interval '1 second'
				WHERE backorder_id = $1 AND status = 'waiting' RETURNING backorder_id, deadline
			)
			UPDATE backorder_lines l SET deadline = late.deadline FROM late WHERE l.backorder_id = late.backorder_id`, id)
		require.NoError(r.rt, err)
	}
	return nil
}

// lines draws the lines of a request for one product or both.
func (r *queueRun) lines() []inventoryapi.ReserveLine {
	var lines []inventoryapi.ReserveLine
	for i := range rapid.IntRange(1, 2).Draw(r.rt, "lines") {
		p := rapid.SampledFrom(r.products).Draw(r.rt, fmt.Sprintf("product of line %d", i))
		lines = append(lines, inventorytest.Line(p, int64(rapid.IntRange(1, 3).Draw(r.rt, "quantity"))))
	}
	return lines
}
