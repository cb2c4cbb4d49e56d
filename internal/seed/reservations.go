package seed

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/linequantity"
	"holdfast/internal/orderstore"
	"holdfast/inventory/inventoryapi"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

// The owner of the seeder's reservations. No token has this issuer, so only operators see these reservations.
const (
	Issuer = "holdfast-seed"
	Actor  = "seed"
)

const (
	holdTTL = inventoryapi.MaxTTLSeconds // a day
	// placeBudget is how long a reservation may take. After that, the seeder assumes that no worker answers.
	placeBudget = 10 * time.Second
	// expireBudget is how long the seeder waits until a reservation has expired.
	expireBudget = 30 * time.Second
	// pollerAge is how old a worker's last poll may be: a poll without work lasts a minute.
	pollerAge = 70 * time.Second
	// parallel bounds how many reservations the seeder places at once.
	parallel = 8
)

// ErrNoWorker says that Temporal answers, but no worker carries out a reservation.
var ErrNoWorker = errors.New("no worker carries out reservations")

// Books is the orders database, which records who requests a reservation.
type Books interface {
	RegisterReservation(ctx context.Context, r orderstore.Reservation) error
}

// Held reads reservations from inventory.
type Held interface {
	GetReservation(ctx context.Context, reservationID uuid.UUID) (inventoryapi.Reservation, error)
}

// Holder makes the reservations of a data set, through the workflows that own their timers.
type Holder struct {
	Books     Books
	Held      Held
	Temporal  client.Client
	Workflows *orderclient.Client   // on the same connection
	Progress  func(done, total int) // may be nil
}

// HoldSummary counts the reservations of a data set by their results.
type HoldSummary struct {
	Planned  int
	Made     int
	Existing int
	Ended    int      // existing reservations that hold no stock any more; Hold does not make them again
	Refused  []string // each with the reason
}

// Planned returns how many reservations a data set has.
func Planned(name string) (int, error) {
	set, err := find(name)
	return len(set.holds), err
}

// Hold makes those reservations of a data set that have never been made. It returns ErrNoWorker if no worker carries
// them out. It is idempotent: a reservation that has ended stays ended, because its id names only that reservation.
func (h Holder) Hold(ctx context.Context, name string) (HoldSummary, error) {
	set, err := find(name)
	sum := HoldSummary{Planned: len(set.holds)}
	if err != nil || len(set.holds) == 0 {
		return sum, err
	}
	if err := h.workerPolls(ctx); err != nil {
		return sum, err
	}

	var mu sync.Mutex
	done := 0
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, want := range set.holds {
		group.Go(func() error {
			result, err := h.place(ctx, want)
			if err != nil {
				return fmt.Errorf("reservation %s: %w", want.key, err)
			}
			mu.Lock()
			defer mu.Unlock()
			sum.add(result, want)
			if done++; h.Progress != nil {
				h.Progress(done, len(set.holds))
			}
			return nil
		})
	}
	err = group.Wait() // the goroutines write sum, so the return statement must not read it before
	return sum, err
}

// outcome is the result of placing one reservation.
type outcome struct {
	made    bool
	status  string
	refusal string
}

func (s *HoldSummary) add(o outcome, want hold) {
	switch {
	case o.refusal != "":
		s.Refused = append(s.Refused, want.key+": "+o.refusal)
	case o.made:
		s.Made++
	default:
		s.Existing++
		if o.status != orderflow.ReservationPending && !want.expired {
			s.Ended++
		}
	}
}

// workerPolls returns nil if a worker has polled for workflows lately, and else ErrNoWorker.
func (h Holder) workerPolls(ctx context.Context) error {
	found, err := h.Temporal.DescribeTaskQueue(ctx, orderflow.OrdersQueue, enumspb.TASK_QUEUE_TYPE_WORKFLOW)
	if err != nil {
		return fmt.Errorf("ask Temporal for workers: %w", err)
	}
	for _, p := range found.GetPollers() {
		if time.Since(p.GetLastAccessTime().AsTime()) < pollerAge {
			return nil
		}
	}
	return fmt.Errorf("%w: no worker polls the queue %q", ErrNoWorker, orderflow.OrdersQueue)
}

