package linearize_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
)

// close ends the open operations. Every replica has stopped, so an operation that has not happened yet never will. If
// an operation without an answer left no trace in the database, it changed nothing and no client can have seen it, so
// close removes it: otherwise the search for an order would try every subset of such operations. At the end, close
// reads everything once more, through a replica of its own.
func (h *historian) close(t *testing.T, last replica) {
	t.Helper()
	traces, ends := h.traces(t)
	extended := h.extensions(t)
	h.mu.Lock()
	end := h.now()
	redundant := h.redundant()
	h.history = slices.DeleteFunc(h.history, func(o porcupine.Operation) bool {
		a := o.Input.(action)
		if a.kind == "extend" {
			return o.Output.(result).unknown && !extended(a)
		}
		return o.Output.(result).unknown && (!traces[a.op] || redundant(o))
	})
	for i := range h.history {
		o, a := &h.history[i], h.history[i].Input.(action)
		a.ends = ends[a.op]
		if a.kind == "reserve" && replaces(a.i) {
			a.ends = ends[inventoryapi.ReplaceOperation(h.holds[a.i-1].ReservationID)]
		}
		o.Input = a
		if o.Output.(result).unknown && !o.Output.(result).within {
			o.Return = end
		}
	}
	h.mu.Unlock()
	h.addTakeBacks(t, end)

	client := h.newClient()
	h.ask(t, t.Context(), client, last, action{kind: "read"})
	for i := range h.holds {
		h.ask(t, t.Context(), client, last, action{kind: "get", i: i})
	}
}

// addTakeBacks adds the take-backs of overdue reservations to the history. Each was a part of some reserve, also of one
// that was refused or has no answer. The ledger has the time of its decision, so it happened after that.
func (h *historian) addTakeBacks(t *testing.T, end int64) {
	t.Helper()
	const clockError = int64(50 * time.Millisecond)
	for i := range h.holds {
		var at time.Time
		err := h.pool.QueryRow(t.Context(), `
			SELECT resolved_at FROM reservations WHERE reservation_id = $1 AND status = 'expired' AND actor <> $2`,
			h.holds[i].ReservationID, inventorytest.Actor).Scan(&at)
		if errors.Is(err, pgx.ErrNoRows) {
			continue
		}
		require.NoError(t, err)
		h.takenBack++
		h.history = append(h.history, porcupine.Operation{
			ClientId: h.newClient(),
			Input:    action{kind: "takeback", i: i, ends: true},
			Output:   result{unknown: true},
			Call:     max(0, at.Sub(h.start).Nanoseconds()-clockError),
			Return:   end,
		})
	}
}

// redundant returns a function that reports whether an attempt without an answer explains nothing, because its
// operation had several attempts. If the answer to one attempt says that this attempt did the operation, the others did
// nothing. Of the attempts that are open to the end, the first can stand for all.
func (h *historian) redundant() func(porcupine.Operation) bool {
	done, first := map[uuid.UUID]bool{}, map[uuid.UUID]int64{}
	for _, o := range h.history {
		a, got := o.Input.(action), o.Output.(result)
		switch at, known := first[a.op]; {
		case got.unknown && !got.within && (!known || o.Call < at):
			first[a.op] = o.Call
		case !got.unknown && got.code == "" && !got.replayed && (a.kind == "reserve" || a.kind == "change"):
			done[a.op] = true
		}
	}
	return func(o porcupine.Operation) bool {
		op := o.Input.(action).op
		at, known := first[op]
		return done[op] || known && o.Call > at
	}
}

// traces returns the ids of the operations that the database knows, and of those among them that ended a reservation.
func (h *historian) traces(t *testing.T) (all, ends map[uuid.UUID]bool) {
	t.Helper()
	all = collect[uuid.UUID](t, h.pool, `SELECT operation_id FROM stock_ledger WHERE reservation_id IS NULL
		UNION SELECT reserve_operation FROM reservations WHERE request_hash IS NOT NULL
		UNION SELECT resolve_operation FROM reservations WHERE status <> 'pending'`)
	return all, collect[uuid.UUID](t, h.pool, "SELECT resolve_operation FROM reservations WHERE status <> 'pending'")
}

// extensions returns a function that reports whether an attempt to extend may have changed something. The database does
// not name extensions, but each raises the version, and each operation asks for a deadline of its own. If the answers
// confirm as many deadlines as there were extensions, only attempts for these deadlines changed something.
func (h *historian) extensions(t *testing.T) func(action) bool {
	t.Helper()
	told, open := map[int64]bool{}, [shelfHolds]bool{}
	for _, o := range h.history {
		if a := o.Input.(action); a.kind == "extend" && o.Output.(result).deadline == a.at {
			told[a.at] = true
		}
	}
	for i := range open {
		var extended int
		err := h.pool.QueryRow(t.Context(), `
			SELECT version - 1 - (status <> 'pending')::int FROM reservations
			WHERE reservation_id = $1 AND request_hash IS NOT NULL`, h.holds[i].ReservationID).Scan(&extended)
		if !errors.Is(err, pgx.ErrNoRows) {
			require.NoError(t, err)
		}
		confirmed := map[int64]bool{}
		for _, o := range h.history {
			if a := o.Input.(action); a.kind == "extend" && a.i == i && told[a.at] {
				confirmed[a.at] = true
			}
		}
		open[i] = extended > len(confirmed)
	}
	return func(a action) bool { return told[a.at] || open[a.i] }
}

func collect[T comparable](t *testing.T, pool *pgxpool.Pool, sql string) map[T]bool {
	t.Helper()
	rows, err := pool.Query(t.Context(), sql)
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(t, err)
	set := make(map[T]bool, len(all))
	for _, one := range all {
		set[one] = true
	}
	return set
}

// check compares the history with the specification. If they differ, it writes a page for a browser, which
// go test -artifacts keeps.
func (h *historian) check(t *testing.T) porcupine.CheckResult {
	t.Helper()
	model := shelfModel(h.quantity, h.cached)
	found, info := porcupine.CheckOperationsVerbose(model, h.history, 20*time.Second)
	if found != porcupine.Ok {
		page := t.ArtifactDir() + "/history-" + h.product.String() + ".html"
		require.NoError(t, porcupine.VisualizePath(model, info, page))
		t.Logf("%s: a history of %d operations; see %s (kept by go test -artifacts)\n%s",
			found, len(h.history), page, explain(model, info, h.history))
	}
	return found
}

// explain describes the longest part of the history that follows the specification, and the answers that the
// specification expects next.
func explain(model porcupine.Model, info porcupine.LinearizationInfo, history []porcupine.Operation) string {
	var longest []porcupine.Operation
	for _, p := range info.PartialLinearizationsOperations()[0] {
		if len(p) > len(longest) {
			longest = p
		}
	}
	state := model.Init()
	rest := slices.Clone(history)
	for _, o := range longest {
		_, state = model.Step(state, o.Input, o.Output)
		i := slices.IndexFunc(rest, func(r porcupine.Operation) bool {
			return r.Call == o.Call && r.ClientId == o.ClientId
		})
		rest = slices.Delete(rest, i, i+1)
	}

	text := fmt.Sprintf("%d of them follow the specification, to: %s", len(longest), model.DescribeState(state))
	until := slices.MinFunc(rest, func(x, y porcupine.Operation) int { return cmp.Compare(x.Return, y.Return) }).Return
	for _, o := range rest {
		if o.Call <= until {
			_, want := state.(shelf).do(o.Input.(action), o.Output.(result))
			text += fmt.Sprintf("\n%s, not %+v", model.DescribeOperation(o.Input, o.Output), want)
		}
	}
	return text
}
