package orderclient

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"

	"holdfast/internal/order"
	"holdfast/workflows/orderflow"
)

// TestOutcome: only an error that our workflows raise may reach a client. An error of the server or the SDK must not
// become a 500, and its text must not be shown.
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
		{"under way", ErrUnderWay, "", false, false},
		{"a refusal by the order's state", application(string(order.PaymentInProgress)), "payment_in_progress", false, false},
		{"a refusal of the argument", application(orderflow.ErrInvalidDuration), "invalid_duration", false, false},
		{"a reservation that is closed", application(orderflow.ErrReservationClosed), "reservation_closed", false, false},
		{"terminated after it was accepted", application("AcceptedUpdateCompletedWorkflow"), "", true, false},
		{"wrapped", fmt.Errorf("wait: %w", application("AcceptedUpdateCompletedWorkflow")), "", true, false},
		{"no such workflow", serviceerror.NewNotFound("workflow not found"), "", true, false},
		{"a type of the SDK", application("PanicError"), "", false, true},
		{"no type", application(""), "", false, true},
		{"an order that cannot be recorded", application(orderflow.ErrRecordImpossible), "record_impossible", false, false},
		{"a row of another request", application(orderflow.ErrRecordConflict), "record_conflict", false, false},
		{"an error of an activity that is not for clients", application(orderflow.ErrPaymentKeyUsed), "", false, true},
		{"the server is away", serviceerror.NewUnavailable("connection refused"), "", false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := classify(test.err)
			require.Equal(t, test.refused, RefusalKind(err))
			require.Equal(t, test.ended, errors.Is(err, ErrEnded))
			require.Equal(t, test.unknown, OutcomeUnknown(err))
			if test.refused == "" {
				require.ErrorIs(t, err, test.err, "the cause is kept for the log")
			}
		})
	}
}
