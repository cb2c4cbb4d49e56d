// Package inventory keeps stock and reservations right. Service is the whole of it in process; the
// rules are in stock (pure), the SQL behind store, the HTTP side in server, and Run is the process.
package inventory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"holdfast/internal/correlation"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

// DefaultTTL is how long a reservation lives when neither the caller nor the configuration says.
const DefaultTTL = 15 * time.Minute

// Service implements inventoryapi.API on a database. It is safe for concurrent use, also by several
// processes on one database.
type Service struct {
	store   *store.Store
	log     *slog.Logger
	ttl     time.Duration
	metrics *metrics

	availability *availability
	committer    *committer
	repeats      repeats
	statistics   *statistics
	strategy     inventoryapi.Strategy
}

var _ inventoryapi.API = (*Service)(nil)

// Options says how a service is made; all but the pool may be absent.
type Options struct {
	Pool     *pgxpool.Pool
	Log      *slog.Logger
	Registry prometheus.Registerer
	TTL      time.Duration // of a reservation whose request names none; DefaultTTL where 0
	Cache    AvailabilityCache

	QueueLimit int // requests that may wait for their batch; DefaultQueueLimit where 0

	Strategy inventoryapi.Strategy // of a reservation whose request names none; priority where empty
}

// New returns a service.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	if o.QueueLimit == 0 {
		o.QueueLimit = DefaultQueueLimit
	}
	s := &Service{store: store.New(o.Pool), log: o.Log, ttl: o.TTL, metrics: newMetrics(o.Registry), strategy: o.Strategy}
	s.availability = newAvailability(s.store, o.Cache)
	s.committer = newCommitter(o.QueueLimit, s.commit)
	s.committer.products = s.store.ProductsOfReservations
	promauto.With(o.Registry).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "inventory_queue_requests", Help: "Requests that wait for their batch.",
	}, s.committer.waitingNow)
	s.statistics = newStatistics(s.computeStatistics, time.Now, o.Log)
	return s
}

// Close refuses new operations, lets everything that was accepted be done, and returns then. Reads
// still work.
func (s *Service) Close() {
	s.committer.close()
	s.statistics.close()
	s.availability.close()
}

// Ping reports whether the database answers.
func (s *Service) Ping(ctx context.Context) error { return s.store.Ping(ctx) }

// Reserve implements inventoryapi.API.
func (s *Service) Reserve(ctx context.Context, in inventoryapi.ReserveRequest) (inventoryapi.Reservation, error) {
	r, err := stock.NewReserve(in, s.ttl, correlation.From(ctx))
	return one[inventoryapi.Reservation](ctx, s, "reserve")(r.By(s.strategy), err)
}

// Confirm implements inventoryapi.API.
func (s *Service) Confirm(ctx context.Context, id uuid.UUID, in inventoryapi.ResolveRequest) (inventoryapi.ConfirmResult, error) {
	return one[inventoryapi.ConfirmResult](ctx, s, "confirm")(stock.NewConfirm(id, in, correlation.From(ctx)))
}

// Release implements inventoryapi.API.
func (s *Service) Release(ctx context.Context, id uuid.UUID, in inventoryapi.ReleaseRequest) (inventoryapi.ReleaseResult, error) {
	return one[inventoryapi.ReleaseResult](ctx, s, "release")(stock.NewRelease(id, in, correlation.From(ctx)))
}

// Expire implements inventoryapi.API.
func (s *Service) Expire(ctx context.Context, id uuid.UUID, in inventoryapi.ResolveRequest) (inventoryapi.ReleaseResult, error) {
	return one[inventoryapi.ReleaseResult](ctx, s, "expire")(stock.NewExpire(id, in, correlation.From(ctx)))
}

// Extend implements inventoryapi.API.
func (s *Service) Extend(ctx context.Context, id uuid.UUID, in inventoryapi.ExtendRequest) (inventoryapi.ExtendResult, error) {
	return one[inventoryapi.ExtendResult](ctx, s, "extend")(stock.NewExtend(id, in, correlation.From(ctx)))
}

// Return implements inventoryapi.API.
func (s *Service) Return(ctx context.Context, id uuid.UUID, in inventoryapi.ReturnRequest) (inventoryapi.ReturnResult, error) {
	return one[inventoryapi.ReturnResult](ctx, s, "return")(stock.NewReturn(id, in, correlation.From(ctx)))
}

// GetReservation implements inventoryapi.API.
func (s *Service) GetReservation(ctx context.Context, id uuid.UUID) (inventoryapi.Reservation, error) {
	if id == uuid.Nil {
		return inventoryapi.Reservation{}, inventoryapi.Errorf(inventoryapi.InvalidInput, "reservation_id", "reservation_id is required")
	}
	out, found, err := s.store.GetReservation(ctx, id)
	switch {
	case errors.Is(err, inventoryapi.ReservationNotFound): // it was archived
		return out, err
	case err != nil:
		return out, unavailable(err)
	case !found:
		return out, inventoryapi.Errorf(inventoryapi.ReservationNotFound, "reservation_id", "there is no reservation %s", id)
	}
	return out, nil
}

// Receive takes stock in, all receipts in one transaction where none is refused, and creates items
// that are missing. It acts once per operation id. The error joins the refusals; the receipt of a
// refused one is zero.
func (s *Service) Receive(ctx context.Context, in ...stock.Receive) ([]stock.Receipt, error) {
	batch := make([]stock.Request, len(in))
	for i, r := range in {
		if err := r.Check(); err != nil {
			return nil, fmt.Errorf("receipt %d: %w", i, err)
		}
		if r.CorrelationID == "" {
			r.CorrelationID = correlation.From(ctx)
		}
		batch[i] = r
	}
	out := make([]stock.Receipt, len(in))
	var refusals []error
	for i, a := range s.apply(ctx, batch) {
		if a.err != nil {
			refusals = append(refusals, fmt.Errorf("receipt %d: %w", i, a.err))
			continue
		}
		out[i] = a.value.(stock.Receipt)
	}
	return out, errors.Join(refusals...)
}

// PutLocations creates or changes locations by code.
func (s *Service) PutLocations(ctx context.Context, locations ...store.Location) error {
	if err := s.store.PutLocations(ctx, locations); err != nil {
		return unavailable(err)
	}
	return nil
}

// unavailable wraps a failure of the database that is no answer about the request.
func unavailable(err error) error {
	if store.Classify(err) == store.Other {
		return err // our fault; it becomes an internal error
	}
	return &inventoryapi.UnavailableError{Cause: err}
}

// one takes a checked request and applies it as a batch of one.
func one[T any](ctx context.Context, s *Service, kind string) func(stock.Request, error) (T, error) {
	return func(r stock.Request, err error) (T, error) {
		var zero T
		if err != nil {
			s.metrics.refused(kind, err)
			return zero, err
		}
		a := s.apply(ctx, []stock.Request{r})[0]
		if a.err != nil {
			return zero, a.err
		}
		return a.value.(T), nil
	}
}
