package workflows_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/money"
	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

const replace = orderflow.ReplaceReservation

var (
	mug   = uuid.MustParse("a0000000-0000-4000-8000-000000000001")
	spoon = uuid.MustParse("a0000000-0000-4000-8000-000000000002")
)

// edited are the lines of a change: n mugs for 10.00 EUR each and a spoon for 2.50 EUR.
func edited(n int64) orderflow.EditInput {
	line := func(no int, product uuid.UUID, quantity, price int64) orderflow.Line {
		return orderflow.Line{
			LineNo:    no,
			ProductID: product,
			SKU:       "B",
			Quantity:  quantity,
			UnitPrice: money.Amount{Minor: price, Currency: "EUR"},
			Total:     money.Amount{Minor: quantity * price, Currency: "EUR"},
		}
	}
	return orderflow.EditInput{
		Lines:   []orderflow.Line{line(1, mug, n, 1000), line(2, spoon, 1, 250)},
		Total:   money.Amount{Minor: n*1000 + 250, Currency: "EUR"},
		Request: "request",
		Actor:   "alice",
	}
}

func (h *harness) edit(after time.Duration, n int64) *reply {
	return h.send(after, orderflow.UpdateEdit, edited(n))
}

// editOutcome is how a change of the lines ended.
func editOutcome(t *testing.T, r *reply) orderflow.EditResult {
	t.Helper()
	require.True(t, r.done)
	require.NoError(t, r.err)
	out, ok := r.result.(orderflow.EditResult)
	require.True(t, ok, "%T", r.result)
	return out
}

// TestEdit: an order is changed twice and paid. Inventory replaces the reservation each time, the row gets the new
// lines, and the payment is of the last total and takes the last reservation.
func TestEdit(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	first, second := h.edit(time.Second, 3), h.edit(2*time.Second, 1)
	paid := h.pay(3 * time.Second)

	require.Equal(t, order.Confirmed, h.run(600).State)
	for _, r := range []*reply{first, second} {
		out := editOutcome(t, r)
		require.Equal(t, orderflow.Edited, out.Outcome)
		require.Equal(t, "request", out.Request)
	}
	require.NoError(t, paid.err)
	require.Equal(t, []string{
		orderflow.ReserveStock, find, replace, find, replace,
		orderflow.AuthorisePayment, orderflow.ConfirmReservation, orderflow.CapturePayment,
	}, h.called())
	require.Equal(t, [][2]int{{1, 2}, {2, 3}}, h.replaced)
	require.Equal(t, 3, h.confirmed)
	require.Equal(t, []money.Amount{edited(1).Total}, h.authorised)
	require.Equal(t, []orderflow.Contents{
		{Lines: edited(3).Lines, Total: edited(3).Total, ReservationNumber: 2},
		{Lines: edited(1).Lines, Total: edited(1).Total, ReservationNumber: 3},
	}, h.contents)
	require.Equal(t, []order.Event{
		order.EventReserved, order.EventLinesChanged, order.EventLinesChanged,
		order.EventPaymentStarted, order.EventPaid, order.EventConfirmed,
	}, h.events())
	require.Equal(t, "alice", h.recorded[1].Actor)
	require.Len(t, h.last.Fulfilment.Shipments[0].Lines, 2)
	require.Equal(t, 3, h.last.Fulfilment.Shipments[0].Lines[0].Reservation)
}

// TestEditKeepsTheDeadline: a change does not lengthen the hold, and the expiry gives the new reservation back.
func TestEditKeepsTheDeadline(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.edit(30*time.Second, 3)
	start := h.env.Now()

	require.Equal(t, order.Expired, h.run(60).State)
	require.Equal(t, []string{orderflow.ReserveStock, find, replace, orderflow.ExpireReservation}, h.called())
	require.Empty(t, h.released)
	ended := h.recorded[len(h.recorded)-1].At.Sub(start)
	require.InDelta(t, 60, ended.Seconds(), 1)
}

