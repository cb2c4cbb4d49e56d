package orderstore_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/internal/events"
	"holdfast/internal/money"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/workflows/orderflow"
)

type published struct {
	EventType        string
	AggregateVersion int64
	Payload, Headers []byte
}

func eventsOf(t *testing.T, pool *pgxpool.Pool, id uuid.UUID) []published {
	t.Helper()
	rows, err := pool.Query(t.Context(), `
		SELECT event_type, aggregate_version, payload, headers FROM outbox
		WHERE aggregate_id = $1 ORDER BY aggregate_version, event_type`, id)
	require.NoError(t, err)
	out, err := pgx.CollectRows(rows, pgx.RowToStructByName[published])
	require.NoError(t, err)
	return out
}

// dataOf decodes the data of an event.
func dataOf[T any](t *testing.T, e published) (out T) {
	t.Helper()
	require.NoError(t, json.Unmarshal(e.Payload, &out))
	return out
}

// TestCreatedIsPublishedOnce: the event commits with the order's row, has version 0, and a repeated request does not
// publish it again.
func TestCreatedIsPublishedOnce(t *testing.T) {
	t.Parallel()
	pool := open(t)
	s, in := orderstore.New(pool), *first(uuid.New(), strings.Repeat("ab", 32)).Order
	in.CorrelationID = "corr-7"
	for range 3 {
		_, err := s.Place(t.Context(), in, false)
		require.NoError(t, err)
	}

	got := eventsOf(t, pool, in.OrderID)
	require.Len(t, got, 1)
	require.Equal(t, events.TypeOrderCreated, got[0].EventType)
	require.Zero(t, got[0].AggregateVersion)
	require.JSONEq(t, `{"correlationId":"corr-7"}`, string(got[0].Headers))
	data := dataOf[events.OrderCreated](t, got[0])
	require.Equal(t, in.Total, data.Total)
	require.Len(t, data.Lines, len(in.Lines))
	require.Equal(t, in.Lines[0].SKU, data.Lines[0].SKU)
}

// firstNumber is the number of the first order of a database.
const firstNumber = "HF-100001"

// TestEventsOfAnOrder: each event has its own data, times are in UTC, and the words of a person or of the payment
// provider are in none.
func TestEventsOfAnOrder(t *testing.T) {
	t.Parallel()
	pool, id := open(t), uuid.New()
	s, in := orderstore.New(pool), first(id, strings.Repeat("ab", 32))
	reservation, deadline := uuid.New(), time.Date(2026, 1, 1, 13, 0, 0, 0, time.FixedZone("CET", 3600))
	in.View.ReservationID, in.View.ExpiresAt, in.Entries[0].NextDeadline = &reservation, &deadline, &deadline

	paid := record(id, 2, order.Reserved, order.EventPaid)
	paid.Entries[0].From = order.Reserved
	total := money.Amount{Minor: 500, Currency: "EUR"}
	paid.Payments = []orderflow.PaymentRecord{{
		Step: orderflow.StepCapture, Attempt: 3, Provider: "p", Amount: total, State: orderflow.PaymentCaptured,
		At: time.Now(),
	}}
	refunded := record(id, 3, order.Reserved, order.EventPaymentRefunded)
	refunded.Entries[0].From, refunded.Entries[0].Attempt = order.Reserved, 3
	failed := record(id, 4, order.Failed, order.EventFailed)
	failed.Entries[0].From = order.Reserved
	failed.Entries[0].Reason = "the payment could not be captured: Ada Lovelace's card is closed"
	recordAll(t, s, in, paid, refunded, failed)

	got := eventsOf(t, pool, id)
	require.Len(t, got, 5)
	require.Equal(t, deadline.UTC(), *dataOf[events.OrderReserved](t, got[1]).ExpiresAt)
	require.Equal(t, reservation, dataOf[events.OrderReserved](t, got[1]).ReservationID)
	require.Contains(t, string(got[1].Payload), `"expiresAt": "2026-01-01T12:00:00Z"`)
	want := events.OrderPayment{OrderID: id, OrderNumber: firstNumber, State: "reserved", Attempt: 3, Amount: &total}
	require.Equal(t, want, dataOf[events.OrderPayment](t, got[2]))
	require.Equal(t, events.TypeOrderRefunded, got[3].EventType)
	require.Equal(t, events.OrderPayment{OrderID: id, OrderNumber: firstNumber, State: "reserved", Attempt: 3},
		dataOf[events.OrderPayment](t, got[3]), "the record does not have the amount")
	require.Equal(t, "the payment could not be captured", dataOf[events.OrderChanged](t, got[4]).Reason)
}

// TestNoPersonsReason: the reason that a customer gave for a cancellation is not published.
func TestNoPersonsReason(t *testing.T) {
	t.Parallel()
	pool, id := open(t), uuid.New()
	cancelled := record(id, 2, order.Cancelled, order.EventCancelled)
	cancelled.Entries[0].From, cancelled.Entries[0].Actor = order.Reserved, "alice"
	cancelled.Entries[0].Reason = "I am Alice and I moved to Rome"
	recordAll(t, orderstore.New(pool), first(id, strings.Repeat("ab", 32)), cancelled)

	got := eventsOf(t, pool, id)
	require.Equal(t, events.OrderChanged{OrderID: id, OrderNumber: firstNumber, State: "cancelled"},
		dataOf[events.OrderChanged](t, got[len(got)-1]))
}

// TestRejectedNamesWhatIsShort: the event of a refused order has a code and the short products.
func TestRejectedNamesWhatIsShort(t *testing.T) {
	t.Parallel()
	pool, in := open(t), first(uuid.New(), strings.Repeat("ab", 32))
	short := orderflow.ShortLine{ProductID: uuid.New(), Requested: 2, Available: 1}
	in.View.State, in.View.Short = order.Rejected, []orderflow.ShortLine{short}
	in.Entries[0].Event, in.Entries[0].State = order.EventRejected, order.Rejected
	recordAll(t, orderstore.New(pool), in)

	got := eventsOf(t, pool, in.View.OrderID)
	require.Len(t, got, 2)
	require.Equal(t, events.OrderRejected{
		OrderID:     in.View.OrderID,
		OrderNumber: firstNumber,
		State:       "rejected",
		Reason:      orderflow.ErrOutOfStock,
		ShortLines:  []events.ShortLine{{ProductID: short.ProductID, Requested: 2, Available: 1}},
	}, dataOf[events.OrderRejected](t, got[1]))
}
