package workflows_test

import (
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"holdfast/internal/money"
	"holdfast/workflows/orderflow"
)

// request is an update at a time after the start.
type request struct {
	at   time.Duration
	name string
	arg  any
}

// ordinaryLife lists the requests of an order that is paid, sent, delivered and partly returned. An order that gets its
// first requests only by chance seldom lives to its return.
func ordinaryLife() []request {
	shipment := func(number int) orderflow.ShipmentInput {
		return orderflow.ShipmentInput{Shipment: number, Carrier: "dhl", TrackingNumber: "T1", Actor: "olga"}
	}
	unit := []orderflow.LineQuantity{{LineNo: 1, Quantity: 1}}
	return []request{
		{5 * time.Second, orderflow.UpdatePay, orderflow.PayInput{Method: "pm_ok", Actor: "alice"}},
		{100 * time.Second, orderflow.UpdateShip, shipment(1)},
		{110 * time.Second, orderflow.UpdateShip, shipment(2)},
		{210 * time.Second, orderflow.UpdateDeliver, shipment(1)},
		{230 * time.Second, orderflow.UpdateRequestReturn, orderflow.ReturnInput{
			Lines: unit, Reason: orderflow.ReturnOther, Approved: true, Actor: "olga",
		}},
		{260 * time.Second, orderflow.UpdateReceiveReturn, orderflow.ReturnInput{
			Return: 1, Arrived: []orderflow.Arrival{{LineNo: 1, Restocked: 1}}, Actor: "olga",
		}},
		{395 * time.Second, orderflow.UpdateDeliver, shipment(2)},
	}
}

func drawOrder(r *rapid.T) orderflow.OrderInput {
	eur := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "EUR"} }
	in := orderflow.OrderInput{
		OrderID:     uuid.New(),
		RequestHash: "hash",
		CustomerID:  "alice",
		Shipping:    eur(rapid.Int64Range(0, 99).Draw(r, "shipping")),
		TTLSeconds:  rapid.SampledFrom([]int{30, 120, 300}).Draw(r, "time to live"),
		Revision:    orderflow.CurrentRevision,
	}
	in.Total = in.Shipping
	for line := range rapid.IntRange(1, 2).Draw(r, "lines") {
		l := orderflow.Line{
			LineNo:    line + 1,
			ProductID: uuid.New(),
			Quantity:  rapid.Int64Range(1, 4).Draw(r, "units"),
			Total:     eur(rapid.Int64Range(0, 100).Draw(r, "price of the line")),
		}
		in.Lines = append(in.Lines, l)
		in.Total.Minor += l.Total.Minor
	}
	if rapid.Bool().Draw(r, "paid at once") {
		in.PaymentMethod = "pm_ok"
	}
	return in
}

// drawFates draws fates of the first calls of each activity. Temporal's test environment gives an activity up after ten
// attempts, so there are at most five faults in a row.
func drawFates(r *rapid.T) map[string][]fate {
	out := map[string][]fate{}
	for _, name := range []string{
		orderflow.ReserveStock, orderflow.ExtendReservation, orderflow.ConfirmReservation, orderflow.ReleaseStock,
		orderflow.ExpireReservation, orderflow.ReturnStock, orderflow.ReturnUnits, orderflow.AuthorisePayment,
		orderflow.CapturePayment, orderflow.VoidPayment, orderflow.RefundPayment, orderflow.FindRefund,
		orderflow.RecordOrder,
	} {
		fates := rapid.SliceOfN(rapid.SampledFrom([]fate{succeeds, succeeds, failsBefore, answerLost}), 0, 5)
		out[name] = fates.Draw(r, name)
	}
	return out
}

