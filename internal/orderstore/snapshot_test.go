package orderstore_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/workflows/orderflow"
)

// TestOrderIsReadAsOfOneMoment: an order that gets shipments while it is read has each shipment with its contents.
func TestOrderIsReadAsOfOneMoment(t *testing.T) {
	t.Parallel()
	s, id := orderstore.New(open(t)), uuid.New()
	recordAll(t, s, first(id, strings.Repeat("ab", 32)))
	done := make(chan struct{})
	var reading sync.WaitGroup
	for range 4 {
		reading.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				o, err := s.Get(t.Context(), id)
				if err != nil {
					t.Errorf("read the order: %v", err)
					return
				}
				for _, shipment := range o.Shipments {
					if len(shipment.Lines) != 1 {
						t.Errorf("shipment %d has %d lines", shipment.Number, len(shipment.Lines))
						return
					}
				}
			}
		})
	}
	f := &orderflow.Fulfilment{}
	for seq := int64(2); seq < 300; seq++ {
		f = f.Clone()
		f.Shipments = append(f.Shipments, orderflow.Shipment{
			Number:   len(f.Shipments) + 1,
			Location: "main",
			Status:   orderflow.ShipmentPlanned,
			Lines:    []orderflow.ShipmentLine{{LineNo: 1, Reservation: 1, Quantity: 1}},
		})
		in := record(id, seq, order.Reserved, order.EventExtended)
		in.Entries[0].From, in.Entries[0].At, in.View.Fulfilment = order.Reserved, time.Now(), f
		recordAll(t, s, in)
	}
	close(done)
	reading.Wait()
	require.Len(t, f.Shipments, 298)
}
