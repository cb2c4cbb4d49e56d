package groupcommit

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory/stock"
	"holdfast/inventory/store"
)

// subject is the kind of a key. The order matters: see shareKeys.
type subject byte

const (
	product subject = iota
	reservation
	operation
	// unknownProducts stands for the products of all reservations that were not looked up.
	unknownProducts
)

// key names a subject that may be in one batch at a time.
type key struct {
	subject subject
	id      uuid.UUID
}

// anyProduct is the key of all submissions whose products are unknown.
var anyProduct = key{subject: unknownProducts}

func keysOf(reads *stock.Reads) []key {
	size := len(reads.Products) + len(reads.Reservations) + len(reads.Reserves) + len(reads.Backorders) +
		len(reads.Operations) + len(reads.Named) + len(reads.Incoming)
	keys := make([]key, 0, size+1)
	keys = appendKeys(keys, product, reads.Products)
	keys = appendKeys(keys, reservation, reads.Reservations)
	keys = appendKeys(keys, reservation, reads.Reserves)
	keys = appendKeys(keys, reservation, reads.Backorders)
	keys = appendKeys(keys, operation, reads.Operations)
	keys = appendKeys(keys, operation, reads.Named)
	keys = appendKeys(keys, operation, reads.Incoming)
	if len(reads.Reservations) > 0 || len(reads.Backorders) > 0 && len(reads.Products) == 0 {
		keys = append(keys, anyProduct)
	}
	return distinct(keys)
}

func appendKeys(keys []key, s subject, ids []uuid.UUID) []key {
	for _, id := range ids {
		keys = append(keys, key{s, id})
	}
	return keys
}

// distinct sorts keys by subject, and keeps the first of each.
func distinct(keys []key) []key {
	slices.SortFunc(keys, func(x, y key) int {
		if x.subject != y.subject {
			return cmp.Compare(x.subject, y.subject)
		}
		return bytes.Compare(x.id[:], y.id[:])
	})
	return slices.Compact(keys)
}

// submission holds the tasks of one caller, which are decided in one batch.
type submission struct {
	tasks    []Task
	origin   *origin         // nil if the caller is not traced
	done     chan struct{}   // closed when the tasks have their answers
	gone     <-chan struct{} // closed when the caller has left
	queuedAt time.Time
	keys     []key
	products []uuid.UUID // each once
	// toLookUp are the reservations whose products are unknown. If there are any, anyProduct is one of the keys.
	toLookUp []uuid.UUID
	// closesBatch means that no later submission of the same batch may concern the same products.
	closesBatch bool
	// isolated means that a batch takes the submission only with submissions on the same stock.
	isolated bool
	// taken means that the submission has left the queue.
	taken bool
}

func newSubmission(tasks []Task, gone <-chan struct{}) *submission {
	reads := mergeReads(tasks)
	return &submission{
		tasks:       tasks,
		done:        make(chan struct{}),
		gone:        gone,
		keys:        keysOf(reads),
		products:    store.Distinct(reads.Products),
		toLookUp:    reads.Reservations,
		closesBatch: slices.ContainsFunc(tasks, Task.tellsVersion),
	}
}

func mergeReads(tasks []Task) *stock.Reads {
	if len(tasks) == 1 {
		return tasks[0].reads()
	}
	var all stock.Reads
	for _, t := range tasks {
		all.Add(t.reads())
	}
	return &all
}

// callerLeft reports whether the caller has left.
func (s *submission) callerLeft() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

// setProducts adds the products of the submission's reservations.
func (s *submission) setProducts(products []uuid.UUID) {
	s.toLookUp = nil
	s.products = store.Distinct(slices.Concat(s.products, products))
	keys := slices.DeleteFunc(slices.Clone(s.keys), func(k key) bool { return k == anyProduct })
	for _, p := range products {
		keys = append(keys, key{product, p})
	}
	s.keys = distinct(keys)
}

// shareKeys returns the keys whose share of the queue the submission takes: those of its products, which come first
// among its keys, or anyProduct, which comes last.
func (s *submission) shareKeys() []key {
	if len(s.toLookUp) > 0 {
		return s.keys[len(s.keys)-1:]
	}
	return s.keys[:len(s.products)]
}

// sharesKey reports whether both submissions concern a known product, reservation or operation.
func (s *submission) sharesKey(other *submission) bool {
	return slices.ContainsFunc(s.keys, func(k key) bool { return k != anyProduct && slices.Contains(other.keys, k) })
}