// TestEditRefused: after a refusal the order is as it was, and can be changed again and paid.
func TestEditRefused(t *testing.T) {
	t.Parallel()
	short := []orderflow.ShortLine{{ProductID: mug, Requested: 3, Available: 2}}
	for name, c := range map[string]struct {
		refusal error
		want    orderflow.EditResult
	}{
		"out of stock": {
			refuse(orderflow.ErrOutOfStock, short),
			orderflow.EditResult{Outcome: orderflow.EditOutOfStock, Short: short},
		},
		"the request itself": {
			refuse(orderflow.ErrReservationRefused, orderflow.Refusal{Code: "product_not_found", Detail: "no such product"}),
			orderflow.EditResult{Outcome: orderflow.EditRefused, Reason: "no such product"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.script[replace] = func(n int) error {
				if n == 1 {
					return c.refusal
				}
				return nil
			}
			first, second := h.edit(time.Second, 3), h.edit(2*time.Second, 2)
			h.pay(3 * time.Second)

			require.Equal(t, order.Confirmed, h.run(600).State)
			out := editOutcome(t, first)
			require.Equal(t, order.Reserved, out.View.State)
			out.View, out.Request = orderflow.View{}, ""
			require.Equal(t, c.want, out)
			require.Equal(t, orderflow.Edited, editOutcome(t, second).Outcome)
			require.Equal(t, [][2]int{{1, 2}, {1, 3}}, h.replaced, "a refused change uses its number up")
			require.Len(t, h.contents, 1)
			require.Equal(t, []money.Amount{edited(2).Total}, h.authorised)
			require.Empty(t, h.released)
		})
	}
}

// TestEditNumberUsed: another run has used the next number, or an attempt under it was withdrawn.
func TestEditNumberUsed(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[replace] = func(n int) error {
		if n < 3 {
			return refuse(orderflow.ErrNumberUsed)
		}
		return nil
	}
	got := h.edit(time.Second, 3)
	h.pay(2 * time.Second)

	require.Equal(t, order.Confirmed, h.run(600).State)
	require.Equal(t, orderflow.Edited, editOutcome(t, got).Outcome)
	require.Equal(t, [][2]int{{1, 2}, {1, 3}, {1, 4}}, h.replaced)
	require.Equal(t, 4, h.confirmed)
}

// TestSlowEditDoesNotBlockCancel: inventory does not answer a change. A cancellation ends the order all the same, and
// releases the reservation that the change may have made before the one that the order had.
func TestSlowEditDoesNotBlockCancel(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[replace] = always(errDown)
	got, cancelled := h.edit(time.Second, 3), h.cancel(4*time.Second)

	require.Equal(t, order.Cancelled, h.run(600).State)
	require.NoError(t, cancelled.err)
	require.Equal(t, orderflow.EditCancelled, editOutcome(t, got).Outcome)
	require.Equal(t, []int{2, 1}, h.released)
	require.Empty(t, h.contents)
	require.Equal(t, []order.Event{order.EventReserved, order.EventStockReleased, order.EventCancelled}, h.events())
}

// TestEditAtTheDeadline: inventory does not answer a change before the deadline. The order expires, and both
// reservations are released once inventory answers.
func TestEditAtTheDeadline(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[replace] = always(errDown)
	h.script[release] = h.until(70*time.Second, errDown)
	got := h.edit(50*time.Second, 3)
	pay := h.pay(55 * time.Second)

	require.Equal(t, order.Expired, h.run(60).State)
	require.Equal(t, orderflow.EditTooLate, editOutcome(t, got).Outcome)
	require.Equal(t, string(order.Overdue), pay.code(), "a payment that waits behind the change takes nothing")
	require.Empty(t, h.authorised)
	require.Equal(t, []int{2, 1}, h.released[len(h.released)-2:])
}

// TestEditOfAnEndedReservation: the reservation ended without the workflow. The order ends, and nothing stays held.
func TestEditOfAnEndedReservation(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		refusal error
		outcome orderflow.EditOutcome
		state   order.State
	}{
		"expired": {refuse(orderflow.ErrReservationExpired), orderflow.EditTooLate, order.Expired},
		"released": {
			refuse(orderflow.ErrReservationClosed, orderflow.ReservationReleased), orderflow.EditClosed, order.Failed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.script[replace] = always(c.refusal)
			got := h.edit(time.Second, 3)

			require.Equal(t, c.state, h.run(600).State)
			require.Equal(t, c.outcome, editOutcome(t, got).Outcome)
			require.Equal(t, []int{2, 1}, h.released)
			require.Empty(t, h.contents)
		})
	}
}

