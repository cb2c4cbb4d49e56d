package activities

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"holdfast/inventory/inventoryapi"
	"holdfast/workflows/orderflow"
)

// adopting answers an adoption: an order whose row has a reservation, and two overdue reservations of it.
type adopting struct {
	Starter
	order   uuid.UUID
	expired []uuid.UUID
	started []orderflow.OrderInput
}

func (a *adopting) Unended(context.Context, time.Time, int) ([]orderflow.OrderInput, error) {
	return nil, nil
}

func (a *adopting) Input(context.Context, uuid.UUID) (orderflow.OrderInput, error) {
	return orderflow.OrderInput{OrderID: a.order, ReservationNumber: 2}, nil
}

func (a *adopting) TakeUpOrder(_ context.Context, in orderflow.OrderInput) (bool, error) {
	a.started = append(a.started, in)
	return true, nil
}

func (a *adopting) id(number int) uuid.UUID {
	return inventoryapi.NewReservationID(inventoryapi.OwnerOrder, a.order, number)
}

func (a *adopting) Overdue(context.Context, inventoryapi.Page) (inventoryapi.OverdueList, error) {
	var out inventoryapi.OverdueList
	for _, number := range []int{2, 3} {
		out.Items = append(out.Items, inventoryapi.OverdueReservation{
			ReservationID: a.id(number),
			OwnerKind:     inventoryapi.OwnerOrder,
			OwnerID:       a.order,
			Number:        number,
			ExpiresAt:     time.Now().Add(-time.Hour),
		})
	}
	return out, nil
}

func (a *adopting) GetReservation(context.Context, uuid.UUID) (inventoryapi.Reservation, error) {
	return inventoryapi.Reservation{}, inventoryapi.ReservationNotFound
}

func (a *adopting) Expire(
	_ context.Context, id uuid.UUID, _ inventoryapi.ResolveRequest,
) (inventoryapi.ReleaseResult, error) {
	a.expired = append(a.expired, id)
	return inventoryapi.ReleaseResult{}, nil
}

// TestAdoptionExpiresUnknownReservations: the workflow of an order was stopped after it had replaced the reservation
// and before it had recorded that. No run would find the new reservation, so the adoption expires it. The reservation
// that the row names is taken up with its order.
func TestAdoptionExpiresUnknownReservations(t *testing.T) {
	t.Parallel()
	world := &adopting{order: uuid.New()}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	adoption := NewAdoption(world, world, world, func(string) {})
	env.RegisterActivity(adoption.AdoptReservations)

	value, err := env.ExecuteActivity(adoption.AdoptReservations, orderflow.AdoptionInput{Limit: 10})
	require.NoError(t, err)
	var out orderflow.AdoptionResult
	require.NoError(t, value.Get(&out))
	require.Equal(t, []uuid.UUID{world.id(3)}, world.expired)
	require.Len(t, world.started, 1)
	require.Equal(t, 2, world.started[0].ReservationNumber)
	require.Equal(t, orderflow.AdoptionResult{TakenUp: 1, Expired: 1}, out)
}
