package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"holdfast/internal/breaker"
)

var errFailed = errors.New("the service fails")

// errDial is what a client gets if nothing listens.
var errDial = fmt.Errorf("reserve: %w", &net.OpError{Op: "dial", Err: errors.New("connection refused")})

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// open returns a breaker that has opened because of the given failure.
func open(t *testing.T, rule breaker.Rule, failure error) *breaker.Breaker {
	t.Helper()
	b := breaker.New(rule, discard())
	for range breaker.MinCalls {
		settle, err := b.Allow()
		require.NoError(t, err)
		settle(failure)
	}
	require.InDelta(t, 1, b.State(), 0)
	return b
}

// TestOpensAtHalf: with 49 % of failures the breaker stays closed, with half of them it opens, and fewer calls than the
// minimum never open it. Calls whose caller has left do not count.
func TestOpensAtHalf(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name                  string
		succeed, fail, cancel int
		want                  float64
	}{
		{"49 of 100 fail", 51, 49, 0, 0},
		{"half fail", 10, 10, 0, 1},
		{"all of a few fail", 0, breaker.MinCalls - 1, 0, 0},
		{"callers leave", 0, breaker.MinCalls - 1, 50, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := breaker.New(breaker.Rule{Percent: 50, Open: time.Hour}, discard())
			outcomes := map[error]int{nil: tc.succeed, context.Canceled: tc.cancel, errFailed: tc.fail}
			for _, outcome := range []error{nil, context.Canceled, errFailed} {
				for range outcomes[outcome] {
					settle, err := b.Allow()
					require.NoError(t, err)
					settle(outcome)
				}
			}
			require.InDelta(t, tc.want, b.State(), 0)
		})
	}
}

// TestRefusesWhileOpen: the refusal says how long the breaker stays open.
func TestRefusesWhileOpen(t *testing.T) {
	t.Parallel()
	b := open(t, breaker.Rule{Percent: 50, Open: time.Hour, Retest: time.Nanosecond}, errFailed)
	_, err := b.Allow()
	var refused *breaker.OpenError
	require.ErrorAs(t, err, &refused)
	require.InDelta(t, time.Hour, refused.RetryAfter, float64(time.Minute))
	require.Equal(t, b.Pause().Round(time.Minute), refused.RetryAfter.Round(time.Minute))
}

// TestOneTestAtATime: after the pause one call is the test, and all others are refused meanwhile. A failure opens the
// breaker again, a success closes it, and a caller that leaves makes room for another test.
func TestOneTestAtATime(t *testing.T) {
	t.Parallel()
	b := open(t, breaker.Rule{Percent: 50, Open: 10 * time.Millisecond}, errFailed)
	reg := prometheus.NewRegistry()
	b.Export(reg, "some_circuit_breaker_state", "some")
	halfOpen := func() bool { return b.State() == 2 }

	for _, outcome := range []error{errFailed, context.Canceled, nil} {
		require.Eventually(t, halfOpen, 10*time.Second, time.Millisecond)
		test, err := b.Allow()
		require.NoError(t, err)
		for range 10 {
			_, err := b.Allow()
			require.Error(t, err)
		}
		test(outcome)
	}
	require.Zero(t, b.State())
	n, err := testutil.GatherAndCount(reg, "some_circuit_breaker_state")
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

// TestReachedAgain: a breaker that opened because nothing listened lets one call through in each interval, whatever the
// number of callers, and the first that succeeds closes it long before the end of the pause.
func TestReachedAgain(t *testing.T) {
	t.Parallel()
	const interval = 20 * time.Millisecond
	b := open(t, breaker.Rule{Percent: 50, Open: time.Hour, Retest: interval}, errDial)
	begin := time.Now()
	var let atomic.Int64
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for time.Since(begin) < 20*interval {
				settle, err := b.Allow()
				if err != nil {
					continue
				}
				let.Add(1)
				settle(errDial)
			}
		})
	}
	callers.Wait()
	require.Positive(t, let.Load())
	require.LessOrEqual(t, let.Load(), int64(time.Since(begin)/interval)+1)
	require.InDelta(t, 1, b.State(), 0)

	require.Eventually(t, func() bool {
		settle, err := b.Allow()
		if err == nil {
			settle(nil)
		}
		return b.State() == 0
	}, 10*time.Second, time.Millisecond)
}

// TestReachedAndFailing: if the service can be reached again and fails, the pause holds.
func TestReachedAndFailing(t *testing.T) {
	t.Parallel()
	b := open(t, breaker.Rule{Percent: 50, Open: time.Hour, Retest: time.Millisecond}, errDial)
	var retest func(error)
	require.Eventually(t, func() bool {
		var err error
		retest, err = b.Allow()
		return err == nil
	}, 10*time.Second, time.Millisecond)
	retest(errFailed)

	require.False(t, b.Unreachable())
	require.Never(t, func() bool {
		_, err := b.Allow()
		return err == nil
	}, 50*time.Millisecond, 5*time.Millisecond)
}

// TestReachedClosesNoOther: a probe that reaches the service does not close a breaker that opened because the service
// fails.
func TestReachedClosesNoOther(t *testing.T) {
	t.Parallel()
	b := open(t, breaker.Rule{Percent: 50, Open: time.Hour}, errFailed)
	b.Reached()
	require.InDelta(t, 1, b.State(), 0)

	b = open(t, breaker.Rule{Percent: 50, Open: time.Hour}, errDial)
	b.Reached()
	require.Zero(t, b.State())
}

// TestFailuresOfAnswers: which answers say that the service is out of order.
func TestFailuresOfAnswers(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]error{
		http.StatusOK:                  nil,
		http.StatusConflict:            nil,
		http.StatusTooManyRequests:     nil,
		http.StatusInternalServerError: breaker.ErrInternal,
		http.StatusNotImplemented:      nil,
		http.StatusBadGateway:          breaker.ErrGateway,
		http.StatusServiceUnavailable:  breaker.ErrGateway,
		http.StatusGatewayTimeout:      breaker.ErrGateway,
	} {
		require.Equal(t, want, breaker.FailureOf(&http.Response{StatusCode: status}), status)
	}
	shed := &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"1"}}}
	require.NoError(t, breaker.FailureOf(shed), "the service sheds load")
}
