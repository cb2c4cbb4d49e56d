// Package stockwatch exports the stock of the lowest products and the reservations that are past their deadline. It
// asks once a minute, in one process, so that a scrape costs the database nothing.
package stockwatch

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"holdfast/internal/service"
	"holdfast/inventory/store"
)

const (
	interval = time.Minute
	timeout  = 5 * time.Second // of one question

	// Lowest is how many items have a gauge: each is a series of its own.
	Lowest = 20
	// MostOverdue is the highest number of overdue reservations that is counted.
	MostOverdue = 1000
)

// Watch exports gauges of the stock.
type Watch struct {
	store *store.Store
	log   *slog.Logger

	level   *prometheus.GaugeVec
	overdue *prometheus.GaugeVec // these two have one series without labels, so that they can be absent
	longest *prometheus.GaugeVec
}

// New returns a watch on the inventory database and registers its metrics. It asks while Run runs.
func New(pool *pgxpool.Pool, log *slog.Logger, reg prometheus.Registerer) *Watch {
	f := promauto.With(reg)
	return &Watch{
		store: store.New(pool),
		log:   log,
		level: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "inventory_stock_level",
			Help: "Available units of the 20 lowest items that are at or below their threshold.",
		}, []string{"product_id", "location"}),
		overdue: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "inventory_reservations_overdue",
			Help: "Reservations past their deadline that still hold stock; 1000 means 1000 or more.",
		}, nil),
		longest: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "inventory_reservations_overdue_seconds",
			Help: "How long the reservation that is overdue longest has been so; 0 if none is.",
		}, nil),
	}
}

// Run asks until ctx ends. While the database does not answer, the gauges are absent, because an old number would look
// like a new one.
func (w *Watch) Run(ctx context.Context) error {
	service.Every(ctx, interval, func() {
		if err := w.ask(ctx); err != nil && ctx.Err() == nil {
			w.log.WarnContext(ctx, "the metrics of the stock are missing", "error", err)
		}
	})
	return nil
}

func (w *Watch) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	lowest, err := w.store.LowestStock(ctx, Lowest)
	w.level.Reset() // also for items that are no longer among them
	if err != nil {
		w.overdue.Reset()
		w.longest.Reset()
		return err
	}
	for _, l := range lowest {
		w.level.WithLabelValues(l.ProductID.String(), l.Location).Set(float64(l.Available))
	}

	n, longest, err := w.store.CountOverdue(ctx, MostOverdue)
	if err != nil {
		w.overdue.Reset()
		w.longest.Reset()
		return err
	}
	w.overdue.WithLabelValues().Set(float64(n))
	w.longest.WithLabelValues().Set(longest.Seconds())
	return nil
}
