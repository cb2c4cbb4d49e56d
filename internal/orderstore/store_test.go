package orderstore_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/internal/database"
	"holdfast/internal/money"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/tests/eventcheck"
	"holdfast/tests/testenv"
	"holdfast/workflows/orderflow"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// definition returns the definition of a constraint.
func definition(t *testing.T, pool *pgxpool.Pool, constraint string) (text string) {
	t.Helper()
	require.NoError(t, pool.QueryRow(t.Context(),
		"SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = $1", constraint).Scan(&text))
	return text
}

func open(t *testing.T) *pgxpool.Pool {
	t.Helper()
	url := testenv.Database(t)
	_, err := database.Migrate(t.Context(), url, database.Orders)
	require.NoError(t, err)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	eventcheck.AtEnd(t, pool, "orders")
	return pool
}

// TestStatesAreTheDatabases: the CHECK constraint of orders has exactly the states of order.States.
func TestStatesAreTheDatabases(t *testing.T) {
	t.Parallel()
	check := definition(t, open(t), "orders_state_check")
	inDatabase := []order.State{}
	for _, m := range regexp.MustCompile(`'([a-z_]+)'`).FindAllStringSubmatch(check, -1) {
		inDatabase = append(inDatabase, order.State(m[1]))
	}
	require.ElementsMatch(t, order.States(), inDatabase)
}

// TestTransitionsAreTheDatabases: the CHECK constraint of the timeline has exactly the transitions of
// order.Transitions, and a record of any other transition fails.
func TestTransitionsAreTheDatabases(t *testing.T) {
	t.Parallel()
	pool := open(t)
	check := definition(t, pool, "order_timeline_transition")
	want, got := []string{}, []string{}
	for _, tr := range order.Transitions() {
		want = append(want, tr.String())
	}
	for _, m := range regexp.MustCompile(`'([a-z_]*>[a-z_]+)'`).FindAllStringSubmatch(check, -1) {
		got = append(got, m[1])
	}
	require.ElementsMatch(t, want, got)

	s, id := orderstore.New(pool), uuid.New()
	recordAll(t, s, first(id, strings.Repeat("ab", 32)))
	for _, impossible := range []order.Transition{
		{From: order.Confirmed, To: order.Reserved},
		{From: order.Expired, To: order.Paying},
		{From: order.Reserved, To: order.Confirmed},
	} {
		in := record(id, 2, impossible.To, order.EventReserved)
		in.Entries[0].From = impossible.From
		_, err := s.Record(t.Context(), in)
		require.ErrorContains(t, err, "order_timeline_transition", "%s", impossible)
		require.ErrorIs(t, err, orderflow.ErrUnrecordable)
	}
}

// TestPaymentStepsAreTheDatabases: the CHECK constraints of payments have exactly the steps and states of orderflow.
func TestPaymentStepsAreTheDatabases(t *testing.T) {
	t.Parallel()
	pool := open(t)
	allowed := func(column string) []string {
		check := definition(t, pool, "payments_"+column+"_check")
		var out []string
		for _, m := range regexp.MustCompile(`'([a-z_]+)'`).FindAllStringSubmatch(check, -1) {
			out = append(out, m[1])
		}
		return out
	}

	var steps, states []string
	for _, s := range orderflow.PaymentSteps() {
		steps = append(steps, string(s))
	}
	for _, s := range orderflow.PaymentStates() {
		states = append(states, string(s))
	}
	require.ElementsMatch(t, steps, allowed("step"))
	require.ElementsMatch(t, states, allowed("state"))
}

func record(id uuid.UUID, seq int64, state order.State, event order.Event) orderflow.RecordInput {
	at := time.Date(2026, 1, 1, 0, 0, int(seq), 0, time.UTC)
	entry := orderflow.TimelineEntry{Seq: seq, Event: event, State: state, At: at, Actor: orderflow.ActorSystem}
	return orderflow.RecordInput{
		View:       orderflow.View{OrderID: id, Seq: seq, State: state},
		Entries:    []orderflow.TimelineEntry{entry},
		WorkflowID: orderflow.OrderWorkflowID(id),
		RunID:      "run",
	}
}

