package inventory

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
)

const (
	// refusalInterval is the time for which refusals of one product are summed up in one event.
	refusalInterval = time.Second
	// maxRefusedProducts bounds the events of an interval, and the memory while the database is down.
	maxRefusedProducts = 1000
	// maxRefusedReservations is how many reservations an event names.
	maxRefusedReservations = 10
	// announceTimeout limits one attempt to write the events, and so how long a stop waits for the last of them.
	announceTimeout = 5 * time.Second
)

// refusals announces refused reservations as inventory.failed. A refusal changes nothing, so it has no transaction that
// its event could commit with, and a rush on a product that is sold out must not become a rush of writes. So refusals
// are counted in memory, and a background task writes one event per product and interval (ADR 14).
type refusals struct {
	announce func(context.Context, []stock.Event) error
	log      *slog.Logger
	dropped  prometheus.Counter

	stop    context.CancelFunc
	stopped chan struct{}

	mu        sync.Mutex
	byProduct map[uuid.UUID]*inventoryapi.FailedEvent
}

// newRefusals returns refusals whose background task the caller starts.
func newRefusals(
	announce func(context.Context, []stock.Event) error, log *slog.Logger, reg prometheus.Registerer,
) *refusals {
	return &refusals{
		announce: announce,
		log:      log,
		dropped: promauto.With(reg).NewCounter(prometheus.CounterOpts{
			Name: "inventory_refusals_unannounced_total",
			Help: "Short products of refused reservations that no event counts, because too many products were short.",
		}),
		byProduct: map[uuid.UUID]*inventoryapi.FailedEvent{},
	}
}

// start starts the background task, which close ends.
func (r *refusals) start() {
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	r.stopped = make(chan struct{})
	go r.run(ctx)
}

func (r *refusals) run(ctx context.Context) {
	defer close(r.stopped)
	tick := time.NewTicker(refusalInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.flush()
		case <-ctx.Done():
			r.flush()
			return
		}
	}
}

// close announces what is left and ends the background task.
func (r *refusals) close() {
	r.stop()
	<-r.stopped
}

// add counts a refused reservation for each product that was short.
func (r *refusals) add(in inventoryapi.ReserveRequest, short []inventoryapi.ShortLine) {
	now := time.Now().UTC()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range short {
		e := r.byProduct[l.ProductID]
		if e == nil {
			if len(r.byProduct) >= maxRefusedProducts {
				r.dropped.Inc()
				continue
			}
			e = &inventoryapi.FailedEvent{
				ProductID: l.ProductID, Reason: inventoryapi.ReasonInsufficientStock, Since: now,
			}
			r.byProduct[l.ProductID] = e
		}

		e.Requests++
		e.Quantity += l.Requested
		e.Until = now
		if len(e.Reservations) < maxRefusedReservations {
			e.Reservations = append(e.Reservations, inventoryapi.RefusedReservation{
				ReservationID: in.ReservationID,
				OwnerKind:     in.OwnerKind,
				OwnerID:       in.OwnerID,
				Requested:     l.Requested,
				Available:     l.Available,
			})
		}
	}
}

// flush writes the events. If that fails, it keeps the counts for the next attempt.
func (r *refusals) flush() {
	r.mu.Lock()
	taken := r.byProduct
	r.byProduct = map[uuid.UUID]*inventoryapi.FailedEvent{}
	r.mu.Unlock()
	if len(taken) == 0 {
		return
	}

	list := make([]stock.Event, 0, len(taken))
	for product, e := range taken {
		list = append(list, stock.Event{
			Type:          inventoryapi.EventFailed,
			AggregateType: "product",
			AggregateID:   product,
			Version:       time.Now().UnixMicro(), // nothing else counts the refusals of a product
			Data:          *e,
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), announceTimeout)
	defer cancel()
	if err := r.announce(ctx, list); err != nil {
		r.log.Warn("refused reservations are announced later", "products", len(taken), "error", err)
		r.putBack(taken)
	}
}

// putBack adds counts that could not be written to those of the refusals since.
func (r *refusals) putBack(taken map[uuid.UUID]*inventoryapi.FailedEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for product, e := range taken {
		later := r.byProduct[product]
		switch {
		case later != nil:
			later.Requests += e.Requests
			later.Quantity += e.Quantity
			later.Since = e.Since
			both := slices.Concat(e.Reservations, later.Reservations)
			later.Reservations = both[:min(len(both), maxRefusedReservations)]
		case len(r.byProduct) >= maxRefusedProducts:
			r.dropped.Add(float64(e.Requests))
		default:
			r.byProduct[product] = e
		}
	}
}
