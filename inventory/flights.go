package inventory

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory/inventoryapi"
)

// loadTimeout bounds a shared read of the database. The cache remembers versions for much longer, so
// that whoever is slow is still refused.
const loadTimeout = 5 * time.Second

// missing is a product that the cache had no value of, and what it knew instead. Whoever saw the same
// can share one read: had a change been committed and told to anybody in between, the later one would
// have seen something else.
type missing struct {
	product uuid.UUID
	known   string
}

// flight is the read of one product that several callers may wait for.
type flight struct {
	done  chan struct{} // closed when the rest is there
	value inventoryapi.Availability
	found bool
	err   error
}

// flights lets callers who miss the same product at the same time share one read of the database. One
// call can miss many products: those that nobody reads yet it reads in one statement, and waits for the
// others. That is what golang.org/x/sync/singleflight, with one key per read, cannot do.
type flights struct {
	load func(ctx context.Context, products []uuid.UUID) ([]inventoryapi.Availability, error)

	mu      sync.Mutex
	under   map[missing]*flight // under way
	closed  bool
	running sync.WaitGroup
	life    context.Context
	end     context.CancelFunc
}

var errClosing = errors.New("the service is stopping")

func newFlights(load func(context.Context, []uuid.UUID) ([]inventoryapi.Availability, error)) *flights {
	f := &flights{load: load, under: map[missing]*flight{}}
	f.life, f.end = context.WithCancel(context.Background())
	return f
}

// close ends what is under way and waits for it.
func (f *flights) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.end()
	f.running.Wait()
}

// get returns the known ones of the wanted products; landed is called once with those that this call
// read from the database, before anybody has them. When ctx ends it returns at once; the read goes on
// for whoever shares it.
func (f *flights) get(ctx context.Context, wanted []missing, landed func(context.Context, []inventoryapi.Availability)) ([]inventoryapi.Availability, error) {
	all, err := f.board(ctx, wanted, landed)
	if err != nil {
		return nil, err
	}
	out := make([]inventoryapi.Availability, 0, len(all))
	for _, fl := range all {
		select {
		case <-fl.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		switch {
		case fl.err != nil:
			return nil, fl.err
		case fl.found:
			out = append(out, fl.value)
		}
	}
	return out, nil
}

// board joins the flights that are under way and starts one for the rest.
func (f *flights) board(ctx context.Context, wanted []missing, landed func(context.Context, []inventoryapi.Availability)) ([]*flight, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, errClosing
	}
	all := make([]*flight, len(wanted))
	mine := map[missing]*flight{}
	for i, m := range wanted {
		if all[i] = f.under[m]; all[i] == nil {
			all[i] = &flight{done: make(chan struct{})}
			f.under[m], mine[m] = all[i], all[i]
		}
	}
	if len(mine) > 0 {
		f.running.Go(func() { f.fly(ctx, mine, landed) })
	}
	return all, nil
}

func (f *flights) fly(ctx context.Context, mine map[missing]*flight, landed func(context.Context, []inventoryapi.Availability)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
	defer cancel()
	defer context.AfterFunc(f.life, cancel)()
	products := make([]uuid.UUID, 0, len(mine))
	byID := make(map[uuid.UUID]*flight, len(mine))
	for m, fl := range mine {
		products = append(products, m.product)
		byID[m.product] = fl
	}
	values, err := f.load(ctx, products)
	for _, v := range values {
		byID[v.ProductID].value, byID[v.ProductID].found = v, true
	}
	// Not after the deadline: the process may have stood still since.
	if err == nil && ctx.Err() == nil {
		landed(ctx, values)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for m, fl := range mine {
		delete(f.under, m)
		fl.err = err
		close(fl.done)
	}
}