// start returns the workflow input of a reservation and its row in the orders database. Only PlacedAt differs between
// runs of the seeder.
func (want hold) start() (orderflow.ReservationStart, orderstore.Reservation, error) {
	theirs := uuid.NewSHA1(orderIDs, []byte(want.key))
	owner := orderflow.CustomerReservationOwner(Issuer, Actor, theirs.String())
	id := inventoryapi.NewReservationID(inventoryapi.OwnerCustomer, owner, 1)
	in := orderflow.ReservationStart{
		ReservationID: id,
		OwnerID:       owner,
		Actor:         Actor,
		TTLSeconds:    holdTTL,
		CorrelationID: "seed-" + want.key,
		PlacedAt:      time.Now().UTC().Truncate(time.Microsecond),
	}
	if want.ttl > 0 {
		in.TTLSeconds = want.ttl
	}
	if want.expired {
		in.TTLSeconds = 1
	}
	for _, l := range want.lines {
		for rest := l.quantity; rest > 0; rest -= linequantity.Default {
			in.Lines = append(in.Lines, orderflow.ReserveLine{
				LineNo:    len(in.Lines) + 1,
				ProductID: l.product,
				Quantity:  min(rest, linequantity.Default),
			})
		}
	}
	var err error
	in.RequestHash, err = orderflow.RequestHash(in.Lines)

	row := orderstore.Reservation{
		ID:           id,
		OwnerID:      owner,
		Issuer:       Issuer,
		CustomerID:   Actor,
		TheirOrderID: theirs.String(),
	}
	return in, row, err
}

func (h Holder) place(ctx context.Context, want hold) (outcome, error) {
	in, registered, err := want.start()
	if err != nil {
		return outcome{}, err
	}
	row, err := h.Held.GetReservation(ctx, in.ReservationID)
	if err == nil {
		return outcome{status: string(row.Status)}, h.awaitEnd(ctx, want, row)
	}
	if !errors.Is(err, inventoryapi.ReservationNotFound) {
		return outcome{}, err
	}
	if err := h.Books.RegisterReservation(ctx, registered); err != nil {
		return outcome{}, err
	}

	// ReserveAgain uses a new update id: Temporal would answer the old id with the update of a run that a reset has
	// ended.
	brief, cancel := context.WithTimeout(ctx, placeBudget)
	defer cancel()
	view, err := h.Workflows.ReserveAgain(brief, in)
	switch {
	case err != nil && ctx.Err() == nil && brief.Err() != nil:
		return outcome{}, fmt.Errorf("%w: the reservation is not made within %s; "+
			"it waits in Temporal, and the next worker makes it", ErrNoWorker, placeBudget)
	case err != nil:
		return outcome{}, err
	case view.Refusal != nil:
		return outcome{refusal: view.Refusal.Code + " " + view.Refusal.Detail}, nil
	}

	row, err = h.Held.GetReservation(ctx, in.ReservationID)
	if errors.Is(err, inventoryapi.ReservationNotFound) {
		return outcome{}, errors.New("its workflow says that it is made, but this inventory does not have it: " +
			"the worker works on another inventory than INVENTORY_DATABASE_URL, " +
			"or the workflow is left from before a reset; terminate it and run this again")
	}
	if err != nil {
		return outcome{}, err
	}
	return outcome{made: true, status: string(row.Status)}, h.awaitEnd(ctx, want, row)
}

// awaitEnd waits until a reservation that the data set wants as expired has expired, by its workflow's own timer.
func (h Holder) awaitEnd(ctx context.Context, want hold, row inventoryapi.Reservation) error {
	if !want.expired || row.Status != inventoryapi.StatusPending {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, expireBudget)
	defer cancel()
	run := h.Temporal.GetWorkflow(ctx, orderflow.ReservationWorkflowID(row.ReservationID), "")
	var view orderflow.ReservationView
	if err := run.Get(ctx, &view); err != nil {
		return fmt.Errorf("wait until it has expired: %w", err)
	}
	return nil
}
