package availability

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/singleflight"

	"holdfast/inventory/stock"
)

// loadTimeout bounds a shared read of the database. The cache remembers invalidated versions for much longer, so that
// it refuses the result of a slow read.
const loadTimeout = 5 * time.Second

var errClosed = errors.New("the service is stopping")

// loads lets callers who miss the same products at the same time share one read of the database.
type loads struct {
	read  func(ctx context.Context, products []uuid.UUID) ([]stock.Availability, error)
	group singleflight.Group

	life context.Context // ends with close
	end  context.CancelFunc

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

func newLoads(read func(context.Context, []uuid.UUID) ([]stock.Availability, error)) *loads {
	l := &loads{read: read}
	l.life, l.end = context.WithCancel(context.Background())
	return l
}

// close ends reads under way, waits for them, and refuses more.
func (l *loads) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.end()
	l.running.Wait()
}

// load reads the missing products; the map has what the cache knew of each. If another call with the same map is under
// way, load shares its result. Otherwise it calls onLoaded with the values before any caller has them. If ctx ends,
// load returns at once, and the read goes on for the callers who share it.
func (l *loads) load(
	ctx context.Context,
	missing map[uuid.UUID]string,
	onLoaded func(context.Context, []stock.Availability),
) ([]stock.Availability, error) {
	products := slices.SortedFunc(maps.Keys(missing), func(x, y uuid.UUID) int { return bytes.Compare(x[:], y[:]) })
	result := l.group.DoChan(flightKey(products, missing), func() (any, error) {
		return l.readShared(ctx, products, onLoaded)
	})

	select {
	case r := <-result:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.([]stock.Availability), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// flightKey returns a text of the products and of what the cache knew of each.
func flightKey(products []uuid.UUID, known map[uuid.UUID]string) string {
	var key strings.Builder
	for _, p := range products {
		fmt.Fprintf(&key, "%s %q ", p, known[p])
	}
	return key.String()
}

// readShared reads products for all callers who share the read: no caller's context ends it.
func (l *loads) readShared(
	ctx context.Context,
	products []uuid.UUID,
	onLoaded func(context.Context, []stock.Availability),
) ([]stock.Availability, error) {
	if !l.begin() {
		return nil, errClosed
	}
	defer l.running.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
	defer cancel()
	defer context.AfterFunc(l.life, cancel)()
	values, err := l.read(ctx, products)
	if err == nil && ctx.Err() == nil { // after the deadline the cache may have forgotten an invalidated version
		onLoaded(ctx, values)
	}
	return values, err
}

// begin reports whether a read may begin; if so, close waits until it is done.
func (l *loads) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.running.Add(1)
	return true
}
