package orderstore_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/money"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/workflows/orderflow"
)

// contents are n lines of two units for 5.00 EUR each.
func contents(number, n int) *orderflow.Contents {
	out := &orderflow.Contents{ReservationNumber: number, Total: money.Amount{Currency: "EUR"}}
	for i := range n {
		line := orderflow.Line{
			LineNo:    i + 1,
			ProductID: uuid.New(),
			SKU:       "N",
			Name:      "A new thing",
			Quantity:  2,
			UnitPrice: money.Amount{Minor: 500, Currency: "EUR"},
			Total:     money.Amount{Minor: 1000, Currency: "EUR"},
		}
		out.Lines = append(out.Lines, line)
		out.Total.Minor += line.Total.Minor
	}
	return out
}

// edit returns the record of a change of the lines.
func edit(id uuid.UUID, seq int64, now *orderflow.Contents) orderflow.RecordInput {
	in := record(id, seq, order.Reserved, order.EventLinesChanged)
	in.Entries[0].From, in.Entries[0].Actor = order.Reserved, "alice"
	in.Contents = now
	return in
}

// TestEditReplacesTheLines: lines, total and the reservation's number change in the record that has the entry, once,
// also if there are fewer lines than before. A late record changes nothing.
func TestEditReplacesTheLines(t *testing.T) {
	t.Parallel()
	pool := open(t)
	s, id := orderstore.New(pool), uuid.New()
	placed := first(id, strings.Repeat("ab", 32))
	more, fewer := contents(2, 3), contents(4, 1)
	first, second := edit(id, 2, more), edit(id, 3, fewer)
	recordAll(t, s, placed, first, first)

	check := func(want *orderflow.Contents) {
		t.Helper()
		o, err := s.Get(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, want.Total, o.Total)
		require.Equal(t, want.ReservationNumber, o.ReservationNumber)
		require.Len(t, o.Lines, len(want.Lines))
		for i, l := range o.Lines {
			require.Equal(t, orderstore.Line(want.Lines[i]), l)
		}
		found, err := s.Find(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, want, found.Contents, "a later run of the workflow learns of it")
		in := orderstore.InputOf(o)
		require.Equal(t, want.ReservationNumber, in.ReservationNumber)
		require.Equal(t, want.Lines, in.Lines)
	}
	check(more)
	recordAll(t, s, second, first)
	check(fewer)

	var lines []int
	rows, err := pool.Query(t.Context(), `
		SELECT json_array_length(payload -> 'lines') FROM outbox WHERE event_type = 'order.lines_changed'
		ORDER BY aggregate_version`)
	require.NoError(t, err)
	for rows.Next() {
		var n int
		require.NoError(t, rows.Scan(&n))
		lines = append(lines, n)
	}
	require.NoError(t, rows.Err())
	require.Equal(t, []int{3, 1}, lines)

	// A reset run begins with the input of the start, which has the old lines.
	again := placed
	again.RunID = "second run"
	out, err := s.Record(t.Context(), again)
	require.NoError(t, err)
	require.Equal(t, fewer, out.Earlier.Contents)
	again.Order.RequestHash = strings.Repeat("cd", 32)
	_, err = s.Record(t.Context(), again)
	require.ErrorIs(t, err, orderflow.ErrRowTaken, "another order is still told apart")
}

// TestEditBeforeTheFirstRecord: the orders database was down while an order was reserved and changed, so the first
// record has both.
func TestEditBeforeTheFirstRecord(t *testing.T) {
	t.Parallel()
	s, id := orderstore.New(open(t)), uuid.New()
	in := first(id, strings.Repeat("ab", 32))
	inserted, err := s.Place(t.Context(), *in.Order, true)
	require.NoError(t, err)
	require.NotEmpty(t, inserted)
	in.Entries[0].From = order.Pending
	change := edit(id, 2, contents(2, 2))
	in.View, in.Contents, in.Entries = change.View, change.Contents, append(in.Entries, change.Entries...)
	for i := range in.Entries { // the row has the real time
		in.Entries[i].At = in.Entries[i].At.AddDate(10, 0, 0)
	}
	recordAll(t, s, in, in)

	o, err := s.Get(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, o.Lines, 2)
	require.Equal(t, in.Contents.Total, o.Total)
}
