package orderstore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/money"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/workflows/orderflow"
)

// later returns in as the record of a second run, later than all records of the first run.
func later(in orderflow.RecordInput) orderflow.RecordInput {
	in.RunID = "second run"
	for i := range in.Entries {
		in.Entries[i].At = in.Entries[i].At.Add(time.Hour)
	}
	return in
}

// TestRecordNeverGoesBack starts a second run for an order in every state. The first record of the second run writes
// nothing and returns what the first run has recorded.
func TestRecordNeverGoesBack(t *testing.T) {
	t.Parallel()
	pool := open(t)
	s := orderstore.New(pool)
	hash := strings.Repeat("ab", 32)
	for _, state := range order.States() {
		id := uuid.New()
		placed := first(id, hash)
		recordAll(t, s, placed)
		_, err := pool.Exec(t.Context(),
			"UPDATE orders SET state = $2, seq = 4, payment_attempts = 1 WHERE order_id = $1", id, string(state))
		require.NoError(t, err)

		cancelled := record(id, 2, order.Cancelled, order.EventCancelled)
		cancelled.Entries[0].From = order.Reserved
		for _, in := range []orderflow.RecordInput{later(placed), later(cancelled)} {
			out, err := s.Record(t.Context(), in)
			require.NoError(t, err, "%s", state)
			require.NotNil(t, out.Earlier, "%s", state)
			require.Equal(t, state, out.Earlier.State)
			require.EqualValues(t, 4, out.Earlier.Seq)
			require.Equal(t, 1, out.Earlier.PaymentAttempts)
			require.Equal(t, "run", out.Earlier.RunID)
		}

		timeline, err := s.Timeline(t.Context(), id)
		require.NoError(t, err)
		require.Len(t, timeline, 2, "%s", state)
	}
}

// TestCapturedAttempt: the payment that paid for an order is the captured one that was not refunded as a whole. A later
// payment whose answer was lost may have been captured, too, and was refunded.
func TestCapturedAttempt(t *testing.T) {
	t.Parallel()
	s := orderstore.New(open(t))
	step := func(step orderflow.PaymentStep, attempt, number int, state orderflow.PaymentState) orderflow.PaymentRecord {
		return orderflow.PaymentRecord{
			Step: step, Attempt: attempt, Number: number, Provider: "test", State: state, At: time.Now(),
			Amount: money.Amount{Minor: 2500, Currency: "EUR"},
		}
	}
	first1, lost2 := step(orderflow.StepCapture, 1, 0, orderflow.PaymentCaptured),
		step(orderflow.StepCapture, 2, 0, orderflow.PaymentCaptured)
	part := step(orderflow.StepRefund, 1, 1, orderflow.PaymentRefunded)
	whole := func(attempt int) orderflow.PaymentRecord {
		return step(orderflow.StepRefund, attempt, 0, orderflow.PaymentRefunded)
	}
	for name, c := range map[string]struct {
		payments []orderflow.PaymentRecord
		wants    int
	}{
		"one":                          {[]orderflow.PaymentRecord{first1}, 1},
		"refunded as a whole":          {[]orderflow.PaymentRecord{first1, whole(1)}, 1},
		"refunded in part":             {[]orderflow.PaymentRecord{first1, part}, 1},
		"a second that was refunded":   {[]orderflow.PaymentRecord{first1, lost2, whole(2)}, 1},
		"a second, the first refunded": {[]orderflow.PaymentRecord{first1, whole(1), lost2}, 2},
		"none":                         {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := uuid.New()
			paid := record(id, 2, order.Confirmed, order.EventConfirmed)
			paid.Entries[0].From, paid.Payments = order.Paying, c.payments
			recordAll(t, s, first(id, strings.Repeat("ab", 32)), paid)
			got, err := s.Find(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, c.wants, got.CapturedAttempt)
		})
	}
}

// TestSettledRowStays: within one run too, a late or lost record does not change a settled order.
func TestSettledRowStays(t *testing.T) {
	t.Parallel()
	s := orderstore.New(open(t))
	for _, state := range []order.State{order.Confirmed, order.Cancelled, order.Expired, order.Failed} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			id := uuid.New()
			end := record(id, 2, state, order.Event(state))
			end.Entries[0].From = order.Paying
			back := record(id, 3, order.Reserved, order.EventPaymentAbandoned)
			back.Entries[0].From = order.Paying
			note := record(id, 3, state, order.EventStockReleased)
			note.Entries[0].From = state

			recordAll(t, s, first(id, strings.Repeat("ab", 32)), end)
			out, err := s.Record(t.Context(), back)
			require.NoError(t, err)
			require.NotNil(t, out.Earlier, "an execution that did not know is told how the order ended")
			got, err := s.Get(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, state, got.State)
			require.EqualValues(t, 2, got.Seq)

			recordAll(t, s, note)
			got, err = s.Get(t.Context(), id)
			require.NoError(t, err)
			require.EqualValues(t, 3, got.Seq, "an entry after the end is recorded")
		})
	}
}

