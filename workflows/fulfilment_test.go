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

// twoLocations makes the order one of two lines, 2 units for 25.00 EUR and 3 units for 10.00 EUR. Inventory takes the
// first in Berlin and the second in Hamburg, so that shipment 1 has line 1 and shipment 2 has line 2.
func (h *harness) twoLocations() {
	h.order = func(in *orderflow.OrderInput) {
		in.Lines = []orderflow.Line{
			{LineNo: 1, ProductID: uuid.New(), SKU: "A", Quantity: 2, Total: money.Amount{Minor: 2500, Currency: "EUR"}},
			{LineNo: 2, ProductID: uuid.New(), SKU: "B", Quantity: 3, Total: money.Amount{Minor: 1000, Currency: "EUR"}},
		}
		in.Total = money.Amount{Minor: 3500, Currency: "EUR"}
	}
	h.taken = func(reservation int, l orderflow.ReserveLine) []orderflow.ReservedLine {
		location := map[int]string{1: "berlin", 2: "hamburg"}[l.LineNo]
		if reservation > 1 {
			location = "ulm"
		}
		return []orderflow.ReservedLine{{LineNo: l.LineNo, Location: location, Quantity: l.Quantity}}
	}
}

func (h *harness) report(after time.Duration, name string, in orderflow.ShipmentInput) *reply {
	in.Actor = "olga"
	return h.send(after, name, in)
}

func (h *harness) pack(after time.Duration, shipment int) *reply {
	return h.report(after, orderflow.UpdatePack, orderflow.ShipmentInput{Shipment: shipment})
}

func (h *harness) ship(after time.Duration, shipment int, lines ...orderflow.LineQuantity) *reply {
	return h.report(after, orderflow.UpdateShip, orderflow.ShipmentInput{
		Shipment: shipment, Lines: lines, Carrier: "dhl", TrackingNumber: "T1",
	})
}

func (h *harness) deliver(after time.Duration, shipment int) *reply {
	return h.report(after, orderflow.UpdateDeliver, orderflow.ShipmentInput{Shipment: shipment})
}

func (h *harness) lose(after time.Duration, shipment int, remedy orderflow.LossRemedy) *reply {
	return h.report(after, orderflow.UpdateLose, orderflow.ShipmentInput{Shipment: shipment, Remedy: remedy})
}

func (h *harness) shortPick(
	after time.Duration, shipment int, cause orderflow.ShortCause, line int, quantity int64,
) *reply {
	return h.report(after, orderflow.UpdateShortPick, orderflow.ShipmentInput{
		Shipment: shipment,
		Cause:    cause,
		Lines:    []orderflow.LineQuantity{{LineNo: line, Quantity: quantity}},
	})
}

func (h *harness) cancelLines(after time.Duration, line int, quantity int64) *reply {
	return h.send(after, orderflow.UpdateCancelLines, orderflow.CancelLinesInput{
		Actor: "alice", Lines: []orderflow.LineQuantity{{LineNo: line, Quantity: quantity}},
	})
}

func (h *harness) stop(after time.Duration) *reply {
	return h.send(after, orderflow.UpdateHold, orderflow.HoldInput{
		Hold: orderflow.Hold{Reason: orderflow.HoldAddress}, Actor: "olga",
	})
}

// refunded lists the amounts of the refunds, in minor units.
func (h *harness) refunded() []int64 {
	out := []int64{}
	for _, r := range h.refunds {
		out = append(out, r.Amount.Minor)
	}
	return out
}

// statuses lists the statuses of the shipments as last recorded.
func (h *harness) statuses() []orderflow.ShipmentStatus {
	var out []orderflow.ShipmentStatus
	for _, s := range h.last.Fulfilment.Shipments {
		out = append(out, s.Status)
	}
	return out
}

// since lists the events after the order was confirmed.
func (h *harness) since() []order.Event {
	all := h.events()
	for i, e := range all {
		if e == order.EventConfirmed {
			return all[i+1:]
		}
	}
	return nil
}

