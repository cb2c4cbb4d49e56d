// Package follow tells any number of listeners what is recorded of the orders that they follow.
//
// A [Hub] asks the database one question per interval: which of the followed orders have changed? So 1,000 listeners
// cost as much as one query, and a hub without listeners asks nothing (ADR 17). What a listener gets depends only on
// what is recorded, so an outage of the database delays an entry and never loses one.
//
// A hub keeps one timeline per followed order, and a listener reads it when it has time. A slow listener skips versions
// that it did not read, holds up no other listener, and takes no memory for them.
package follow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"holdfast/internal/orderstore"
)

// Config bounds the listeners of an api process, from the environment.
type Config struct {
	// MaxListeners is how many clients may follow orders at once. Each has a connection.
	MaxListeners int `env:"API_MAX_LISTENERS" envDefault:"2000"`
	// Poll is how often a hub with listeners asks the database for changes.
	Poll time.Duration `env:"API_LISTENERS_POLL" envDefault:"250ms"`
}

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	if c.MaxListeners < 1 {
		faults = append(faults, fmt.Errorf("API_MAX_LISTENERS is %d; it is at least 1", c.MaxListeners))
	}
	if c.Poll < 10*time.Millisecond {
		faults = append(faults, fmt.Errorf("API_LISTENERS_POLL is %s; it is at least 10ms", c.Poll))
	}
	return errors.Join(faults...)
}

const (
	// pollTimeout limits one query.
	pollTimeout = 2 * time.Second
	// gatherTime is how long the hub waits for more listeners before it reads the timeline of a new one, so that many
	// listeners that come at once cost few queries.
	gatherTime = 20 * time.Millisecond
)

// Errors of Listen.
var (
	ErrFull     = errors.New("too many listeners")
	ErrStopping = errors.New("the process is stopping")
)

// Store reads timelines.
type Store interface {
	ChangedTimelines(
		ctx context.Context, known map[uuid.UUID]orderstore.Version,
	) (map[uuid.UUID]orderstore.Recorded, error)
}

// Hub watches the orders that have listeners.
type Hub struct {
	cfg   Config
	store Store
	log   *slog.Logger
	gauge prometheus.Gauge

	joined   chan struct{} // has room for one message: a new order is followed
	stopping chan struct{} // closed by Stop

	mu        sync.Mutex
	stopped   bool
	listeners int
	orders    map[uuid.UUID]*followed
}

// followed is an order that has listeners.
type followed struct {
	recorded  orderstore.Recorded // the zero value until the first read
	listeners map[*Listener]struct{}
}

// New returns a hub and registers its metrics. It watches while Run runs.
func New(cfg Config, store Store, log *slog.Logger, reg prometheus.Registerer) *Hub {
	return &Hub{
		cfg:   cfg,
		store: store,
		log:   log,
		gauge: promauto.With(reg).NewGauge(prometheus.GaugeOpts{
			Name: "orders_timeline_listeners",
			Help: "Clients that follow the timeline of an order.",
		}),
		joined:   make(chan struct{}, 1),
		stopping: make(chan struct{}),
		orders:   map[uuid.UUID]*followed{},
	}
}

// Listener follows one order. The caller calls Close when it is done.
type Listener struct {
	hub     *Hub
	order   uuid.UUID
	changed chan struct{} // has room for one message
}

// Listen returns a listener of an order. It returns ErrFull if there are as many listeners as the configuration allows,
// and ErrStopping after Stop.
func (h *Hub) Listen(order uuid.UUID) (*Listener, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.stopped:
		return nil, ErrStopping
	case h.listeners >= h.cfg.MaxListeners:
		return nil, ErrFull
	}
	l := &Listener{hub: h, order: order, changed: make(chan struct{}, 1)}
	f := h.orders[order]
	if f == nil {
		f = &followed{listeners: map[*Listener]struct{}{}}
		h.orders[order] = f
		signal(h.joined)
	}
	f.listeners[l] = struct{}{}
	if len(f.recorded.Entries) > 0 {
		signal(l.changed)
	}
	h.listeners++
	h.gauge.Set(float64(h.listeners))
	return l, nil
}

// Close ends the listener.
func (l *Listener) Close() {
	h := l.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.orders[l.order]
	if f == nil {
		return
	}
	if _, open := f.listeners[l]; !open {
		return
	}
	delete(f.listeners, l)
	if len(f.listeners) == 0 {
		delete(h.orders, l.order)
	}
	h.listeners--
	h.gauge.Set(float64(h.listeners))
}

// Changed receives a message when there is a timeline that the listener has not read.
func (l *Listener) Changed() <-chan struct{} { return l.changed }

// Stopping is closed when the process stops and the listener should end.
func (l *Listener) Stopping() <-chan struct{} { return l.hub.stopping }

// Recorded returns the order's timeline as it was last read. The caller must not change it: listeners share it.
func (l *Listener) Recorded() orderstore.Recorded {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	if f := l.hub.orders[l.order]; f != nil {
		return f.recorded
	}
	return orderstore.Recorded{}
}

// Stop tells every listener to end, and admits no other.
func (h *Hub) Stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.stopped {
		h.stopped = true
		close(h.stopping)
	}
}

// Run watches the followed orders until ctx ends.
func (h *Hub) Run(ctx context.Context) {
	tick := time.NewTicker(h.cfg.Poll)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-h.joined:
			select {
			case <-ctx.Done():
				return
			case <-time.After(min(gatherTime, h.cfg.Poll)):
			}
		}
		err := h.poll(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			h.log.WarnContext(ctx, "the followed orders cannot be read; their listeners wait", "error", err)
		}
		failing = err != nil
	}
}

// poll reads what has changed of the followed orders, and tells their listeners.
func (h *Hub) poll(ctx context.Context) error {
	known := h.versions()
	if len(known) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	changed, err := h.store.ChangedTimelines(ctx, known)
	if err != nil {
		return err
	}

	h.mu.Lock()
	defer h.mu.Unlock()
	for id, recorded := range changed {
		f := h.orders[id]
		if f == nil { // its last listener has left meanwhile
			continue
		}
		f.recorded = recorded
		for l := range f.listeners {
			signal(l.changed)
		}
	}
	return nil
}

// unread is the version of an order whose timeline was not read yet. No row has this seq.
var unread = orderstore.Version{Seq: -1}

func (h *Hub) versions() map[uuid.UUID]orderstore.Version {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make(map[uuid.UUID]orderstore.Version, len(h.orders))
	for id, f := range h.orders {
		out[id] = f.recorded.Version
		if len(f.recorded.Entries) == 0 {
			out[id] = unread
		}
	}
	return out
}

// signal leaves a message, unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
