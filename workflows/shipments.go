package workflows

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"

	"go.temporal.io/sdk/temporal"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// shipments are the shipments of a paid order, in the order of their numbers. The methods decide what a report of the
// warehouse or a cancellation makes of them. They call no activity.
type shipments []orderflow.Shipment

// plan adds a shipment for each location from which a reservation took stock.
func (s *shipments) plan(reservation int, taken []orderflow.ReservedLine) {
	taken = slices.Clone(taken)
	slices.SortStableFunc(taken, func(x, y orderflow.ReservedLine) int {
		return cmp.Or(cmp.Compare(x.Location, y.Location), cmp.Compare(x.LineNo, y.LineNo))
	})
	for i, t := range taken {
		if i == 0 || t.Location != taken[i-1].Location {
			s.add(t.Location)
		}
		to := &(*s)[len(*s)-1]
		to.Lines = append(to.Lines, orderflow.ShipmentLine{
			LineNo: t.LineNo, Reservation: reservation, Quantity: t.Quantity,
		})
	}
}

// add adds an empty shipment.
func (s *shipments) add(location string) {
	*s = append(*s, orderflow.Shipment{
		Number:   len(*s) + 1, // no shipment is ever taken away
		Location: location,
		Status:   orderflow.ShipmentPlanned,
	})
}

// find returns the shipment with the number. Refusal: ErrShipmentNotFound.
func (s shipments) find(number int) (*orderflow.Shipment, error) {
	if number < 1 || number > len(s) {
		return nil, refuse(orderflow.ErrShipmentNotFound, "the order has no shipment %d; it has %d", number, len(s))
	}
	return &s[number-1], nil
}

// atLocation returns the shipment with the number if it has not left. Refusals: ErrShipmentNotFound, ErrShipmentState.
func (s shipments) atLocation(number int) (*orderflow.Shipment, error) {
	found, err := s.find(number)
	if err == nil && !found.Status.AtLocation() {
		err = refuse(orderflow.ErrShipmentState, "shipment %d is %s; it is no longer at its location", number, found.Status)
	}
	return found, err
}

// left reports whether a shipment has left its location.
func (s shipments) left() bool {
	return slices.ContainsFunc(s, func(x orderflow.Shipment) bool {
		return !x.Status.AtLocation() && x.Status != orderflow.ShipmentCancelled
	})
}

// open reports whether something is still to happen to a shipment.
func (s shipments) open() bool {
	return slices.ContainsFunc(s, func(x orderflow.Shipment) bool {
		return x.Status.Open() || slices.ContainsFunc(x.Lines, func(l orderflow.ShipmentLine) bool { return l.Rerouting > 0 })
	})
}

func (s shipments) anyDelivered() bool {
	return slices.ContainsFunc(s, func(x orderflow.Shipment) bool { return x.Status == orderflow.ShipmentDelivered })
}

// onlyCancelled reports whether every unit was cancelled, so that nothing went wrong.
func (s shipments) onlyCancelled() bool {
	return !slices.ContainsFunc(s, func(x orderflow.Shipment) bool {
		return x.Status != orderflow.ShipmentCancelled ||
			slices.ContainsFunc(x.Lines, func(l orderflow.ShipmentLine) bool { return l.Short > 0 })
	})
}

// ship lets the given units of a shipment leave, or everything if none are given. What stays behind is in a new
// shipment. Refusals: as of atLocation, ErrInvalidInput.
func (s *shipments) ship(number int, units []orderflow.LineQuantity, carrier, tracking string) error {
	if _, err := s.atLocation(number); err != nil {
		return err
	}
	if len(units) > 0 {
		if err := s.keepOnly(number, units); err != nil {
			return err
		}
	}
	leaves := &(*s)[number-1]
	leaves.Status, leaves.Carrier, leaves.TrackingNumber = orderflow.ShipmentShipped, carrier, tracking
	return nil
}

// keepOnly leaves the given units in a shipment, and moves the others to a new one.
func (s *shipments) keepOnly(number int, units []orderflow.LineQuantity) error {
	from := (*s)[number-1]
	kept, err := take(from.Lines, units)
	if err != nil {
		return err
	}

	var rest []orderflow.ShipmentLine
	for i, l := range from.Lines {
		if stays := l.Quantity - kept[i]; stays > 0 {
			rest = append(rest, orderflow.ShipmentLine{LineNo: l.LineNo, Reservation: l.Reservation, Quantity: stays})
		}
		from.Lines[i].Quantity = kept[i]
	}
	if len(rest) > 0 {
		s.add(from.Location)
		(*s)[len(*s)-1].Lines = rest
	}
	return nil
}

// short takes units out of a shipment that are missing or damaged, and marks them for another shipment to bring.
// Refusals: as of atLocation, ErrInvalidInput.
func (s shipments) short(number int, units []orderflow.LineQuantity) error {
	from, err := s.atLocation(number)
	if err != nil {
		return err
	}
	missing, err := take(from.Lines, units)
	if err != nil {
		return err
	}
	for i, n := range missing {
		from.Lines[i].Quantity -= n
		from.Lines[i].Short += n
		from.Lines[i].Rerouting += n
	}
	from.Status = orderflow.ShipmentPlanned // a packed shipment was opened again
	s.closeEmpty()
	return nil
}