// TestDelivered: an order from two locations is completed once both shipments are delivered, and nothing goes back.
func TestDelivered(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.twoLocations()
	h.pay(time.Second)
	h.pack(2*time.Minute, 1)
	h.ship(3*time.Minute, 1)
	h.ship(4*time.Minute, 2)
	h.deliver(5*time.Minute, 2)
	h.deliver(6*time.Minute, 1)

	require.Equal(t, order.Completed, h.run(60).State)
	require.Equal(t, []order.Event{
		order.EventPacked,
		order.EventShipped,
		order.EventShipped,
		order.EventDelivered,
		order.EventDelivered,
		order.EventCompleted,
	}, h.since())
	require.Equal(t, []string{reserve, extend, authorise, confirm, capture}, h.called())
}

// TestRepeatedReports: a report that comes twice is a success twice, and happens once.
func TestRepeatedReports(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.pay(time.Second)
	replies := []*reply{
		h.pack(2*time.Minute, 1), h.pack(3*time.Minute, 1),
		h.ship(4*time.Minute, 1), h.ship(5*time.Minute, 1),
		h.stop(5*time.Minute + time.Second), h.stop(5*time.Minute + 2*time.Second),
	}
	h.deliver(6*time.Minute, 1)

	require.Equal(t, order.Completed, h.run(60).State)
	for _, r := range replies {
		require.NoError(t, r.err)
	}
	require.Equal(t, []order.Event{
		order.EventPacked, order.EventShipped, order.EventHeld, order.EventDelivered, order.EventCompleted,
	}, h.since())
}

// TestPartialShipment: what stays behind is a new shipment of the same location.
func TestPartialShipment(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.twoLocations()
	h.pay(time.Second)
	h.ship(2*time.Minute, 2, orderflow.LineQuantity{LineNo: 2, Quantity: 1})
	tooMany := h.ship(3*time.Minute, 3, orderflow.LineQuantity{LineNo: 2, Quantity: 3})

	require.Equal(t, order.Fulfilling, h.run(60).State)
	require.Equal(t, orderflow.ErrInvalidInput, tooMany.code())
	require.Equal(t, []orderflow.ShipmentStatus{
		orderflow.ShipmentPlanned, orderflow.ShipmentShipped, orderflow.ShipmentPlanned,
	}, h.statuses())
	rest := h.last.Fulfilment.Shipments[2]
	require.Equal(t, "hamburg", rest.Location)
	require.Equal(t, []orderflow.ShipmentLine{{LineNo: 2, Reservation: 1, Quantity: 2}}, rest.Lines)
}

// TestShortPick: missing units come from the next location that has them; only if none has, their price goes back.
func TestShortPick(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cause     orderflow.ShortCause
		elsewhere bool
		refunds   []int64
		calls     []string
	}{
		"missing, and another location has them": {
			orderflow.CauseMissing, true, []int64{}, []string{orderflow.WriteOffStock, reserve, confirm},
		},
		"damaged, and another location has them": {orderflow.CauseDamaged, true, []int64{}, []string{reserve, confirm}},
		"missing everywhere": {
			orderflow.CauseMissing, false, []int64{667}, []string{orderflow.WriteOffStock, orderflow.RefundPayment},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.twoLocations()
			h.script[reserve] = func(n int) error {
				if n > 1 && !c.elsewhere {
					return refuse(orderflow.ErrOutOfStock, []orderflow.ShortLine{})
				}
				return nil
			}
			h.pay(time.Second)
			h.shortPick(2*time.Minute, 2, c.cause, 2, 2)
			h.ship(3*time.Minute, 1)
			h.ship(4*time.Minute, 2)
			h.deliver(5*time.Minute, 1)
			h.deliver(6*time.Minute, 2)
			if c.elsewhere {
				h.ship(7*time.Minute, 3)
				h.deliver(8*time.Minute, 3)
			}

			require.Equal(t, order.Completed, h.run(60).State)
			require.Equal(t, c.refunds, h.refunded())
			require.Equal(t, c.calls, h.called()[5:])
			if c.elsewhere {
				require.Equal(t, "ulm", h.last.Fulfilment.Shipments[2].Location)
			}
		})
	}
}

