package activities_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"holdfast/activities"
	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/stock"
	"holdfast/tests/testenv"
	"holdfast/workflows/orderflow"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// losing is inventory behind a network that loses the first requests or their answers.
type losing struct {
	*inventory.Service
	reserves  int  // so far
	lose      int  // how many of the first get no answer
	performed bool // inventory has carried these out
}

func (l *losing) Reserve(
	ctx context.Context, in inventoryapi.ReserveRequest,
) (out inventoryapi.Reservation, err error) {
	l.reserves++
	if l.reserves > l.lose || l.performed {
		out, err = l.Service.Reserve(ctx, in)
	}
	if l.reserves <= l.lose {
		return inventoryapi.Reservation{}, &inventoryapi.UnavailableError{Cause: errors.New("connection reset")}
	}
	return out, err
}

// replaced is an order's reservation of two units, and the replacement that an activity makes.
type replaced struct {
	subject inventorytest.Subject
	product uuid.UUID
	old     inventoryapi.ReserveRequest
	in      orderflow.ReserveInput
}

// replacing reserves two of three units. The replacement wants the given quantity.
func replacing(t *testing.T, quantity int64) (replaced, *losing) {
	t.Helper()
	_, pool := inventorytest.NewDatabase(t)
	service := inventory.New(inventory.Options{Pool: pool})
	t.Cleanup(service.Close)
	s := inventorytest.NewSubject(t, service, pool)
	p := s.Stock(t, 3)
	old := inventorytest.NewReserve(inventorytest.Line(p, 2))
	_, err := service.Reserve(t.Context(), old)
	require.NoError(t, err)
	return replaced{s, p, old, orderflow.ReserveInput{
		Reservation: orderflow.ReservationRef{
			OwnerKind: orderflow.OwnerOrder, OwnerID: old.OwnerID, Number: 2, WorkflowID: old.WorkflowID,
		},
		Replaces: 1,
		Actor:    orderflow.ActorSystem,
		Lines:    []orderflow.ReserveLine{{LineNo: 1, ProductID: p, Quantity: quantity}},
	}}, &losing{Service: service}
}

// replace runs the activity as the workflow does: with retries.
func replace(
	t *testing.T, in orderflow.ReserveInput, through activities.Inventory,
) (orderflow.ReservationResult, error) {
	t.Helper()
	return run(t, through, orderflow.ReplaceReservation, in)
}

// run runs an activity as the workflow does: with retries.
func run(t *testing.T, through activities.Inventory, activity string, in any) (orderflow.ReservationResult, error) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.RegisterActivity(activities.NewInventory(through))
	var out orderflow.ReservationResult
	env.ExecuteWorkflow(func(ctx workflow.Context) error {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			StartToCloseTimeout: time.Minute,
			RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 5},
		})
		return workflow.ExecuteActivity(ctx, activity, in).Get(ctx, &out)
	})
	return out, env.GetWorkflowError()
}

func (r replaced) statuses(t *testing.T) (old, next inventoryapi.Status) {
	t.Helper()
	for number, into := range map[int]*inventoryapi.Status{1: &old, 2: &next} {
		got, err := r.subject.API.GetReservation(t.Context(), reservationID(r.old, number))
		if !errors.Is(err, inventoryapi.ReservationNotFound) {
			require.NoError(t, err)
		}
		*into = got.Status
	}
	return old, next
}

func kindOf(err error) string {
	var refused *temporal.ApplicationError
	if errors.As(err, &refused) {
		return refused.Type()
	}
	return ""
}

// TestReplaceWithLostAnswers: the answer to a replacement is lost twice. The reservation is replaced once, and the
// third attempt says so.
func TestReplaceWithLostAnswers(t *testing.T) {
	t.Parallel()
	r, network := replacing(t, 3)
	network.lose, network.performed = 2, true
	out, err := replace(t, r.in, network)
	require.NoError(t, err)
	require.Equal(t, orderflow.ReservationPending, out.Status)
	require.Equal(t, 3, network.reserves)
	old, next := r.statuses(t)
	require.Equal(t, [2]inventoryapi.Status{inventoryapi.StatusReleased, inventoryapi.StatusPending},
		[2]inventoryapi.Status{old, next})
	inventorytest.RequireConsistent(t, r.subject.Pool)
}

