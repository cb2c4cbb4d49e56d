package server

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/api/orderapi"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

// TestAfterTheEnd checks the answers for orders without a running workflow. A request that a workflow would carry out,
// or about an order that is not decided, gets order_stopped. Any other gets the answer that the workflow would have
// given.
func TestAfterTheEnd(t *testing.T) {
	t.Parallel()
	for _, state := range append(order.States(), order.New) {
		for _, input := range []order.Input{order.Pay, order.Cancel, order.Extend, order.Edit} {
			var row orderstore.Order
			row.State = state
			var p *problem.Problem
			answered := errors.As(afterTheEnd(row, input), &p)
			if !state.Settled() || order.Decide(state, input).To != "" {
				require.True(t, answered)
				require.Equal(t, orderapi.OrderStopped, p.Code, "%s in %s", input, state)
				require.False(t, p.Retryable)
				continue
			}
			require.Equal(t, !order.Decide(state, input).Repeated, answered, "%s in %s", input, state)
			if answered {
				require.Contains(t, []problem.Code{orderapi.InvalidState, orderapi.OrderExpired}, p.Code,
					"%s in %s", input, state)
			}
		}
	}
}

// TestEveryRefusalOfAnOrderHasItsCode: the contract lists every kind of refusal, because any other kind becomes a 500.
func TestEveryRefusalOfAnOrderHasItsCode(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{
		string(order.NotReady), string(order.PaymentInProgress), string(order.Overdue), string(order.InvalidState),
		orderflow.ErrInvalidInput, orderflow.ErrInvalidDuration, orderflow.ErrTooManyExtensions, orderflow.ErrUnavailable,
		orderflow.ErrTooManyEdits,
		orderflow.ErrRecordConflict, orderflow.ErrRecordImpossible,
		string(order.OnHold), string(order.AlreadyShipped), orderflow.ErrShipmentNotFound, orderflow.ErrShipmentState,
	} {
		require.True(t, orderflow.RefusesUpdate(kind), kind)
		p := refusedOrder(&orderclient.RefusedError{Kind: kind, Detail: "words"}, orderstore.Order{})
		require.NotEqual(t, problem.Internal, p.Code, kind)
		require.Less(t, p.Status, 504, kind)
	}
}