// TestLostShipment: a lost shipment is sent again or refunded; an order of which nothing arrives is refunded.
func TestLostShipment(t *testing.T) {
	t.Parallel()
	t.Run("reship", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.pay(time.Second)
		h.ship(2*time.Minute, 1)
		h.lose(3*time.Minute, 1, orderflow.RemedyReship)
		h.ship(4*time.Minute, 2)
		h.deliver(5*time.Minute, 2)
		require.Equal(t, order.Completed, h.run(60).State)
		require.Empty(t, h.refunds)
		require.Equal(t, []orderflow.ShipmentStatus{orderflow.ShipmentLost, orderflow.ShipmentDelivered}, h.statuses())
	})
	t.Run("refund", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.pay(time.Second)
		h.ship(2*time.Minute, 1)
		h.lose(3*time.Minute, 1, orderflow.RemedyRefund)
		require.Equal(t, order.Refunded, h.run(60).State)
		require.Equal(t, []int64{1250}, h.refunded())
		require.Empty(t, h.returns, "what is lost does not go back on a shelf")
	})
}

// TestCancelAfterPayment: the stock and the whole price go back, once.
func TestCancelAfterPayment(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.twoLocations()
	h.pay(time.Second)
	h.pack(2*time.Minute, 1)
	cancelled := h.cancel(3 * time.Minute)
	h.cancel(3*time.Minute + time.Second)

	require.Equal(t, order.Cancelled, h.run(60).State)
	require.NoError(t, cancelled.err)
	require.Equal(t, []int64{3500}, h.refunded())
	require.Equal(t, []orderflow.ReturnUpTo{
		{LineNo: 1, Location: "berlin", UpTo: 2}, {LineNo: 2, Location: "hamburg", UpTo: 3},
	}, h.returns[0].Lines)
	require.Len(t, h.returns, 1)
}

// TestCancelLines: each cancellation gives its units back; together their prices are the line's total to the cent.
func TestCancelLines(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.twoLocations()
	h.pay(time.Second)
	for i := range 3 {
		require.NotNil(t, h.cancelLines(time.Duration(2+i)*time.Minute, 2, 1))
	}
	tooMany := h.cancelLines(5*time.Minute, 2, 1)
	h.ship(6*time.Minute, 1)
	gone := h.cancelLines(7*time.Minute, 1, 1)
	h.deliver(8*time.Minute, 1)

	require.Equal(t, order.Completed, h.run(60).State)
	require.Equal(t, []int64{333, 334, 333}, h.refunded())
	require.Equal(t, string(order.AlreadyShipped), tooMany.code())
	require.Equal(t, string(order.AlreadyShipped), gone.code())
	keys := map[string]bool{}
	for _, r := range h.refunds {
		keys[r.RefundKey] = true
	}
	require.Len(t, keys, 3, "each refund has its own key")
}

// TestCancelEveryLine: an order whose lines are cancelled one by one ends cancelled.
func TestCancelEveryLine(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.twoLocations()
	h.pay(time.Second)
	h.cancelLines(2*time.Minute, 1, 2)
	h.cancelLines(3*time.Minute, 2, 3)
	require.Equal(t, order.Cancelled, h.run(60).State)
	require.Equal(t, []int64{2500, 1000}, h.refunded())
}

// TestHold: a hold stops packing and shipping, and neither a delivery nor money.
func TestHold(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.twoLocations()
	h.pay(time.Second)
	h.ship(2*time.Minute, 1)
	h.stop(3 * time.Minute)
	pack, ship := h.pack(4*time.Minute, 2), h.ship(4*time.Minute, 2)
	delivered := h.deliver(5*time.Minute, 1)
	h.cancelLines(6*time.Minute, 2, 1)
	h.send(7*time.Minute, orderflow.UpdateUnhold, orderflow.UnholdInput{Actor: "olga"})
	h.ship(8*time.Minute, 2)
	h.deliver(9*time.Minute, 2)

	require.Equal(t, order.Completed, h.run(60).State)
	require.Equal(t, string(order.OnHold), pack.code())
	require.Equal(t, string(order.OnHold), ship.code())
	require.NoError(t, delivered.err)
	require.Equal(t, []int64{333}, h.refunded())
}
