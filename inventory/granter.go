package inventory

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory/stock"
)

const (
	// grantInterval is how often a process looks for grants that another process left unfinished.
	grantInterval = 5 * time.Second
	// maxProductsToGrant bounds the products of one look. The next look goes on behind them.
	maxProductsToGrant = 200
	// lookTimeout bounds one look.
	lookTimeout = 2 * time.Second
)

// granter continues the grants that one transaction could not finish, because it had reached stock.MaxGrants. The
// process that made that transaction continues at once. If it was killed, or was a tool that ends, each other inventory
// process finds the rest within grantInterval: the stock and the waiting list in the database are all that is needed.
// Several processes may continue one list at the same time; each transaction takes its part.
//
// It expires nothing: a deadline belongs to the owner's workflow.
type granter struct {
	products func(ctx context.Context, after int64, limit int) (products []uuid.UUID, last int64, err error)
	grant    func(ctx context.Context, product uuid.UUID) error
	interval time.Duration
	log      *slog.Logger

	stop    context.CancelFunc
	stopped chan struct{}
	wake    chan struct{}

	mu   sync.Mutex
	rest map[uuid.UUID]bool // products of this process's unfinished grants
}

// start starts the background task, which close ends.
func (g *granter) start() {
	var ctx context.Context
	ctx, g.stop = context.WithCancel(context.Background())
	g.stopped, g.wake = make(chan struct{}), make(chan struct{}, 1)
	g.rest = map[uuid.UUID]bool{}
	go g.run(ctx)
}

// close ends the background task and waits for it.
func (g *granter) close() {
	g.stop()
	<-g.stopped
}

// note remembers products whose waiting lists a transaction has not read to the end.
func (g *granter) note(products []uuid.UUID) {
	if len(products) == 0 {
		return
	}
	g.mu.Lock()
	for _, p := range products {
		g.rest[p] = true
	}
	g.mu.Unlock()
	select {
	case g.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func (g *granter) take() []uuid.UUID {
	g.mu.Lock()
	defer g.mu.Unlock()
	products := make([]uuid.UUID, 0, len(g.rest))
	for p := range g.rest {
		products = append(products, p)
	}
	clear(g.rest)
	return products
}

func (g *granter) run(ctx context.Context) {
	defer close(g.stopped)
	tick := time.NewTicker(g.interval)
	defer tick.Stop()
	after := g.look(ctx, 0) // what a process that was killed has left
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.wake:
			g.continueWith(ctx, g.take())
		case <-tick.C:
			after = g.look(ctx, after)
		}
	}
}

// look continues the unfinished grants of products after an item, and returns the item after which the next look goes
// on. A product that has stock left because no backorder can be served whole costs one transaction that writes nothing.
func (g *granter) look(ctx context.Context, after int64) int64 {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	products, last, err := g.products(ctx, after, maxProductsToGrant)
	switch {
	case err != nil:
		if ctx.Err() == nil {
			g.log.WarnContext(ctx, "unfinished grants of backorders are looked for later", "error", err)
		}
		return after
	case len(products) == 0:
		return 0
	}
	g.continueWith(context.WithoutCancel(ctx), products)
	return last
}

func (g *granter) continueWith(ctx context.Context, products []uuid.UUID) {
	for _, p := range products {
		if err := g.grant(ctx, p); err != nil {
			g.log.WarnContext(ctx, "backorders are granted later", "product_id", p, "error", err)
		}
	}
}

// committed gets the book of each transaction that was committed or may have been, before its callers have their
// answers.
func (s *Service) committed(book *stock.Book) {
	s.availability.Invalidate(book)
	if book == nil {
		return
	}
	granted, skipped := book.Granted()
	s.metrics.granted.Add(float64(granted))
	s.metrics.skipped.Add(float64(skipped))
	for _, lag := range book.ExpiryLags() {
		s.metrics.expiryLag.Observe(lag.Seconds())
	}
	if s.granter != nil {
		s.granter.note(book.Unfinished())
	}
}

// grantWaiting grants backorders of a product in a transaction of its own.
func (s *Service) grantWaiting(ctx context.Context, product uuid.UUID) error {
	_, err := applyOne(ctx, s, stock.GrantWaiting{ProductID: product}, nil)
	return err
}