// drawRequest draws an update that a customer, an operator, the warehouse or a carrier may send.
func drawRequest(r *rapid.T) (name string, arg any) {
	const actor = "olga"
	shipment := rapid.SampledFrom([]int{1, 1, 2, 2, 3}).Draw(r, "shipment")
	some := []orderflow.LineQuantity{{
		LineNo:   rapid.IntRange(1, 2).Draw(r, "line"),
		Quantity: rapid.Int64Range(1, 3).Draw(r, "units"),
	}}
	of := func(more func(*orderflow.ShipmentInput)) orderflow.ShipmentInput {
		in := orderflow.ShipmentInput{Shipment: shipment, Actor: actor}
		more(&in)
		return in
	}
	switch name = rapid.SampledFrom([]string{
		orderflow.UpdatePay, orderflow.UpdatePay, orderflow.UpdateCancel, orderflow.UpdateExtend, orderflow.UpdateCancelLines,
		orderflow.UpdatePack, orderflow.UpdateShip, orderflow.UpdateShip, orderflow.UpdateShortPick, orderflow.UpdateDeliver,
		orderflow.UpdateDeliver, orderflow.UpdateLose, orderflow.UpdateRequestReturn, orderflow.UpdateRequestReturn,
		orderflow.UpdateReceiveReturn, orderflow.UpdateReceiveReturn, orderflow.UpdateRefund, orderflow.UpdateRefund,
	}).Draw(r, "request"); name {
	case orderflow.UpdatePay:
		method := rapid.SampledFrom([]string{"pm_ok", "pm_ok", "pm_declined"}).Draw(r, "method")
		return name, orderflow.PayInput{Method: method, Actor: actor}
	case orderflow.UpdateCancel:
		return name, orderflow.CancelInput{Actor: actor}
	case orderflow.UpdateExtend:
		return name, orderflow.ExtendInput{TTLSeconds: 200, Actor: actor}
	case orderflow.UpdateCancelLines:
		return name, orderflow.CancelLinesInput{Lines: some, Actor: actor}
	case orderflow.UpdateShip:
		return name, of(func(in *orderflow.ShipmentInput) { in.Carrier, in.TrackingNumber = "dhl", "T1" })
	case orderflow.UpdateShortPick:
		cause := rapid.SampledFrom([]orderflow.ShortCause{orderflow.CauseMissing, orderflow.CauseDamaged}).Draw(r, "cause")
		return name, of(func(in *orderflow.ShipmentInput) { in.Lines, in.Cause = some, cause })
	case orderflow.UpdateLose:
		remedy := rapid.SampledFrom([]orderflow.LossRemedy{orderflow.RemedyReship, orderflow.RemedyRefund}).Draw(r, "remedy")
		return name, of(func(in *orderflow.ShipmentInput) { in.Remedy = remedy })
	case orderflow.UpdateRequestReturn:
		return name, orderflow.ReturnInput{Lines: some, Reason: orderflow.ReturnOther, Approved: true, Actor: actor}
	case orderflow.UpdateReceiveReturn:
		restocked := rapid.Int64Range(0, some[0].Quantity).Draw(r, "restocked")
		return name, orderflow.ReturnInput{
			Return: rapid.IntRange(1, 2).Draw(r, "return"),
			Actor:  actor,
			Arrived: []orderflow.Arrival{{
				LineNo: some[0].LineNo, Restocked: restocked, Damaged: some[0].Quantity - restocked,
			}},
		}
	case orderflow.UpdateRefund:
		return name, orderflow.ReturnInput{Actor: actor, Refunds: []orderflow.LineRefund{{
			LineNo: some[0].LineNo, Minor: rapid.Int64Range(1, 50).Draw(r, "refund"),
		}}}
	default:
		return name, of(func(*orderflow.ShipmentInput) {})
	}
}

// drawTime draws when a request is sent. Each has the time of its own in an order's life, so that many orders get far,
// and one in eight is sent at any time.
func drawTime(r *rapid.T, name string) time.Duration {
	from, to := 1, 400
	if rapid.IntRange(0, 7).Draw(r, "at any time") > 0 {
		switch name {
		case orderflow.UpdatePay, orderflow.UpdateExtend:
			to = 60
		case orderflow.UpdatePack, orderflow.UpdateShip, orderflow.UpdateShortPick, orderflow.UpdateCancelLines:
			from, to = 60, 200
		case orderflow.UpdateDeliver, orderflow.UpdateLose:
			from = 200
		case orderflow.UpdateRequestReturn, orderflow.UpdateRefund:
			from = 220
		case orderflow.UpdateReceiveReturn:
			from = 250
		default: // a cancellation comes at any time
		}
	}
	return time.Duration(rapid.IntRange(from, to).Draw(r, "second")) * time.Second
}