// recordAll writes records of the run that owns the row.
func recordAll(t *testing.T, s *orderstore.Store, records ...orderflow.RecordInput) {
	t.Helper()
	for _, in := range records {
		out, err := s.Record(t.Context(), in)
		require.NoError(t, err)
		require.Nil(t, out.Earlier)
	}
}

func first(id uuid.UUID, hash string) orderflow.RecordInput {
	in := record(id, 1, order.Reserved, order.EventReserved)
	price := money.Amount{Minor: 500, Currency: "EUR"}
	in.Order = &orderflow.OrderInput{
		OrderID:     id,
		RequestHash: hash,
		CustomerID:  "alice",
		Issuer:      "test",
		Total:       price,
		PlacedAt:    in.Entries[0].At,
		Lines: []orderflow.Line{{
			LineNo:    1,
			ProductID: uuid.New(),
			SKU:       "A",
			Name:      "A thing",
			Quantity:  1,
			UnitPrice: price,
			Total:     price,
		}},
	}
	return in
}

// TestRecordIsIdempotentBySeq sends every record twice and an old record late.
func TestRecordIsIdempotentBySeq(t *testing.T) {
	t.Parallel()
	pool := open(t)
	s, id := orderstore.New(pool), uuid.New()
	placed := first(id, strings.Repeat("ab", 32))
	confirmed := record(id, 2, order.Confirmed, order.EventConfirmed)
	confirmed.Entries[0].From = order.Paying
	confirmed.Payments = []orderflow.PaymentRecord{{
		Step:     "capture",
		Attempt:  1,
		Provider: "sandbox",
		Amount:   money.Amount{Minor: 500, Currency: "EUR"},
		State:    "captured",
		At:       time.Now(),
	}}

	recordAll(t, s, placed, placed, confirmed, confirmed, placed)

	got, err := s.Get(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, order.Confirmed, got.State, "a late record changes nothing")
	require.EqualValues(t, 2, got.Seq)
	require.Len(t, got.Lines, 1)
	require.Len(t, got.Payments, 1)
	timeline, err := s.Timeline(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, timeline, 3)
	var published int
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM outbox").Scan(&published))
	require.Equal(t, 3, published, "created, reserved, confirmed")

	_, err = s.Record(t.Context(), first(id, strings.Repeat("cd", 32)))
	require.ErrorIs(t, err, orderflow.ErrRowTaken)
	_, err = s.Get(t.Context(), uuid.New())
	require.ErrorIs(t, err, orderstore.ErrNotFound)
}

// TestLostExecutionIsOverwritten: a lost execution of a workflow task may have recorded events that the next execution
// decides differently. The later execution wins, also if the record of the lost one arrives last.
func TestLostExecutionIsOverwritten(t *testing.T) {
	t.Parallel()
	pool := open(t)
	s, id := orderstore.New(pool), uuid.New()
	recordAll(t, s, first(id, strings.Repeat("ab", 32)))
	lost := record(id, 3, order.Reserved, order.EventPaymentAbandoned)
	at := lost.Entries[0].At
	lost.Entries = []orderflow.TimelineEntry{
		{
			Seq:   2,
			Event: order.EventPaymentStarted,
			From:  order.Reserved,
			State: order.Paying,
			At:    at,
			Actor: "system",
		},
		{
			Seq:   3,
			Event: order.EventPaymentAbandoned,
			From:  order.Paying,
			State: order.Reserved,
			At:    at,
			Actor: "system",
		},
	}
	again := record(id, 2, order.Paying, order.EventPaymentStarted)
	again.Entries[0].From, again.Entries[0].At = order.Reserved, at.Add(10*time.Second)

	recordAll(t, s, lost, again, lost)

	got, err := s.Get(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, order.Paying, got.State)
	require.EqualValues(t, 2, got.Seq)
	timeline, err := s.Timeline(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, timeline, 3, "only the entry of the lost execution is deleted")
	require.Equal(t, order.EventPaymentStarted, timeline[2].Event)
}
