package workers

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// answered is a recorder that has one answer.
type answered struct {
	out orderflow.RecordResult
	err error
}

func (a answered) Record(context.Context, orderflow.RecordInput) (orderflow.RecordResult, error) {
	return a.out, a.err
}

func (answered) Find(context.Context, uuid.UUID) (orderflow.RecordedOrder, error) {
	return orderflow.RecordedOrder{}, orderflow.ErrNoRow
}

// TestCounted: a record counts each state that the order enters, an event that changes no state counts nothing, and
// neither does a record that is not written.
func TestCounted(t *testing.T) {
	t.Parallel()
	in := orderflow.RecordInput{Entries: []orderflow.TimelineEntry{
		{From: order.New, State: order.Reserved},
		{From: order.Reserved, State: order.Reserved},
		{From: order.Reserved, State: order.Cancelled},
	}}
	for name, c := range map[string]struct {
		recorder answered
		want     float64
	}{
		"written":      {answered{}, 1},
		"failed":       {answered{err: errors.New("down")}, 0},
		"taken before": {answered{out: orderflow.RecordResult{Earlier: &orderflow.RecordedOrder{}}}, 0},
	} {
		counted := newCounted(c.recorder, prometheus.NewRegistry())
		_, err := counted.Record(t.Context(), in)
		require.Equal(t, c.recorder.err, err)
		require.InDelta(t, c.want, testutil.ToFloat64(counted.orders.WithLabelValues("reserved")), 0, name)
		require.InDelta(t, c.want, testutil.ToFloat64(counted.orders.WithLabelValues("cancelled")), 0, name)
		require.Equal(t, len(order.States()), testutil.CollectAndCount(counted.orders), "no other label")
	}
}