// TestTakingOver: a second run that names the seq it has found continues the order from there, once. Later records of
// the first run write nothing.
func TestTakingOver(t *testing.T) {
	t.Parallel()
	s, id := orderstore.New(open(t)), uuid.New()
	paying := record(id, 2, order.Paying, order.EventPaymentStarted)
	paying.Entries[0].From = order.Reserved
	declined := paying
	declined.Payments = []orderflow.PaymentRecord{{
		Step:     "authorise",
		Attempt:  1,
		Provider: "sandbox",
		Amount:   money.Amount{Minor: 500, Currency: "EUR"},
		State:    "declined",
		At:       time.Now(),
	}}
	recordAll(t, s, first(id, strings.Repeat("ab", 32)), declined)

	takenUp := func() orderflow.RecordInput {
		in := record(id, 3, order.Reserved, order.EventTakenUp)
		in.Entries[0].From = order.Paying
		return later(in)
	}
	found, err := s.Find(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, 1, found.Declines)

	wrong, right := takenUp(), takenUp()
	wrong.After, right.After = 1, found.Seq
	out, err := s.Record(t.Context(), wrong)
	require.NoError(t, err)
	require.NotNil(t, out.Earlier, "the row has a later seq than the record names")
	recordAll(t, s, right, right)
	found, err = s.Find(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, []any{"second run", order.Reserved, int64(3)}, []any{found.RunID, found.State, found.Seq})

	late := record(id, 3, order.Expired, order.EventExpired)
	late.Entries[0].From = order.Reserved
	out, err = s.Record(t.Context(), late)
	require.NoError(t, err)
	require.NotNil(t, out.Earlier, "the second run has taken over the order")

	_, err = s.Find(t.Context(), uuid.New())
	require.ErrorIs(t, err, orderflow.ErrNoRow)
}

// TestWhatIsRefusedForGoodSaysSo: a record that can never be written is ErrUnrecordable, so that the workflow
// compensates the order and does not retry the record forever.
func TestWhatIsRefusedForGoodSaysSo(t *testing.T) {
	t.Parallel()
	s := orderstore.New(open(t))
	for name, spoil := range map[string]func(*orderflow.RecordInput){
		"a character that PostgreSQL does not store": func(in *orderflow.RecordInput) {
			in.Order.Metadata = map[string]string{"a": "\x00"}
		},
		"text that is not UTF-8":    func(in *orderflow.RecordInput) { in.Order.Email = "\xff" },
		"a malformed hash":          func(in *orderflow.RecordInput) { in.Order.RequestHash = "hash" },
		"a malformed currency":      func(in *orderflow.RecordInput) { in.Order.Total.Currency = "euro" },
		"a negative total":          func(in *orderflow.RecordInput) { in.Order.Total.Minor = -1 },
		"a line without a quantity": func(in *orderflow.RecordInput) { in.Order.Lines[0].Quantity = 0 },
		"a row that is gone":        func(in *orderflow.RecordInput) { in.Order = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := first(uuid.New(), strings.Repeat("ab", 32))
			spoil(&in)
			_, err := s.Record(t.Context(), in)
			require.ErrorIs(t, err, orderflow.ErrUnrecordable, fmt.Sprint(err))
		})
	}
}