// TestEditWhileRecordIsDown: the orders database does not answer the first record. The change waits for it, and a
// cancellation does not.
func TestEditWhileRecordIsDown(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.script[orderflow.RecordOrder] = h.until(30*time.Second, errDown)
	got, cancelled := h.edit(time.Second, 3), h.cancel(5*time.Second)

	require.Equal(t, order.Cancelled, h.run(600).State)
	require.NoError(t, cancelled.err)
	require.Equal(t, orderflow.EditCancelled, editOutcome(t, got).Outcome)
	require.Empty(t, h.replaced)
	require.Equal(t, []int{1}, h.released)
}

// TestEditValidated: what the validator refuses leaves no event in the history.
func TestEditValidated(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	dollars := edited(1)
	dollars.Total.Currency = "USD"
	other := h.send(time.Second, orderflow.UpdateEdit, dollars)
	none := h.send(time.Second, orderflow.UpdateEdit, orderflow.EditInput{Total: edited(1).Total})
	var many []*reply
	for i := range 101 {
		many = append(many, h.edit(2*time.Second+time.Duration(i)*100*time.Millisecond, 1))
	}

	require.Equal(t, order.Expired, h.run(60).State)
	require.Equal(t, []string{orderflow.ErrInvalidInput, orderflow.ErrInvalidInput}, []string{other.code(), none.code()})
	require.True(t, other.rejected)
	require.NoError(t, many[99].err)
	require.Equal(t, orderflow.ErrTooManyEdits, many[100].code())
	require.True(t, many[100].rejected)

	old := newHarness(t)
	refused := old.edit(time.Second, 1)
	require.Equal(t, order.Expired, old.run(60, func(in *orderflow.OrderInput) {
		in.Revision = orderflow.RevisionFulfilment
	}).State)
	require.Equal(t, string(order.InvalidState), refused.code(), "an order of an older revision keeps its lines")
}

// changedRow is an open order whose lines an earlier run has changed.
func changedRow(state order.State) *orderflow.RecordedOrder {
	row := left(state, 6, 0, 0)
	row.Contents = &orderflow.Contents{Lines: edited(4).Lines, Total: edited(4).Total, ReservationNumber: 3}
	return row
}

// replacedEarlier makes inventory answer as after a replacement of the first reservation by an earlier run.
func replacedEarlier(h *harness) {
	h.deadline = h.env.Now().Add(time.Minute)
	h.script[reserve] = func(n int) error {
		if n == 1 {
			return refuse(orderflow.ErrReservationClosed, orderflow.ReservationReleased)
		}
		return nil
	}
}

// TestResetAfterEdit: an operator resets an order whose lines were changed to its first task. The new run finds its
// reservation replaced, goes on with the lines and the reservation of the row, and is paid or changed by them.
func TestResetAfterEdit(t *testing.T) {
	t.Parallel()
	t.Run("paid", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.earlier = changedRow(order.Reserved)
		replacedEarlier(h)
		h.pay(2 * time.Second)

		require.Equal(t, order.Confirmed, h.run(600).State)
		require.Equal(t, edited(4).Lines[0].Quantity, h.reserved[3][0].Quantity, "it asks for the reservation of the row")
		require.Zero(t, h.ttl, "by the request that made it, which had no time to live")
		require.Equal(t, 3, h.confirmed)
		require.Equal(t, []money.Amount{edited(4).Total}, h.authorised)
		require.Empty(t, h.released)
	})
	t.Run("changed again", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.earlier = changedRow(order.Reserved)
		replacedEarlier(h)
		got := h.edit(2*time.Second, 1)

		require.Equal(t, order.Expired, h.run(60).State)
		require.Equal(t, orderflow.Edited, editOutcome(t, got).Outcome)
		require.Equal(t, [][2]int{{3, 4}}, h.replaced)
	})
	t.Run("the change is not recorded", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.earlier = left(order.Reserved, 5, 0, 0)
		replacedEarlier(h)

		require.Equal(t, order.Failed, h.run(600).State)
		require.Equal(t, 1, h.counts[reserve])
	})
}

