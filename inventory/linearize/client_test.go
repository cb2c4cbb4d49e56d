package linearize_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
)

// replica is one instance of the service, in process or over HTTP.
type replica interface {
	inventoryapi.API
	inventoryapi.Administration
}

// historian runs clients that work on one product through several replicas, and records their calls and answers.
type historian struct {
	cached   bool // replicas read availability from a cache
	product  uuid.UUID
	quantity int64
	replicas []replica
	pool     *pgxpool.Pool // reaches the database without faults
	start    time.Time
	holds    [shelfHolds]inventoryapi.ReserveRequest
	changes  [shelfChanges]uuid.UUID // operation ids

	asked atomic.Int64            // operations so far
	told  [shelfHolds]atomic.Bool // a client has the answer to the reserve

	mu        sync.Mutex
	history   []porcupine.Operation
	clients   int
	takenBack int // reservations that reserves took back
}

func newHistorian(t testing.TB, s inventorytest.Subject, quantity int64, replicas []replica, cached bool) *historian {
	t.Helper()
	h := &historian{
		cached:   cached,
		product:  s.Stock(t, quantity),
		quantity: quantity,
		replicas: replicas,
		pool:     s.Pool,
		start:    time.Now(),
	}
	for i := range h.holds {
		lines := inventorytest.Line(h.product, int64(1+i%3))
		h.holds[i] = inventorytest.NewReserve(lines)
		if replaces(i) {
			h.holds[i] = inventorytest.ReplaceOf(h.holds[i-1], lines)
		}
	}
	for i := range h.changes {
		h.changes[i] = uuid.New()
	}
	return h
}

func (h *historian) now() int64 { return time.Since(h.start).Nanoseconds() }

// newClient returns the number of a new client. In a history a client does one operation at a time, so a client that
// gets no answer continues under a new number.
func (h *historian) newClient() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clients++
	return h.clients - 1
}

// client does some operations, one after another, on a window of reservations. The window moves with the number of
// operations of all clients.
func (h *historian) client(t *testing.T, operations, total int) {
	t.Helper()
	client := h.newClient()
	for range operations {
		a := h.next(total)
		ctx, cancel := t.Context(), context.CancelFunc(func() {})
		if rand.IntN(12) == 0 && a.kind != "age" && a.kind != "extend" { // an impatient caller
			ctx, cancel = context.WithTimeout(ctx, rand.N(4*time.Millisecond))
		}
		got := h.ask(t, ctx, client, h.replicas[rand.IntN(len(h.replicas))], a)
		cancel()
		if !got.unknown {
			continue
		}
		client = h.newClient()
		// A client without an answer asks again, at a random replica. It always repeats an extension: the database does
		// not name extensions, so the search would have to try many orders of an extension without an answer.
		for a.kind == "extend" || a.kind != "read" && a.kind != "get" && a.kind != "age" && rand.IntN(3) > 0 {
			if !h.ask(t, t.Context(), client, h.replicas[rand.IntN(len(h.replicas))], a).unknown {
				break
			}
			client = h.newClient()
		}
	}
}

func (h *historian) next(total int) action {
	kinds := []string{
		"reserve", "reserve", "reserve",
		"confirm", "release", "expire", "extend", "age", "get",
		"read", "read", "read", "change",
	}
	n := int(h.asked.Add(1))
	i := max(0, min(shelfHolds-1, n*shelfHolds/total+rand.IntN(5)-2))
	a := action{kind: kinds[rand.IntN(len(kinds))], i: i, op: uuid.New()}
	needsReservation := slices.Contains([]string{"confirm", "release", "expire", "extend", "age"}, a.kind)
	if h.cached && (a.kind == "get" || !h.told[i].Load() && needsReservation) {
		a.kind = "reserve"
	}

	switch a.kind {
	case "reserve":
		a.n, a.op = h.holds[i].Lines[0].Quantity, h.holds[i].OperationID
	case "extend":
		late := time.Hour + time.Duration(rand.IntN(10))*time.Minute
		a.at = h.start.Add(late).UnixMicro() + int64(n) // no other operation asks for the same deadline
	case "change":
		a.i = rand.IntN(shelfChanges)
		a.op = h.changes[a.i]
		if a.n = 3; a.i%2 == 1 {
			a.n = -2
		}
	case "read":
		a.i = 0
	}
	return a
}

// ask does one operation and records it. An operation without an answer may have happened, or may happen later, until
// close ends the history. A read without an answer is not recorded.
func (h *historian) ask(t *testing.T, ctx context.Context, client int, r replica, a action) result {
	t.Helper()
	began := h.now()
	got, err := h.call(ctx, r, a)
	ended := h.now()

	switch code := inventoryapi.CodeOf(err); {
	case err == nil:
	case code == inventoryapi.Unavailable, code == inventoryapi.VersionConflict, errors.Is(err, context.DeadlineExceeded):
		got = result{unknown: true}
	case code == "":
		t.Errorf("%+v: %v", a, err)
		return got
	default:
		got = refusal(code, err)
	}
	if got.unknown && (a.kind == "read" || a.kind == "get" || a.kind == "age") {
		return got
	}

	h.mu.Lock()
	defer h.mu.Unlock()
	h.history = append(h.history, porcupine.Operation{
		ClientId: client,
		Input:    a,
		Output:   got,
		Call:     began,
		Return:   ended,
	})
	if repeats(a, got) {
		h.clients++
		h.history = append(h.history, porcupine.Operation{
			ClientId: h.clients - 1,
			Input:    a,
			Output:   result{unknown: true, within: true},
			Call:     began,
			Return:   ended,
		})
	}
	return got
}

