package workflows

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"holdfast/internal/money"
	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// TestShare: however a line is given up, unit by unit, the parts add up to its price, and none is negative.
func TestShare(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(0, 1<<60).Draw(t, "total")
		of := rapid.Int64Range(1, 1000).Draw(t, "of")
		before := int64(0)
		for n := range of + 1 {
			got := share(total, n, of)
			if got < before {
				t.Fatalf("the price of %d of %d units is %d, less than the %d of one unit less", n, of, got, before)
			}
			before = got
		}
		if before != total {
			t.Fatalf("all %d units are %d, not %d", of, before, total)
		}
	})
	require.EqualValues(t, 333, share(1000, 1, 3))
	require.EqualValues(t, 667, share(1000, 2, 3))
	require.EqualValues(t, 1, share(1, 1, 2), "half up")
}

// TestShipmentsKeepEveryUnit draws reports of the warehouse. Whatever comes, every unit that was taken from stock is in
// a shipment, cancelled or short, no unit is refunded and brought, and the refund is never more than the price.
func TestShipmentsKeepEveryUnit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lines, taken := drawOrder(t)
		var all shipments
		all.plan(1, taken)
		reservations := int64(1)
		added := map[int]int64{} // units of further reservations, by line

		for range rapid.IntRange(1, 25).Draw(t, "reports") {
			before := orderflow.Fulfilment{Shipments: all}
			after := shipments(before.Clone().Shipments)
			if drawReport(t, &after, lines) != nil {
				continue // refused: nothing has changed
			}
			all = after
			for _, missing := range all.rerouting() {
				all.rerouted(missing.LineNo)
				if rapid.Bool().Draw(t, "elsewhere") {
					reservations++
					all.plan(int(reservations), []orderflow.ReservedLine{
						{LineNo: missing.LineNo, Location: "ulm", Quantity: missing.Quantity},
					})
					added[missing.LineNo] += missing.Quantity
				}
			}
			checkUnits(t, all, lines, added)
		}
	})
}

func drawOrder(t *rapid.T) ([]orderflow.Line, []orderflow.ReservedLine) {
	var lines []orderflow.Line
	var taken []orderflow.ReservedLine
	for no := range rapid.IntRange(1, 4).Draw(t, "lines") {
		berlin := rapid.Int64Range(0, 5).Draw(t, "from berlin")
		hamburg := rapid.Int64Range(1, 5).Draw(t, "from hamburg")
		lines = append(lines, orderflow.Line{
			LineNo:   no + 1,
			Quantity: berlin + hamburg,
			Total:    money.Amount{Minor: rapid.Int64Range(0, 100_000).Draw(t, "price"), Currency: "JPY"},
		})
		if berlin > 0 {
			taken = append(taken, orderflow.ReservedLine{LineNo: no + 1, Location: "berlin", Quantity: berlin})
		}
		taken = append(taken, orderflow.ReservedLine{LineNo: no + 1, Location: "hamburg", Quantity: hamburg})
	}
	return lines, taken
}

func drawReport(t *rapid.T, all *shipments, lines []orderflow.Line) error {
	number := rapid.IntRange(1, len(*all)).Draw(t, "shipment")
	units := []orderflow.LineQuantity{{
		LineNo:   rapid.IntRange(1, len(lines)).Draw(t, "line"),
		Quantity: rapid.Int64Range(1, 6).Draw(t, "quantity"),
	}}
	switch rapid.IntRange(0, 6).Draw(t, "report") {
	case 0:
		return all.ship(number, nil, "dhl", "T")
	case 1:
		return all.ship(number, units, "dhl", "T")
	case 2:
		return all.short(number, units)
	case 3:
		return all.cancelUnits(units)
	case 4:
		if all.left() {
			return refuse(string(order.AlreadyShipped), "a shipment has left")
		}
		all.cancelAll()
	default:
		found, err := all.find(number)
		switch {
		case err != nil:
			return err
		case found.Status != orderflow.ShipmentShipped:
			return refuse(orderflow.ErrShipmentState, "not shipped")
		case rapid.Bool().Draw(t, "arrives"):
			found.Status = orderflow.ShipmentDelivered
		default:
			all.lose(number, rapid.Bool().Draw(t, "reship"))
		}
	}
	return nil
}

func checkUnits(t *rapid.T, all shipments, lines []orderflow.Line, added map[int]int64) {
	var price int64
	for _, l := range lines {
		price += l.Total.Minor
		var counted int64
		for _, s := range all {
			for _, x := range s.Lines {
				if x.Quantity < 0 || x.Cancelled < 0 || x.Short < 0 {
					t.Fatalf("negative units: %+v", x)
				}
				if x.LineNo == l.LineNo {
					counted += x.Quantity + x.Cancelled + x.Short
				}
			}
		}
		if want := l.Quantity + added[l.LineNo]; counted != want {
			t.Fatalf("line %d has %d units in all, not %d: %+v", l.LineNo, counted, want, all)
		}
		if brought := all.brought(l.LineNo); brought < 0 || brought > l.Quantity {
			t.Fatalf("%d of %d units of line %d are brought", brought, l.Quantity, l.LineNo)
		}
	}
	due := refundDue(&orderflow.Fulfilment{Shipments: all}, orderflow.OrderInput{Lines: lines})
	if due < 0 || due > price {
		t.Fatalf("%d of %d is due", due, price)
	}
	for i, s := range all {
		if s.Number != i+1 {
			t.Fatalf("shipment %d is at place %d", s.Number, i+1)
		}
		if s.Status.AtLocation() && units(s.Lines) == 0 {
			t.Fatalf("shipment %d is empty and %s", s.Number, s.Status)
		}
	}
}
