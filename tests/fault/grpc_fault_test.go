package fault

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func TestGRPCLostAnswersWerePerformedOnce(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, "127.0.0.1:0")
	p := NewGRPC(t, u.address)
	c := dial(t, p)
	rule := p.LoseAnswer(func(m string) bool { return m == method }, 7)
	var wg sync.WaitGroup
	var lost atomic.Int64
	for range 20 {
		wg.Go(func() {
			if _, err := call(t.Context(), c, ""); status.Code(err) == codes.Unavailable {
				lost.Add(1)
			} else if err != nil {
				lost.Add(100)
			}
		})
		wg.Go(func() {
			if _, err := healthpb.NewHealthClient(c).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
				lost.Add(100)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 7, lost.Load())
	require.Equal(t, 7, rule.Count())
	require.EqualValues(t, 20, u.performed.Load())

	rule = p.LoseAnswer(nil, 1)
	_, err := call(metadata.AppendToOutgoingContext(t.Context(), "fail", "yes"), c, "")
	require.Equal(t, codes.Unavailable, status.Code(err), "an error is an answer too")
	require.Equal(t, 1, rule.Count())
}

func TestGRPCPerformsAlthoughTheCallerHasGone(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, "127.0.0.1:0")
	p := NewGRPC(t, u.address)
	c := dial(t, p)
	rule := p.LoseAnswer(nil, 1)
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(t.Context(), "block", "yes"))
	sent := result(func() error { _, err := call(ctx, c, ""); return err })
	soon(t, "the call arrives", u.entered)
	cancel()
	require.Equal(t, codes.Canceled, status.Code(ended(t, "the call", sent)))
	blocked(t, "the server learns of it", u.cancelled)
	close(u.proceed)
	soon(t, "the call is performed", rule.Reached())
	require.EqualValues(t, 1, u.performed.Load())
}

func TestGRPCFindsAServerThatWasStartedAgain(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, "127.0.0.1:0")
	p := NewGRPC(t, u.address)
	c := dial(t, p)
	_, err := call(t.Context(), c, "")
	require.NoError(t, err)
	u.stop()
	rule := p.LoseAnswer(nil, 1)
	_, err = call(t.Context(), c, "")
	require.Equal(t, codes.Unavailable, status.Code(err))
	require.Zero(t, rule.Count(), "nothing was performed")
	again := newUpstream(t, u.address)
	require.Eventually(t, func() bool {
		_, err := call(t.Context(), c, "")
		return err == nil
	}, 20*time.Second, 5*time.Millisecond)
	require.Equal(t, 1, rule.Count())
	require.EqualValues(t, 2, again.performed.Load())
}

func TestGRPCDownCutsAndUpRecovers(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, "127.0.0.1:0")
	p := NewGRPC(t, u.address)
	c := dial(t, p)
	sent := result(func() error {
		_, err := call(metadata.AppendToOutgoingContext(t.Context(), "block", "yes"), c, "")
		return err
	})
	soon(t, "the call arrives", u.entered)
	p.Down()
	require.Equal(t, codes.Unavailable, status.Code(ended(t, "the call under way", sent)))
	soon(t, "the server learns of it", u.cancelled)
	for range 3 {
		_, err := call(t.Context(), c, "")
		require.Equal(t, codes.Unavailable, status.Code(err))
	}
	require.Zero(t, u.performed.Load())
	p.Up()
	_, err := call(t.Context(), c, "", grpc.WaitForReady(true))
	require.NoError(t, err)
}

func TestGRPCHangs(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, "127.0.0.1:0")
	p := NewGRPC(t, u.address)
	c := dial(t, p)
	p.Hang()
	ctx, cancel := context.WithCancel(t.Context())
	sent := result(func() error { _, err := call(ctx, c, ""); return err })
	blocked(t, "the call", sent)
	cancel()
	require.Equal(t, codes.Canceled, status.Code(ended(t, "the call", sent)))
	require.Zero(t, u.performed.Load())
	sent = result(func() error { _, err := call(t.Context(), c, ""); return err })
	blocked(t, "the call", sent)
	p.Up()
	require.NoError(t, ended(t, "the call", sent))
	require.EqualValues(t, 1, u.performed.Load())
}

func TestGRPCHoldStopsBeforeTheServer(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, "127.0.0.1:0")
	p := NewGRPC(t, u.address)
	c := dial(t, p)
	rule := p.Hold(func(m string) bool { return m == method }, 1)
	held := result(func() error { _, err := call(t.Context(), c, ""); return err })
	soon(t, "the call arrives", rule.Reached())
	_, err := call(t.Context(), c, "")
	require.NoError(t, err, "the rule holds one")
	require.EqualValues(t, 1, u.performed.Load())
	blocked(t, "the held call", held)
	rule.Release()
	require.NoError(t, ended(t, "the held call", held))
	require.EqualValues(t, 2, u.performed.Load())

	rule = p.Hold(nil, -1)
	held = result(func() error { _, err := call(t.Context(), c, ""); return err })
	soon(t, "the call arrives", rule.Reached())
	p.Down()
	p.Up()
	rule.Release()
	require.Equal(t, codes.Unavailable, status.Code(ended(t, "the held call", held)))
	_, err = call(t.Context(), c, "", grpc.WaitForReady(true))
	require.NoError(t, err)
	require.EqualValues(t, 3, u.performed.Load())
	require.Equal(t, 1, rule.Count())
}
