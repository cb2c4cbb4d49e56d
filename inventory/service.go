// Package inventory keeps stock and reservations. Service implements all of it in process, and Run is the process. The
// rules are in package stock (pure), the SQL is in store, and the HTTP side is in server.
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

	"holdfast/internal/correlation"
	"holdfast/internal/linequantity"
	"holdfast/inventory/availability"
	"holdfast/inventory/groupcommit"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/statistics"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

// DefaultTTL is the lifetime of a reservation when neither the caller nor the configuration names one.
const DefaultTTL = 15 * time.Minute

// Service implements inventoryapi.API on a database. It is safe for concurrent use, also by several processes on one
// database.
type Service struct {
	store        *store.Store
	writer       *groupcommit.Writer
	availability *availability.Reader
	statistics   *statistics.Snapshots
	refusals     *refusals // nil if refusals are not announced
	granter      *granter  // nil if unfinished grants are left to other processes

	log       *slog.Logger
	ttl       time.Duration
	strategy  inventoryapi.Strategy
	mostUnits int64 // of one line
	metrics   *metrics
}

var _ inventoryapi.API = (*Service)(nil)

// DefaultQueueLimit is the number of requests that may wait for their batch if the configuration names no limit.
const DefaultQueueLimit = groupcommit.DefaultQueueLimit

// Options configures a Service. Only Pool is required.
type Options struct {
	Pool     *pgxpool.Pool
	Log      *slog.Logger
	Registry prometheus.Registerer
	Cache    availability.Cache

	QueueLimit int                   // requests that may wait for their batch; DefaultQueueLimit if 0
	TTL        time.Duration         // of a reservation whose request names none; DefaultTTL if 0
	Strategy   inventoryapi.Strategy // of a reservation whose request names none; priority if empty
	MostUnits  int64                 // of one line; linequantity.Default if 0

	// AnnounceRefusals publishes inventory.failed. It starts a background task, which Close ends.
	AnnounceRefusals bool

	// MaxGrants bounds the backorders that one transaction grants; stock.MaxGrants if 0.
	MaxGrants int
	// ContinueGrants continues grants of backorders that one transaction could not finish, also those of processes that
	// were killed. It starts a background task, which Close ends.
	ContinueGrants bool
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
	if o.MostUnits == 0 {
		o.MostUnits = linequantity.Default
	}

	s := &Service{
		store:     store.New(o.Pool),
		log:       o.Log,
		ttl:       o.TTL,
		strategy:  o.Strategy,
		mostUnits: o.MostUnits,
		metrics:   newMetrics(o.Registry),
	}
	if o.MaxGrants > 0 {
		s.store.LimitGrants(o.MaxGrants)
	}
	o.Registry.MustRegister(newProposalCollector(s.store))
	s.availability = availability.New(s.store, o.Cache)
	if o.ContinueGrants {
		s.granter = &granter{
			products: s.store.ProductsToGrant,
			grant:    s.grantWaiting,
			interval: grantInterval,
			log:      o.Log,
		}
	}
	s.writer = groupcommit.New(groupcommit.Options{
		Store:      s.store,
		Log:        o.Log,
		Registry:   o.Registry,
		QueueLimit: o.QueueLimit,
		Committed:  s.committed,
	})
	s.statistics = statistics.New(s.computeStatistics, time.Now, o.Log)
	if o.AnnounceRefusals {
		s.refusals = newRefusals(s.store.Announce, o.Log, o.Registry)
		s.refusals.start()
	}
	if s.granter != nil {
		s.granter.start()
	}
	return s
}

// Close refuses new writes and returns when the accepted writes are finished. Reads still work.
func (s *Service) Close() {
	if s.granter != nil {
		s.granter.close()
	}
	s.writer.Close()
	if s.refusals != nil {
		s.refusals.close()
	}
	s.statistics.Close()
	s.availability.Close()
}

// Reserve implements inventoryapi.API.
func (s *Service) Reserve(ctx context.Context, in inventoryapi.ReserveRequest) (inventoryapi.Reservation, error) {
	r, err := stock.NewReserve(in, s.ttl, correlation.From(ctx))
	if err == nil {
		err = stock.CheckLines(in.Lines, s.mostUnits)
	}
	out, err := applyOne(ctx, s, r.WithDefaultStrategy(s.strategy), err)
	var short *inventoryapi.InsufficientStockError
	if s.refusals != nil && errors.As(err, &short) {
		s.refusals.add(in, short.Lines)
	}
	return out, err
}

// Confirm implements inventoryapi.API.
func (s *Service) Confirm(
	ctx context.Context, id uuid.UUID, in inventoryapi.ResolveRequest,
) (inventoryapi.ConfirmResult, error) {
	r, err := stock.NewConfirm(id, in, correlation.From(ctx))
	return applyOne(ctx, s, r, err)
}