// TestInputOfAnotherOrderIsRefused: an operator who starts an order's workflow by hand may give an input that differs
// from the order's row. Such a record is refused and writes nothing.
func TestInputOfAnotherOrderIsRefused(t *testing.T) {
	t.Parallel()
	s := orderstore.New(open(t))
	for name, change := range map[string]func(*orderflow.OrderInput){
		"another request":    func(in *orderflow.OrderInput) { in.RequestHash = strings.Repeat("cd", 32) },
		"another total":      func(in *orderflow.OrderInput) { in.Total.Minor = 1 },
		"another price":      func(in *orderflow.OrderInput) { in.Lines[0].UnitPrice.Minor = 1 },
		"another quantity":   func(in *orderflow.OrderInput) { in.Lines[0].Quantity = 3 },
		"another customer":   func(in *orderflow.OrderInput) { in.CustomerID = "mallory" },
		"an additional line": func(in *orderflow.OrderInput) { in.Lines = append(in.Lines, in.Lines[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			placed := first(uuid.New(), strings.Repeat("ab", 32))
			recordAll(t, s, placed)
			altered := *placed.Order
			altered.Lines = append([]orderflow.Line{}, placed.Order.Lines...)
			change(&altered)

			again := later(placed)
			again.Order = &altered
			_, err := s.Record(t.Context(), again)
			require.ErrorIs(t, err, orderflow.ErrRowTaken)
		})
	}
}

// TestPaymentIntents: the record of an order's end finds the payments that have begun and whose outcome is not
// recorded, and no payment begins after it.
func TestPaymentIntents(t *testing.T) {
	t.Parallel()
	s, id := orderstore.New(open(t)), uuid.New()
	require.ErrorIs(t, s.BeginPayment(t.Context(), id, 1), orderflow.ErrNoRow)
	recordAll(t, s, first(id, strings.Repeat("ab", 32)))
	for range 2 {
		require.NoError(t, s.BeginPayment(t.Context(), id, 1))
	}
	require.NoError(t, s.BeginPayment(t.Context(), id, 2))

	declined := record(id, 2, order.Reserved, order.EventPaymentDeclined)
	declined.Entries[0].From = order.Reserved
	declined.Payments = []orderflow.PaymentRecord{{
		Step:     orderflow.StepAuthorise,
		Attempt:  2,
		Provider: "sandbox",
		Amount:   money.Amount{Minor: 500, Currency: "EUR"},
		State:    orderflow.PaymentDeclined,
		At:       time.Now(),
	}}
	out, err := s.Record(t.Context(), declined)
	require.NoError(t, err)
	require.Empty(t, out.Begun, "the order is not settled")

	cancelled := record(id, 3, order.Cancelled, order.EventCancelled)
	cancelled.Entries[0].From = order.Reserved
	for range 2 { // also the answer to a record that is repeated
		out, err = s.Record(t.Context(), cancelled)
		require.NoError(t, err)
		require.Equal(t, []int{1}, out.Begun)
	}
	require.ErrorIs(t, s.BeginPayment(t.Context(), id, 3), orderflow.ErrOrderClosed)
}

// TestFirstRecordTakesTheRow: the first record of a workflow advances the row that the api has inserted, whatever the
// two clocks say, and takes the order from the line.
func TestFirstRecordTakesTheRow(t *testing.T) {
	t.Parallel()
	s := orderstore.New(open(t))
	in := first(uuid.New(), strings.Repeat("ab", 32))
	in.Entries[0].From = order.Pending
	placed := *in.Order
	placed.PlacedAt = in.Entries[0].At.Add(time.Minute) // the api's clock is ahead of the workflow's
	for i := range 2 {
		number, err := s.Place(t.Context(), placed, false)
		require.NoError(t, err)
		require.Equal(t, i == 0, number != "", "an order is inserted once")
	}
	row, err := s.Get(t.Context(), placed.OrderID)
	require.NoError(t, err)
	require.True(t, row.Waits())
	_, err = s.Find(t.Context(), placed.OrderID)
	require.ErrorIs(t, err, orderflow.ErrNoRow, "no run has recorded it")
	require.ErrorIs(t, s.BeginPayment(t.Context(), placed.OrderID, 1), orderflow.ErrNoRow, "and nothing is paid yet")

	other := later(in)
	altered := placed
	altered.Lines = []orderflow.Line{placed.Lines[0]}
	altered.Lines[0].Quantity = 7
	other.Order = &altered
	_, err = s.Record(t.Context(), other)
	require.ErrorIs(t, err, orderflow.ErrRowTaken, "the row does not become another order's")

	recordAll(t, s, in, in)
	row, err = s.Get(t.Context(), placed.OrderID)
	require.NoError(t, err)
	require.Equal(t, []any{order.Reserved, int64(1), "run"}, []any{row.State, row.Seq, row.RunID})
	n, err := s.PositionInLine(t.Context(), placed.OrderID)
	require.NoError(t, err)
	require.Zero(t, n)
	out, err := s.Record(t.Context(), later(in))
	require.NoError(t, err)
	require.NotNil(t, out.Earlier, "a second run does not take the row again")
}

// TestReservedIsToldWithItsLines: the event of the reserved stock names lines and total, also if an earlier record had
// the order's input.
func TestReservedIsToldWithItsLines(t *testing.T) {
	t.Parallel()
	pool := open(t)
	s, in := orderstore.New(pool), first(uuid.New(), strings.Repeat("ab", 32))
	in.View.State = order.Pending
	in.Entries[0].Event, in.Entries[0].From, in.Entries[0].State = order.EventPending, order.Pending, order.Pending
	reserved := record(in.View.OrderID, 2, order.Reserved, order.EventReserved)
	reserved.Entries[0].From = order.Pending
	recordAll(t, s, in, reserved)

	var lines int
	require.NoError(t, pool.QueryRow(t.Context(), `
		SELECT json_array_length(payload -> 'lines') FROM outbox WHERE event_type = 'order.reserved'`).Scan(&lines))
	require.Equal(t, 1, lines)
}

// TestRowOfARestoredDatabase: an operator restored the database to a time before the order's first record. Record
// refuses a later record for good, because no run has written the row. The workflow then undoes the order. If Record
// returned the row instead, the workflow would try for ever to take over from a run that does not exist.
func TestRowOfARestoredDatabase(t *testing.T) {
	t.Parallel()
	s := orderstore.New(open(t))
	placed := first(uuid.New(), strings.Repeat("ab", 32))
	_, err := s.Place(t.Context(), *placed.Order, false)
	require.NoError(t, err)
	extended := record(placed.View.OrderID, 2, order.Reserved, order.EventExtended)
	extended.Entries[0].From = order.Reserved
	_, err = s.Record(t.Context(), extended)
	require.ErrorIs(t, err, orderflow.ErrUnrecordable)
}
