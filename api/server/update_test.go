package server

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"

	"holdfast/api/orderapi"
	"holdfast/internal/order"
	"holdfast/internal/orderstore"
	"holdfast/internal/problem"
	"holdfast/workflows/orderflow"
)

// TestOutcome sorts what an update can fail with. Only an error that our workflows raise may reach a client; the
// server's and the SDK's own must neither become a 500 nor show their text.
func TestOutcome(t *testing.T) {
	t.Parallel()
	application := func(kind string) error { return temporal.NewApplicationError("words", kind) }
	for _, test := range []struct {
		name    string
		err     error
		refused string
		ended   bool
		unknown bool
	}{
		{"success", nil, "", false, false},
		{"under way", errUnderWay, "", false, false},
		{"a refusal by the order's state", application(string(order.PaymentInProgress)), "payment_in_progress", false, false},
		{"a refusal of the argument", application(orderflow.ErrInvalidDuration), "invalid_duration", false, false},
		{"a reservation that is closed", application(orderflow.ErrReservationClosed), "reservation_closed", false, false},
		{"terminated after it was accepted", application("AcceptedUpdateCompletedWorkflow"), "", true, false},
		{"wrapped", fmt.Errorf("wait: %w", application("AcceptedUpdateCompletedWorkflow")), "", true, false},
		{"no such workflow", serviceerror.NewNotFound("workflow not found"), "", true, false},
		{"a type of the SDK", application("PanicError"), "", false, true},
		{"no type", application(""), "", false, true},
		{"an order that cannot be recorded", application(orderflow.ErrRecordImpossible), "order_rejected", false, false},
		{"a row of another request", application(orderflow.ErrRecordConflict), "order_rejected", false, false},
		{"an error of an activity that is not for clients", application(orderflow.ErrPaymentKeyUsed), "", false, true},
		{"the server is away", serviceerror.NewUnavailable("connection refused"), "", false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := outcome(test.err)
			require.Equal(t, test.refused, refusedAs(err))
			require.Equal(t, test.ended, errors.Is(err, errEnded))
			require.Equal(t, test.unknown, unknown(err))
			if test.refused == "" {
				require.ErrorIs(t, err, test.err, "the cause is kept for the log")
			}
		})
	}
}

// TestAfterTheEnd holds the answers for orders without a running workflow: one that is still open was stopped, whatever
// is asked of it; one that has ended is answered as its workflow would have.
func TestAfterTheEnd(t *testing.T) {
	t.Parallel()
	for _, state := range append(order.States(), order.New) {
		for _, input := range []order.Input{order.Pay, order.Cancel, order.Extend} {
			var row orderstore.Order
			row.State = string(state)
			var p *problem.Problem
			answered := errors.As(afterTheEnd(row, input), &p)
			switch state {
			case order.New, order.Pending, order.Reserved, order.Paying:
				require.True(t, answered)
				require.Equal(t, orderapi.OrderStopped, p.Code, "%s in %s", input, state)
				require.False(t, p.Retryable)
			default:
				require.Equal(t, !order.Decide(state, input).Repeated, answered, "%s in %s", input, state)
				require.True(t, !answered || p.Code == orderapi.InvalidState || p.Code == orderapi.OrderExpired, "%s in %s", input, state)
			}
		}
	}
}