// repeats reports whether the answer may be that of a second attempt. If the answer to its COMMIT is lost, the service
// itself tries again. By then another client may have changed the result of the first attempt, and the answer shows
// that change. So the history has two operations, the first without an answer.
func repeats(a action, got result) bool {
	switch a.kind {
	case "reserve":
		return got.replayed || got.code == inventoryapi.AlreadyResolved
	case "extend":
		return got.code == inventoryapi.ReservationNotPending || got.code == inventoryapi.ReservationExpired ||
			got.code == "" && !got.unknown && got.deadline != a.at
	}
	return false
}

func refusal(code inventoryapi.Code, err error) result {
	got := result{code: code}
	var short *inventoryapi.InsufficientStockError
	var status *inventoryapi.StatusError
	var deadline *inventoryapi.DeadlineError
	switch {
	case errors.As(err, &short):
		got.counts = [3]int64{short.Lines[0].Requested, short.Lines[0].Available}
	case errors.As(err, &status):
		got.status = status.Status
	case errors.As(err, &deadline):
		got.status, got.deadline = deadline.Status, deadline.ExpiresAt.UnixMicro()
	}
	return got
}

func (h *historian) call(ctx context.Context, r replica, a action) (result, error) {
	in := h.holds[a.i]
	id := in.ReservationID
	switch a.kind {
	case "reserve", "get":
		var out inventoryapi.Reservation
		var err error
		if a.kind == "reserve" {
			out, err = r.Reserve(ctx, in)
		} else {
			out, err = r.GetReservation(ctx, id)
		}
		if err == nil && a.kind == "reserve" {
			h.told[a.i].Store(true)
		}
		got := result{
			status:   out.Status,
			replayed: out.Replayed,
			version:  out.Version,
			deadline: out.ExpiresAt.UnixMicro(),
		}
		for _, l := range out.Lines {
			got.counts = [3]int64{l.Quantity, l.RemainingStock, l.ReservedQuantity}
		}
		return got, err
	case "confirm":
		out, err := r.Confirm(ctx, id, inventoryapi.ResolveRequest{OperationID: a.op, Actor: inventorytest.Actor})
		return result{status: out.Status, counts: [3]int64{out.QuantityConfirmed, out.FinalStock, out.ReservedStock}}, err
	case "release":
		release := inventorytest.ReleaseOf(in)
		release.OperationID = a.op
		out, err := r.Release(ctx, id, release)
		return result{status: out.Status, counts: [3]int64{out.QuantityReleased, out.AvailableStock, out.ReservedStock}}, err
	case "expire":
		out, err := r.Expire(ctx, id, inventoryapi.ResolveRequest{OperationID: a.op, Actor: inventorytest.Actor})
		return result{status: out.Status, counts: [3]int64{out.QuantityReleased, out.AvailableStock, out.ReservedStock}}, err
	case "extend":
		out, err := r.Extend(ctx, id, inventoryapi.ExtendRequest{ExpiresAt: time.UnixMicro(a.at), Actor: inventorytest.Actor})
		return result{status: out.Status, deadline: out.ExpiresAt.UnixMicro()}, err
	case "age":
		var at time.Time
		err := h.pool.QueryRow(ctx, `
			UPDATE reservations SET expires_at = clock_timestamp() - interval '1 second'
			WHERE reservation_id = $1 AND status = 'pending' AND expires_at > clock_timestamp()
			RETURNING expires_at`, id).Scan(&at)
		if errors.Is(err, pgx.ErrNoRows) {
			return result{unknown: true}, nil // no pending reservation to age
		}
		return result{deadline: at.UnixMicro()}, err
	case "read":
		out, err := r.Availability(ctx, h.product, 1)
		counts := [3]int64{out.TotalStock, out.AvailableQuantity, out.ReservedQuantity}
		return result{counts: counts, version: out.Version}, err
	}
	if a.n > 0 {
		receive := inventoryapi.ReceiveRequest{OperationID: a.op, Location: "near", Quantity: a.n, Reason: "r"}
		out, err := r.ReceiveStock(ctx, h.product, receive, inventorytest.By)
		return result{replayed: out.Replayed, counts: [3]int64{out.Quantity, out.Stock, out.ReservedStock}}, err
	}
	adjust := inventoryapi.AdjustRequest{OperationID: a.op, Location: "near", Delta: &a.n, Reason: "r"}
	out, err := r.AdjustStock(ctx, h.product, adjust, inventorytest.By)
	return result{replayed: out.Replayed, counts: [3]int64{out.Quantity, out.Stock, out.ReservedStock}}, err
}
