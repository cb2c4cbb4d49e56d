package groupcommit

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
)

// Store is the part of the database that a Writer needs; *store.Store implements it.
type Store interface {
	// Decide reads and locks what is needed, lets decide work on it, and commits the changes that decide returns.
	Decide(ctx context.Context, reads stock.Reads, decide func(*stock.Book) (stock.Changes, error)) error
	// ProductsOfReservations returns the products on the lines of reservations.
	ProductsOfReservations(ctx context.Context, reservations []uuid.UUID) (map[uuid.UUID][]uuid.UUID, error)
}

// Options configures a Writer. Only Store is required.
type Options struct {
	Store      Store
	Log        *slog.Logger
	Registry   prometheus.Registerer
	QueueLimit int // requests that may wait for their batch; DefaultQueueLimit if 0

	// Committed gets the book of each transaction that was committed or may have been, before any caller of the batch has
	// its answer. Several goroutines may call it at once. The book is nil if the transaction read nothing.
	Committed func(book *stock.Book)
}

// Writer commits requests that arrive together in one transaction. It is safe for concurrent use.
type Writer struct {
	queue     *queue
	committer *committer
}

// New returns a Writer.
func New(o Options) *Writer {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.QueueLimit == 0 {
		o.QueueLimit = DefaultQueueLimit
	}
	if o.Committed == nil {
		o.Committed = func(*stock.Book) {}
	}
	c := &committer{store: o.Store, log: o.Log, onCommit: o.Committed}
	w := &Writer{committer: c, queue: newQueue(o.QueueLimit, c.commit, o.Store.ProductsOfReservations)}
	c.metrics = newMetrics(o.Registry, w.Waiting)
	w.queue.waited = func(d time.Duration) { c.metrics.wait.Observe(d.Seconds()) }
	return w
}

// Submit decides the tasks in one batch. An error means that they have no answers and must not be used again: the queue
// is full or closed (nothing happened), or ctx ended first (it is unknown whether the tasks were committed). In either
// case the caller may send the same requests again.
func (w *Writer) Submit(ctx context.Context, tasks ...Task) error {
	if len(tasks) == 0 {
		return nil
	}
	if err := w.queue.submit(ctx, tasks); err != nil {
		return &inventoryapi.UnavailableError{Cause: err}
	}
	return nil
}

// Waiting returns how many requests wait for their batch; requests of a batch under way are not among them.
func (w *Writer) Waiting() int { return w.queue.waitingRequests() }

// Close refuses new requests and returns when the accepted ones are finished.
func (w *Writer) Close() { w.queue.close() }
