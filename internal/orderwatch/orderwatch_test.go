package orderwatch

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"holdfast/internal/order"
	"holdfast/internal/orderstore"
)

// answers are what the databases answer; a nil count means that they fail.
type answers struct {
	mu     sync.Mutex // guards the others
	counts []orderstore.OpenCount
	needs  *int64
}

var errDown = errors.New("down")

func (a *answers) OpenOrders(context.Context) ([]orderstore.OpenCount, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.counts == nil {
		return nil, errDown
	}
	return a.counts, nil
}

func (a *answers) CountNeedingOperator(context.Context) (int64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.needs == nil {
		return 0, errDown
	}
	return *a.needs, nil
}

// TestWatch: the gauges show the last answer of each source, and no value while it does not answer, whatever the other
// source does.
func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		three := int64(3)
		a := &answers{needs: &three, counts: []orderstore.OpenCount{
			{State: order.Reserved, Orders: 2, Oldest: 90 * time.Second},
			{State: order.Pending},
		}}
		reg := prometheus.NewRegistry()
		w := New(a, a, slog.New(slog.DiscardHandler), reg)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		synctest.Wait()

		require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP orders_needing_operator Open workflows of orders and reservations that need an operator.
# TYPE orders_needing_operator gauge
orders_needing_operator 3
# HELP orders_oldest_open_seconds How long ago the oldest order in the state was placed; 0 if there is none.
# TYPE orders_oldest_open_seconds gauge
orders_oldest_open_seconds{state="pending"} 0
orders_oldest_open_seconds{state="reserved"} 90
# HELP orders_open Orders by state that still wait for something; 100000 means 100000 or more.
# TYPE orders_open gauge
orders_open{state="pending"} 0
orders_open{state="reserved"} 2
`)))

		a.mu.Lock()
		a.counts = nil
		a.mu.Unlock()
		time.Sleep(interval)
		synctest.Wait()
		n, err := testutil.GatherAndCount(reg)
		require.NoError(t, err)
		require.Equal(t, 1, n, "only the workflows are known")

		a.mu.Lock()
		a.needs = nil
		a.mu.Unlock()
		time.Sleep(interval)
		synctest.Wait()
		n, err = testutil.GatherAndCount(reg)
		require.NoError(t, err)
		require.Zero(t, n)
		stop()
		require.NoError(t, <-done)
	})
}