// TestRefusedReplaceIsWithdrawn: the first attempt gets no answer, and the second one is refused. The first attempt
// arrives later, when there is stock for it. It must change nothing: the workflow has told its client of the refusal.
func TestRefusedReplaceIsWithdrawn(t *testing.T) {
	t.Parallel()
	r, network := replacing(t, 4)
	network.lose = 1
	_, err := replace(t, r.in, network)
	require.Equal(t, orderflow.ErrOutOfStock, kindOf(err))

	_, err = r.subject.Service.Receive(t.Context(), stock.Receive{
		OperationID: uuid.New(), ProductID: r.product, Location: "near", Quantity: 10, Actor: inventorytest.Actor,
	})
	require.NoError(t, err)
	late := inventorytest.ReplaceOf(r.old, inventorytest.Line(r.product, 4))
	_, err = network.Service.Reserve(t.Context(), late)
	require.ErrorIs(t, err, inventoryapi.AlreadyResolved)
	old, next := r.statuses(t)
	require.Equal(t, [2]inventoryapi.Status{inventoryapi.StatusPending, inventoryapi.StatusReleased},
		[2]inventoryapi.Status{old, next})

	// The same number is used up, and the next one is free.
	_, err = replace(t, r.in, &losing{Service: network.Service})
	require.Equal(t, orderflow.ErrNumberUsed, kindOf(err))
	r.in.Reservation.Number = 3
	_, err = replace(t, r.in, &losing{Service: network.Service})
	require.NoError(t, err)
	inventorytest.RequireConsistent(t, r.subject.Pool)
}

// TestReplaceRefusals: each answer of inventory has its type, by which the workflow decides.
func TestReplaceRefusals(t *testing.T) {
	t.Parallel()
	ends := map[string]func(*testing.T, replaced){
		"": func(*testing.T, replaced) {},
		orderflow.ErrReservationExpired: func(t *testing.T, r replaced) {
			t.Helper()
			r.subject.Age(t, r.old.ReservationID)
		},
		orderflow.ErrReservationClosed: func(t *testing.T, r replaced) {
			t.Helper()
			_, err := r.subject.API.Release(t.Context(), r.old.ReservationID, inventorytest.ReleaseOf(r.old))
			require.NoError(t, err)
		},
		orderflow.ErrNumberUsed: func(t *testing.T, r replaced) {
			t.Helper()
			other := inventorytest.ReplaceOf(r.old, inventorytest.Line(r.product, 1))
			_, err := r.subject.API.Reserve(t.Context(), other)
			require.NoError(t, err)
		},
	}
	for kind, end := range ends {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r, network := replacing(t, 3)
			end(t, r)
			_, err := replace(t, r.in, network)
			require.Equal(t, kind, kindOf(err), "%v", err)
			require.Equal(t, 1, network.reserves)
		})
	}
}

// TestUnrecordedReplacement: an operator stops the workflow after inventory has replaced the reservation, and before
// the order's row has the change. The next run knows only the replaced reservation. What it ends, ends both.
func TestUnrecordedReplacement(t *testing.T) {
	t.Parallel()
	for activity, want := range map[string]inventoryapi.Status{
		orderflow.ReleaseStock:      inventoryapi.StatusReleased,
		orderflow.ExpireReservation: inventoryapi.StatusExpired,
	} {
		t.Run(activity, func(t *testing.T) {
			t.Parallel()
			r, network := replacing(t, 3)
			_, err := replace(t, r.in, network)
			require.NoError(t, err)
			known := orderflow.ReservationInput{Reservation: r.in.Reservation, Actor: r.in.Actor, Reason: "a test"}
			known.Reservation.Number = 1

			if activity == orderflow.ExpireReservation {
				_, err := run(t, network, activity, known)
				require.Equal(t, orderflow.ErrNotDue, kindOf(err), "the deadline of the replacement has not come: %v", err)
				r.subject.Age(t, reservationID(r.old, 2))
			}
			for range 2 { // the second finds that it is done
				out, err := run(t, network, activity, known)
				require.NoError(t, err)
				require.NotEqual(t, orderflow.ReservationPending, out.Status)
				old, next := r.statuses(t)
				require.Equal(t, [2]inventoryapi.Status{inventoryapi.StatusReleased, want}, [2]inventoryapi.Status{old, next})
			}
			inventorytest.RequireConsistent(t, r.subject.Pool)
		})
	}
}

func reservationID(r inventoryapi.ReserveRequest, number int) uuid.UUID {
	return inventoryapi.NewReservationID(r.OwnerKind, r.OwnerID, number)
}