// cancelUnits takes units out of the shipments that have not left, the last shipment first. Refusals: ErrInvalidInput,
// AlreadyShipped.
func (s shipments) cancelUnits(units []orderflow.LineQuantity) error {
	for _, u := range units {
		rest := u.Quantity
		for i := len(s) - 1; i >= 0; i-- {
			if !s[i].Status.AtLocation() {
				continue
			}
			for j := range s[i].Lines {
				l := &s[i].Lines[j]
				if l.LineNo != u.LineNo {
					continue
				}
				n := min(rest, l.Quantity)
				l.Quantity -= n
				l.Cancelled += n
				rest -= n
			}
		}
		if rest > 0 {
			return refuse(string(order.AlreadyShipped),
				"%d of line %d can still be cancelled, not %d: the others have left or were given up; return them instead",
				u.Quantity-rest, u.LineNo, u.Quantity)
		}
	}
	s.closeEmpty()
	return nil
}

// cancelAll takes every unit out. No shipment has left.
func (s shipments) cancelAll() {
	for i := range s {
		for j := range s[i].Lines {
			l := &s[i].Lines[j]
			l.Cancelled += l.Quantity
			l.Quantity, l.Rerouting = 0, 0
		}
	}
	s.closeEmpty()
}

// closeEmpty cancels the shipments in which nothing is left.
func (s shipments) closeEmpty() {
	for i := range s {
		if s[i].Status.AtLocation() && units(s[i].Lines) == 0 {
			s[i].Status = orderflow.ShipmentCancelled
		}
	}
}

// lose marks a shipment that has left as lost. With reship another shipment is to bring its units.
func (s shipments) lose(number int, reship bool) {
	lost := &s[number-1]
	lost.Status = orderflow.ShipmentLost
	if reship {
		for i := range lost.Lines {
			lost.Lines[i].Rerouting = lost.Lines[i].Quantity
		}
	}
}

// rerouting returns the units that another shipment is to bring, by line.
func (s shipments) rerouting() []orderflow.LineQuantity {
	var out []orderflow.LineQuantity
	for _, x := range s {
		for _, l := range x.Lines {
			if l.Rerouting == 0 {
				continue
			}
			i := slices.IndexFunc(out, func(q orderflow.LineQuantity) bool { return q.LineNo == l.LineNo })
			if i < 0 {
				out = append(out, orderflow.LineQuantity{LineNo: l.LineNo})
				i = len(out) - 1
			}
			out[i].Quantity += l.Rerouting
		}
	}
	return out
}

// rerouted ends the rerouting of every line in the list: the units are in another shipment now, or they are given up.
func (s shipments) rerouted(lineNos ...int) {
	for i := range s {
		for j := range s[i].Lines {
			if l := &s[i].Lines[j]; slices.Contains(lineNos, l.LineNo) {
				l.Rerouting = 0
			}
		}
	}
}

// lastReservation returns the highest number of a reservation from which the order has stock.
func (s shipments) lastReservation() int {
	last := 0
	for _, x := range s {
		for _, l := range x.Lines {
			last = max(last, l.Reservation)
		}
	}
	return last
}

// brought returns how many units of a line have come to the customer, or still will.
func (s shipments) brought(lineNo int) int64 {
	var n int64
	for _, x := range s {
		for _, l := range x.Lines {
			if l.LineNo != lineNo {
				continue
			}
			if x.Status != orderflow.ShipmentLost {
				n += l.Quantity
			}
			n += l.Rerouting
		}
	}
	return n
}

// share returns the price of n of a line's units, rounded half up. The price of all of them is the total.
func share(totalMinor, n, of int64) int64 {
	if n <= 0 || of <= 0 {
		return 0
	}
	high, low := bits.Mul64(uint64(totalMinor), uint64(n)) //nolint:gosec // neither is negative
	low, carry := bits.Add64(low, uint64(of/2), 0)
	quotient, _ := bits.Div64(high+carry, low, uint64(of)) // n <= of, so that the quotient is at most the total
	return int64(quotient)                                 //nolint:gosec // at most the total
}

// stockDebt is how many units of a line of one reservation inventory must have back at a location, in all.
type stockDebt struct {
	reservation int
	orderflow.ReturnUpTo
}

// backInStock lists the stock of the units that were cancelled, or came back and went on the shelf again.
func (s shipments) backInStock() []stockDebt {
	var out []stockDebt
	for _, x := range s {
		for _, l := range x.Lines {
			if l.Cancelled+l.Restocked == 0 {
				continue
			}
			i := slices.IndexFunc(out, func(d stockDebt) bool {
				return d.reservation == l.Reservation && d.LineNo == l.LineNo && d.Location == x.Location
			})
			if i < 0 {
				out = append(out, stockDebt{l.Reservation, orderflow.ReturnUpTo{LineNo: l.LineNo, Location: x.Location}})
				i = len(out) - 1
			}
			out[i].UpTo += l.Cancelled + l.Restocked
		}
	}
	slices.SortStableFunc(out, func(x, y stockDebt) int { return cmp.Compare(x.reservation, y.reservation) })
	return out
}

// take returns how many units of each shipment line make up the given units. Refusal: ErrInvalidInput.
func take(from []orderflow.ShipmentLine, wanted []orderflow.LineQuantity) ([]int64, error) {
	out := make([]int64, len(from))
	for _, w := range wanted {
		rest := w.Quantity
		for i, l := range from {
			if l.LineNo == w.LineNo {
				n := min(rest, l.Quantity-out[i])
				out[i] += n
				rest -= n
			}
		}
		if w.Quantity < 1 || rest > 0 {
			return nil, refuse(orderflow.ErrInvalidInput, "the shipment has %d of line %d, not %d",
				w.Quantity-rest, w.LineNo, w.Quantity)
		}
	}
	return out, nil
}

// units counts what is in a shipment.
func units(lines []orderflow.ShipmentLine) int64 {
	var n int64
	for _, l := range lines {
		n += l.Quantity
	}
	return n
}

// refuse returns a refusal of an update.
func refuse(kind, format string, args ...any) error {
	return temporal.NewNonRetryableApplicationError(fmt.Sprintf(format, args...), kind, nil)
}
