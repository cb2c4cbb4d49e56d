// Package orderwatch exports how many orders are open and how long they have been, and how many need an operator. It
// asks twice a minute, in one process, so that a scrape costs the databases nothing.
package orderwatch

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"holdfast/internal/orderstore"
	"holdfast/internal/service"
)

const (
	interval = 30 * time.Second
	timeout  = 5 * time.Second // of one question
)

// Orders is what a watch asks of the orders database.
type Orders interface {
	OpenOrders(ctx context.Context) ([]orderstore.OpenCount, error)
}

// Workflows is what a watch asks of Temporal.
type Workflows interface {
	CountNeedingOperator(ctx context.Context) (int64, error)
}

// Watch exports gauges of the open orders.
type Watch struct {
	orders    Orders
	workflows Workflows
	log       *slog.Logger

	open    *prometheus.GaugeVec
	oldest  *prometheus.GaugeVec
	needing *prometheus.GaugeVec // one series without labels, so that it can be absent
}

// New returns a watch and registers its metrics. It asks while Run runs.
func New(orders Orders, workflows Workflows, log *slog.Logger, reg prometheus.Registerer) *Watch {
	f := promauto.With(reg)
	return &Watch{
		orders:    orders,
		workflows: workflows,
		log:       log,
		open: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "orders_open",
			Help: "Orders by state that still wait for something; 100000 means 100000 or more.",
		}, []string{"state"}),
		oldest: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "orders_oldest_open_seconds",
			Help: "How long ago the oldest order in the state was placed; 0 if there is none.",
		}, []string{"state"}),
		needing: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "orders_needing_operator",
			Help: "Open workflows of orders and reservations that need an operator.",
		}, nil),
	}
}

// Run asks until ctx ends. While the database or Temporal does not answer, its gauges are absent, because an old number
// would look like a new one.
func (w *Watch) Run(ctx context.Context) error {
	service.Every(ctx, interval, func() {
		if err := errors.Join(w.count(ctx), w.countNeedingOperator(ctx)); err != nil && ctx.Err() == nil {
			w.log.WarnContext(ctx, "metrics of the open orders are missing", "error", err)
		}
	})
	return nil
}

func (w *Watch) count(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	counts, err := w.orders.OpenOrders(ctx)
	if err != nil {
		w.open.Reset()
		w.oldest.Reset()
		return err
	}
	for _, c := range counts {
		w.open.WithLabelValues(string(c.State)).Set(float64(c.Orders))
		w.oldest.WithLabelValues(string(c.State)).Set(c.Oldest.Seconds())
	}
	return nil
}

func (w *Watch) countNeedingOperator(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	n, err := w.workflows.CountNeedingOperator(ctx)
	if err != nil {
		w.needing.Reset()
		return err
	}
	w.needing.WithLabelValues().Set(float64(n))
	return nil
}
