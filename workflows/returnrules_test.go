package workflows

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"holdfast/workflows/orderflow"
)

// TestReturnsNeverGiveBackTooMuch: whatever comes back, in whatever portions, a line never gives back more than its
// price or more units than were sent. If all units come back at their price, the order gives back just what was paid,
// the price of the shipment included, which it keeps until then.
func TestReturnsNeverGiveBackTooMuch(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		line := orderflow.Line{LineNo: 1, Quantity: rapid.Int64Range(1, 20).Draw(t, "units")}
		line.Total.Minor = rapid.Int64Range(0, 500).Draw(t, "price") // small prices are rounded most
		partial := rapid.Bool().Draw(t, "some refunds are partial")
		lines := []orderflow.Line{line}
		in := orderflow.OrderInput{Lines: lines}
		in.Shipping.Minor = rapid.Int64Range(0, 99).Draw(t, "shipping")
		in.Total.Minor = line.Total.Minor + in.Shipping.Minor
		f := &orderflow.Fulfilment{Shipments: []orderflow.Shipment{{
			Number: 1,
			Status: orderflow.ShipmentDelivered,
			Lines:  []orderflow.ShipmentLine{{LineNo: 1, Reservation: 1, Quantity: line.Quantity}},
		}}}

		var back, onShelf int64
		full := true
		var given int64 // without a return
		for range rapid.IntRange(1, 8).Draw(t, "returns") {
			if rapid.IntRange(0, 4).Draw(t, "a refund without a return") == 0 {
				amount := rapid.Int64Range(1, 60).Draw(t, "refund")
				left := leftOf(f, lines, 1)
				err := grantRefund(f, orderflow.ReturnInput{Refunds: []orderflow.LineRefund{{LineNo: 1, Minor: amount}}}, lines)
				require.Equal(t, amount <= left, err == nil, "%d of %d: %v", amount, left, err)
				if err == nil {
					given += amount
				}
				require.LessOrEqual(t, given, line.Total.Minor)
			}
			n := rapid.Int64Range(1, 6).Draw(t, "requested")
			err := requestReturn(f, orderflow.ReturnInput{
				Reason:   orderflow.ReturnOther,
				Lines:    []orderflow.LineQuantity{{LineNo: 1, Quantity: n}},
				Approved: true,
			})
			if err != nil {
				require.Greater(t, n, line.Quantity-back, "refused only if the customer has not so many")
				continue
			}
			arrival := orderflow.Arrival{LineNo: 1, Restocked: rapid.Int64Range(0, n).Draw(t, "restocked")}
			arrival.Damaged = rapid.Int64Range(0, n-arrival.Restocked).Draw(t, "damaged")
			if partial && rapid.Bool().Draw(t, "less than the price") {
				less := max(0, priceOfReturned(f, lines, 1, arrival.Restocked+arrival.Damaged)-1)
				arrival.RefundMinor, full = &less, false
			}
			received := orderflow.ReturnInput{Return: len(f.Returns), Arrived: []orderflow.Arrival{arrival}}
			require.NoError(t, receiveReturn(f, received, lines))
			back, onShelf = back+arrival.Restocked+arrival.Damaged, onShelf+arrival.Restocked

			require.LessOrEqual(t, back, line.Quantity)
			if back < line.Quantity {
				require.LessOrEqual(t, refundDue(f, in), line.Total.Minor)
			}
			require.Equal(t, onShelf, restocked(f.Shipments, 1))
		}
		if rest := line.Quantity - back; rest > 0 {
			require.NoError(t, requestReturn(f, orderflow.ReturnInput{
				Reason:   orderflow.ReturnOther,
				Lines:    []orderflow.LineQuantity{{LineNo: 1, Quantity: rest}},
				Approved: true,
			}))
			require.NoError(t, receiveReturn(f, orderflow.ReturnInput{
				Return: len(f.Returns), Arrived: []orderflow.Arrival{{LineNo: 1, Damaged: rest}},
			}, lines))
		}
		require.LessOrEqual(t, refundDue(f, in), in.Total.Minor)
		if full {
			require.Equal(t, in.Total.Minor, refundDue(f, in))
		}
	})
}

// TestRefundWithoutReturn: nothing is given back before anything was delivered, and a request that comes again with its
// lines in another order is the same request.
func TestRefundWithoutReturn(t *testing.T) {
	t.Parallel()
	lines := []orderflow.Line{{LineNo: 1, Quantity: 1}, {LineNo: 2, Quantity: 1}}
	lines[0].Total.Minor, lines[1].Total.Minor = 500, 300
	f := &orderflow.Fulfilment{Shipments: []orderflow.Shipment{{
		Number: 1,
		Status: orderflow.ShipmentPacked,
		Lines: []orderflow.ShipmentLine{
			{LineNo: 1, Reservation: 1, Quantity: 1}, {LineNo: 2, Reservation: 1, Quantity: 1},
		},
	}}}
	two := orderflow.ReturnInput{
		Key:     "key",
		Refunds: []orderflow.LineRefund{{LineNo: 2, Minor: 300}, {LineNo: 1, Minor: 50}},
	}
	require.Equal(t, orderflow.ErrNotReturnable, refusal(grantRefund(f, two, lines)))

	f.Shipments[0].Status = orderflow.ShipmentDelivered
	require.NoError(t, grantRefund(f, two, lines))
	require.EqualValues(t, 350, refundDue(f, orderflow.OrderInput{Lines: lines}))
	again := two
	again.Refunds = []orderflow.LineRefund{two.Refunds[1], two.Refunds[0]}
	require.ErrorIs(t, grantRefund(f, again, lines), errUnchanged)
	again.Refunds = two.Refunds[:1]
	require.Equal(t, orderflow.ErrKeyReused, refusal(grantRefund(f, again, lines)))
	nothingLeft := orderflow.ReturnInput{Refunds: two.Refunds[:1]}
	require.Equal(t, orderflow.ErrInvalidInput, refusal(grantRefund(f, nothingLeft, lines)))
}
