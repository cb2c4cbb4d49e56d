package seed

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"holdfast/internal/orderstore"
	"holdfast/workflows/orderflow"
)

// ErrForeign says that a reset was refused because it would delete more than example data.
var ErrForeign = errors.New("this database has more than example data")

// Orders is the part of the orders database that a reset uses.
type Orders interface {
	Contents(ctx context.Context, examples orderstore.Examples) (orderstore.Contents, error)
	ReservationsOf(ctx context.Context, issuer string) ([]uuid.UUID, error)
	OpenOrderWorkflows(ctx context.Context) ([]string, error)
	Wipe(ctx context.Context, examples orderstore.Examples, force bool) error
}

// Inventory is the part of inventory that a reset uses.
type Inventory interface {
	Beside(ctx context.Context, reservations, products []uuid.UUID) (holds, items int64, err error)
	Wipe(ctx context.Context) error
}

// Reset deletes all data, so that a data set can be seeded again.
type Reset struct {
	Orders    Orders
	Inventory Inventory
	Temporal  client.Client // nil if the process has no client
	NoClient  error         // why Temporal is nil
	// Force deletes data that is not from seeding too, and goes on without Temporal.
	Force bool
	// Confirm is called with the data that the reset would delete; false makes the reset change nothing.
	Confirm func(lost Lost) (bool, error)
}

// Lost counts the data that a reset deletes.
type Lost struct {
	orderstore.Contents

	ForeignHolds int64 // reservations that hold stock and are not from seeding
	ForeignItems int64 // items with stock of products that are not from seeding
}

// ErrNotConfirmed says that Confirm has returned false or an error.
var ErrNotConfirmed = errors.New("not confirmed; nothing was changed")

// Run ends the workflows of the data that it deletes and then wipes both databases, each in one transaction. The caller
// holds the seeders' lock. If Run is interrupted, the caller can run it again.
func (r Reset) Run(ctx context.Context) (Lost, error) {
	seeded, err := r.Orders.ReservationsOf(ctx, Issuer)
	if err != nil {
		return Lost{}, err
	}
	var lost Lost
	if lost.Contents, err = r.Orders.Contents(ctx, Examples()); err != nil {
		return lost, err
	}
	if lost.ForeignHolds, lost.ForeignItems, err = r.Inventory.Beside(ctx, seeded, Examples().Products); err != nil {
		return lost, err
	}
	foreign := lost.Orders + lost.ForeignReservations + lost.ForeignHolds + lost.ForeignProducts + lost.ForeignItems
	if !r.Force && foreign > 0 {
		return lost, fmt.Errorf("%w: %d orders, %d reservations by customers, %d of other origin that hold stock, "+
			"%d products and stock of other products at %d places; "+
			"use databases of their own for example data, or add --force to lose all of that",
			ErrForeign, lost.Orders, lost.ForeignReservations, lost.ForeignHolds, lost.ForeignProducts, lost.ForeignItems)
	}
	if r.Temporal == nil && len(seeded) > 0 && !r.Force {
		return lost, fmt.Errorf("%d reservations from seeding may still have workflows, "+
			"whose timers would act on stock that is gone, and Temporal cannot be asked to end them (%w); "+
			"set TEMPORAL_ADDRESS and start it, or add --force to leave them", len(seeded), r.NoClient)
	}
	if yes, err := r.Confirm(lost); err != nil || !yes {
		return lost, errors.Join(err, ErrNotConfirmed)
	}
	if err := r.endWorkflows(ctx, seeded); err != nil {
		return lost, err
	}
	// Orders are wiped first: without a catalogue, no customer can order stock that the reset is about to delete.
	switch err := r.Orders.Wipe(ctx, Examples(), r.Force); {
	case errors.Is(err, orderstore.ErrOrdersLeft):
		return lost, fmt.Errorf("%w: an order was placed, or a product added, meanwhile; run this again", ErrForeign)
	case err != nil:
		return lost, err
	}
	return lost, r.Inventory.Wipe(ctx)
}

// endWorkflows terminates the workflows and does not cancel them: a cancelled workflow gives its stock back, which
// needs a worker and an inventory that still has the stock.
func (r Reset) endWorkflows(ctx context.Context, seeded []uuid.UUID) error {
	if r.Temporal == nil {
		return nil
	}
	reservations := seeded
	var ids []string
	if r.Force {
		var err error
		if ids, err = r.Orders.OpenOrderWorkflows(ctx); err != nil {
			return err
		}
		if reservations, err = r.Orders.ReservationsOf(ctx, ""); err != nil {
			return err
		}
	}
	for _, id := range reservations {
		ids = append(ids, orderflow.ReservationWorkflowID(id))
	}

	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, id := range ids {
		group.Go(func() error {
			err := r.Temporal.TerminateWorkflow(ctx, id, "", "the example data is reset")
			var ended *serviceerror.NotFound // the workflow has ended or was never started
			if err != nil && !errors.As(err, &ended) {
				return fmt.Errorf("end workflow %s: %w", id, err)
			}
			return nil
		})
	}
	return group.Wait()
}
