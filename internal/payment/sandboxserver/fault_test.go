package sandboxserver

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/payment"
	"holdfast/internal/payment/paymenttest"
	"holdfast/internal/payment/sandbox"
)

// on switches a fault on.
func (s subject) on(t *testing.T, f sandbox.Fault) {
	t.Helper()
	require.NoError(t, s.SwitchOn(t.Context(), f))
}

// TestAnswerLost: each operation takes effect although its answer is lost, and a repetition does it no second time.
func TestAnswerLost(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	a := paymenttest.New(sandbox.MethodOK)
	authorise := func() (payment.Payment, error) { return s.Authorise(t.Context(), a) }
	steps := []struct {
		operation sandbox.Operation
		call      func() (payment.Payment, error)
		done      func(payment.Payment) bool
	}{
		{sandbox.OperationAuthorise, authorise, func(p payment.Payment) bool { return p.State == payment.Authorised }},
		{
			sandbox.OperationCapture,
			func() (payment.Payment, error) { return s.Capture(t.Context(), a.Key) },
			func(p payment.Payment) bool { return p.CapturedMinor == 1250 },
		},
		{
			sandbox.OperationRefund,
			func() (payment.Payment, error) { return s.Refund(t.Context(), a.Key, "r-"+a.Key, 250) },
			func(p payment.Payment) bool { return p.RefundedMinor == 250 },
		},
	}
	for _, step := range steps {
		s.on(t, sandbox.Fault{Kind: sandbox.FaultAnswerLost, Operation: step.operation, Times: 1})
		p, err := step.call()
		require.Error(t, err, step.operation)
		require.Equal(t, payment.OutcomeUnknown, payment.OutcomeOf(p, err))

		got, err := s.Get(t.Context(), a.Key)
		require.NoError(t, err)
		require.True(t, step.done(got), "%s: %+v", step.operation, got)
		again, err := step.call()
		require.NoError(t, err)
		require.Equal(t, got, again)
	}

	other := paymenttest.New(sandbox.MethodOK)
	s.on(t, sandbox.Fault{Kind: sandbox.FaultAnswerLost, Operation: sandbox.OperationVoid, Times: 1})
	_, err := s.Void(t.Context(), other.Key, "test")
	require.Error(t, err)
	_, err = s.Authorise(t.Context(), other)
	require.ErrorIs(t, err, payment.ErrVoided)
}

// TestDown: a sandbox that is down does nothing, until it is switched on again.
func TestDown(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	a := paymenttest.New(sandbox.MethodOK)
	s.on(t, sandbox.Fault{Kind: sandbox.FaultDown})
	for range 3 {
		_, err := s.Authorise(t.Context(), a)
		require.ErrorContains(t, err, "down on purpose")
	}
	faults, err := s.Faults(t.Context())
	require.NoError(t, err)
	require.Equal(t, []sandbox.Fault{{Kind: sandbox.FaultDown}}, faults)

	require.NoError(t, s.SwitchOff(t.Context()))
	_, err = s.Get(t.Context(), a.Key)
	require.ErrorIs(t, err, payment.ErrUnknown, "nothing happened meanwhile")
	_, err = s.Authorise(t.Context(), a)
	require.NoError(t, err)
}

// TestFaultIsCounted: a fault spoils as many requests of its operation as it says.
func TestFaultIsCounted(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	s.on(t, sandbox.Fault{Kind: sandbox.FaultDown, Operation: sandbox.OperationAuthorise, Times: 2})
	_, err := s.Get(t.Context(), "a-key")
	require.ErrorIs(t, err, payment.ErrUnknown, "another operation")
	a := paymenttest.New(sandbox.MethodOK)
	for range 2 {
		_, err = s.Authorise(t.Context(), a)
		require.ErrorContains(t, err, "down on purpose")
	}
	_, err = s.Authorise(t.Context(), a)
	require.NoError(t, err)
}

// TestSlow: a slow request takes effect after the delay.
func TestSlow(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	s.on(t, sandbox.Fault{Kind: sandbox.FaultSlow, Operation: sandbox.OperationAuthorise, Times: 1, DelayMS: 300})
	began := time.Now()
	_, err := s.Authorise(t.Context(), paymenttest.New(sandbox.MethodOK))
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(began), 300*time.Millisecond)
}

// TestFaultOfOneRequest: a header spoils its own request only.
func TestFaultOfOneRequest(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	a := paymenttest.New(sandbox.MethodOK)
	_, err := s.Authorise(t.Context(), a)
	require.NoError(t, err)
	send := func(fault string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/v1/payments/"+a.Key, nil)
		require.NoError(t, err)
		req.Header.Set("X-API-Key", "a key")
		if fault != "" {
			req.Header.Set(sandbox.FaultHeader, fault)
		}
		res, err := s.http.Do(req)
		if err != nil {
			return 0
		}
		require.NoError(t, res.Body.Close())
		return res.StatusCode
	}
	require.Equal(t, http.StatusServiceUnavailable, send("down"))
	require.Equal(t, 0, send("answer_lost"))
	require.Equal(t, http.StatusOK, send("slow 1ms"))
	require.Equal(t, http.StatusOK, send(""))
	for _, wrong := range []string{"up", "slow", "slow 2h", "slow soon", "down 1s"} {
		require.Equal(t, http.StatusBadRequest, send(wrong), wrong)
	}
}

// TestFaultsAreChecked: a fault that would do nothing is refused.
func TestFaultsAreChecked(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	for _, f := range []sandbox.Fault{
		{Kind: "on fire"},
		{Kind: sandbox.FaultDown, Operation: "settle"},
		{Kind: sandbox.FaultDown, Times: -1},
		{Kind: sandbox.FaultSlow},
		{Kind: sandbox.FaultLateWebhook, DelayMS: 60_001},
	} {
		require.ErrorContains(t, s.SwitchOn(t.Context(), f), "invalid_input")
	}
	faults, err := s.Faults(t.Context())
	require.NoError(t, err)
	require.Empty(t, faults)
}