// Release implements inventoryapi.API.
func (s *Service) Release(
	ctx context.Context, id uuid.UUID, in inventoryapi.ReleaseRequest,
) (inventoryapi.ReleaseResult, error) {
	r, err := stock.NewRelease(id, in, correlation.From(ctx))
	return applyOne(ctx, s, r, err)
}

// Expire implements inventoryapi.API.
func (s *Service) Expire(
	ctx context.Context, id uuid.UUID, in inventoryapi.ResolveRequest,
) (inventoryapi.ReleaseResult, error) {
	r, err := stock.NewExpire(id, in, correlation.From(ctx))
	return applyOne(ctx, s, r, err)
}

// Extend implements inventoryapi.API.
func (s *Service) Extend(
	ctx context.Context, id uuid.UUID, in inventoryapi.ExtendRequest,
) (inventoryapi.ExtendResult, error) {
	r, err := stock.NewExtend(id, in, correlation.From(ctx))
	return applyOne(ctx, s, r, err)
}

// Return implements inventoryapi.API.
func (s *Service) Return(
	ctx context.Context, id uuid.UUID, in inventoryapi.ReturnRequest,
) (inventoryapi.ReturnResult, error) {
	r, err := stock.NewReturn(id, in, correlation.From(ctx))
	return applyOne(ctx, s, r, err)
}

// GetReservation implements inventoryapi.API.
func (s *Service) GetReservation(ctx context.Context, id uuid.UUID) (inventoryapi.Reservation, error) {
	if id == uuid.Nil {
		return inventoryapi.Reservation{}, inventoryapi.Errorf(inventoryapi.InvalidInput, "reservation_id",
			"reservation_id is required")
	}
	out, found, err := s.store.GetReservation(ctx, id)
	switch {
	case errors.Is(err, inventoryapi.ReservationNotFound): // it was archived
		return out, err
	case err != nil:
		return out, unavailable(err)
	case !found:
		return out, inventoryapi.Errorf(inventoryapi.ReservationNotFound, "reservation_id",
			"there is no reservation %s", id)
	}
	return out, nil
}

// Availability implements inventoryapi.API.
func (s *Service) Availability(
	ctx context.Context, productID uuid.UUID, quantity int64,
) (inventoryapi.Availability, error) {
	if err := stock.CheckWanted(quantity, s.mostUnits); err != nil {
		return inventoryapi.Availability{}, err
	}
	found, err := s.availability.Read(ctx, []uuid.UUID{productID})
	switch {
	case err != nil:
		return inventoryapi.Availability{}, unavailable(err)
	case len(found) == 0:
		return inventoryapi.Availability{}, stock.ProductNotFound(productID)
	}
	return forQuantity(found[0], quantity), nil
}

// Availabilities implements inventoryapi.API.
func (s *Service) Availabilities(ctx context.Context, productIDs []uuid.UUID) ([]inventoryapi.Availability, error) {
	if n := len(productIDs); n == 0 || n > inventoryapi.MaxProducts {
		return nil, inventoryapi.Errorf(inventoryapi.InvalidInput, "product_ids",
			"name between 1 and %d products", inventoryapi.MaxProducts)
	}
	found, err := s.availability.Read(ctx, productIDs)
	if err != nil {
		return nil, unavailable(err)
	}
	for i := range found {
		found[i] = forQuantity(found[i], 1)
	}
	return found, nil
}

// forQuantity says whether a quantity of the product can be reserved.
func forQuantity(a inventoryapi.Availability, quantity int64) inventoryapi.Availability {
	a.RequestedQuantity = quantity
	a.IsAvailable = a.Sellable && a.AvailableQuantity >= quantity
	return a
}

// Receive takes stock in and creates missing items. It writes all receipts in one transaction unless the
// service refuses one of them. It acts once per operation id. The error joins the refusals; a refused
// request has a zero receipt.
func (s *Service) Receive(ctx context.Context, in ...stock.Receive) ([]stock.Receipt, error) {
	batch := make([]stock.Request[stock.Receipt], len(in))
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
	for i, a := range apply(ctx, s, batch...) {
		if a.Err != nil {
			refusals = append(refusals, fmt.Errorf("receipt %d: %w", i, a.Err))
			continue
		}
		out[i] = a.Value
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

// unavailable tells the caller that the database does not answer. Another failure stays as it is and becomes an
// internal error.
func unavailable(err error) error {
	if store.Classify(err) == store.Other {
		return err
	}
	return &inventoryapi.UnavailableError{Cause: err}
}
