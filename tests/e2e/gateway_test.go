package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/await"
	"holdfast/tests/platform"
)

// TestInstanceOfTheApiIsKilled: the api runs twice. While clients read orders and place some, each under its key, one
// instance is killed and starts again. No client sees an error.
func TestInstanceOfTheApiIsKilled(t *testing.T) {
	p := platform.Start(t)
	product := p.Product(10_000)
	first := p.Process("api")
	p.Configure("API_LISTEN", "127.0.0.1:0")
	second := p.Start("api")
	p.Process("gateway").Stop()
	p.Configure("API_URL", "http://"+first.Address()+",http://"+second.Address())
	p.Start("gateway")
	order := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")

	var clients sync.WaitGroup
	var reads, writes atomic.Int64
	var failure atomic.Pointer[string]
	stop := make(chan struct{})
	repeat := func(counted *atomic.Int64, send func() (platform.Answer, error), allowed ...int) {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				a, err := send()
				good := false
				for _, status := range allowed {
					good = good || a.Status == status
				}
				if err != nil || !good {
					said := fmt.Sprintf("%d %v %s", a.Status, err, a.Raw)
					failure.CompareAndSwap(nil, &said)
				}
				counted.Add(1)
			}
		})
	}
	for range 4 {
		repeat(&reads, func() (platform.Answer, error) {
			return p.Try("alice", http.MethodGet, "/api/orders/"+order, nil)
		}, http.StatusOK)
	}
	// An order that is not decided in time is accepted all the same.
	repeat(&writes, func() (platform.Answer, error) {
		key := uuid.NewString()
		return p.Try("bob", http.MethodPost, "/api/orders", platform.OneLine(product, 1), "Idempotency-Key", key)
	}, http.StatusCreated, http.StatusAccepted)
	more := func(n int64) {
		t.Helper()
		until := reads.Load() + n
		require.Eventually(t, func() bool { return reads.Load() > until && writes.Load() > 1 }, time.Minute, time.Millisecond)
	}

	more(100)
	second.Kill()
	more(100)
	p.Start("api") // at the address of the one that was killed
	more(100)
	first.Kill()
	more(100)
	close(stop)
	clients.Wait()
	require.Nil(t, failure.Load(), "%v", failure.Load())
	t.Logf("%d reads and %d orders", reads.Load(), writes.Load())
}

// TestOperatorsOfTheGateway: its private address has the metrics of the services behind it, and the public one has not.
func TestOperatorsOfTheGateway(t *testing.T) {
	p := platform.Start(t)
	p.Process("gateway").Stop()
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	private := "http://" + free.Addr().String()
	require.NoError(t, free.Close())
	p.Configure("GATEWAY_PRIVATE_LISTEN", free.Addr().String())
	p.Start("gateway")
	require.Equal(t, http.StatusNotFound, p.Do("alice", http.MethodGet, "/metrics", nil).Status)

	require.NoError(t, await.Until(t.Context(), 20*time.Millisecond, func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, private+"/metrics", nil)
		if err != nil {
			return await.Never(err)
		}
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = res.Body.Close() }()
		metrics, err := io.ReadAll(res.Body)
		require.Contains(t, string(metrics), `gateway_breaker_state{upstream="inventory"} 0`)
		return err
	}))
	_, said, err := p.Run([]string{"health", "gateway"})
	require.NoError(t, err, said)
}
