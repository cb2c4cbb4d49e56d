package workers

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"holdfast/activities"
	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// counted counts the states that recorded orders enter.
type counted struct {
	activities.Recorder
	orders *prometheus.CounterVec
}

func newCounted(r activities.Recorder, reg prometheus.Registerer) counted {
	c := counted{r, promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "orders_processed_total",
		Help: "How often an order entered the state and the database recorded it. A lost answer of the record counts twice.",
	}, []string{"status"})}
	for _, s := range order.States() {
		c.orders.WithLabelValues(string(s)) // so that the first order is an increase
	}
	return c
}

// Record implements activities.Recorder.
func (c counted) Record(ctx context.Context, in orderflow.RecordInput) (orderflow.RecordResult, error) {
	out, err := c.Recorder.Record(ctx, in)
	if err != nil || out.Earlier != nil { // nothing is written
		return out, err
	}
	for _, e := range in.Entries {
		if e.State != e.From {
			c.orders.WithLabelValues(string(e.State)).Inc()
		}
	}
	return out, nil
}