// TestAdoptedAfterEdit: the adoption starts the workflow of an order whose lines were changed, with the lines and the
// number of the row. The run finds the reservation, also of an order that would wait for stock.
func TestAdoptedAfterEdit(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.earlier = changedRow(order.Reserved)
	h.deadline = h.env.Now().Add(time.Minute)
	cancelled := h.cancel(time.Second)

	require.Equal(t, order.Cancelled, h.run(600, func(in *orderflow.OrderInput) {
		in.ReservationNumber, in.WaitSeconds = 3, 3600
		in.Lines, in.Total = edited(4).Lines, edited(4).Total
	}).State)
	require.NoError(t, cancelled.err)
	require.Equal(t, []string{orderflow.ReserveStock, release}, h.called(orderflow.VoidPayment))
	require.Zero(t, h.ttl)
	require.Equal(t, []int{3}, h.released)
}

// TestResetAfterTheFirstRecord: the new run takes itself for the one that wrote the row, because the history that it
// begins with has the first record. Before it changes the lines, it reads that another run has changed them.
func TestResetAfterTheFirstRecord(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	row := changedRow(order.Reserved)
	row.Seq = 1
	h.env.RegisterDelayedCallback(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.earlier = row
	}, 500*time.Millisecond)
	got := h.edit(time.Second, 1)

	require.Equal(t, order.Expired, h.run(60).State)
	require.Equal(t, orderflow.Edited, editOutcome(t, got).Outcome)
	require.Equal(t, [][2]int{{3, 4}}, h.replaced)
	require.Equal(t, []order.Event{
		order.EventReserved, order.EventTakenUp, order.EventLinesChanged, order.EventStockReleased, order.EventExpired,
	}, h.events())
}

// TestResetBehindTheReserve: the new run takes the first reservation for its own until the database tells it of the
// row. Whatever comes first, the reservation of the row is the one that is changed, taken or given back.
func TestResetBehindTheReserve(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T) *harness {
		t.Helper()
		h := newHarness(t)
		h.earlier = changedRow(order.Reserved)
		h.script[orderflow.RecordOrder] = h.until(3*time.Second, errDown)
		return h
	}
	t.Run("edit", func(t *testing.T) {
		t.Parallel()
		h := begin(t)
		got := h.edit(time.Second, 1)
		require.Equal(t, order.Expired, h.run(600).State)
		require.Equal(t, orderflow.Edited, editOutcome(t, got).Outcome)
		require.Equal(t, [][2]int{{3, 4}}, h.replaced)
	})
	t.Run("pay", func(t *testing.T) {
		t.Parallel()
		h := begin(t)
		h.pay(time.Second)
		h.reserved[3] = []orderflow.ReserveLine{{LineNo: 1, ProductID: mug, Quantity: 4}} // by the earlier run
		require.Equal(t, order.Confirmed, h.run(600).State)
		require.Equal(t, 3, h.confirmed)
		require.Equal(t, []money.Amount{edited(4).Total}, h.authorised)
	})
	t.Run("cancel", func(t *testing.T) {
		t.Parallel()
		h := begin(t)
		h.cancel(time.Second)
		require.Equal(t, order.Cancelled, h.run(600).State)
		require.Equal(t, []int{1, 3}, h.released)
	})
}

// TestChargesKeepTheirLines: an order for which a shop has set amounts is not changed, whatever the api has seen.
func TestChargesKeepTheirLines(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*orderflow.OrderInput){
		"shipping": func(in *orderflow.OrderInput) { in.Shipping.Minor = 1 },
		"tax":      func(in *orderflow.OrderInput) { in.Lines[0].Tax.Minor = 1 },
		"discount": func(in *orderflow.OrderInput) { in.Lines[0].Discount.Minor = 1 },
	} {
		h := newHarness(t)
		change := h.send(time.Second, orderflow.UpdateEdit, edited(2))
		h.run(60, set)
		require.True(t, change.rejected, name)
		require.Equal(t, string(order.InvalidState), change.code(), name)
		require.NotContains(t, h.called(), replace, name)
	}
}
