package groupcommit

import (
	"context"
	"time"

	"github.com/google/uuid"
)

const (
	// lockMemory is how long a product is expected to stay locked after a batch found it locked.
	lockMemory = 10 * time.Second
	// lookUpTimeout bounds the look-up of the products of reservations.
	lookUpTimeout = time.Second
)

// anyLocked reports whether some product is expected to be locked by another transaction.
func (q *queue) anyLocked() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for p := range q.lockedAt {
		if q.isLocked(p) {
			return true
		}
	}
	return q.isolatedLanes > 0
}

// isLocked reports whether a product is expected to be locked by another transaction.
func (q *queue) isLocked(product uuid.UUID) bool {
	at, found := q.lockedAt[product]
	if found && time.Since(at) > lockMemory {
		delete(q.lockedAt, product)
		return false
	}
	return found
}

// foundProducts has the products of the reservations that a submission names, for each submission that was looked up.
type foundProducts map[*submission][]uuid.UUID

// apply sets the products of a submission if they were looked up.
func (l foundProducts) apply(s *submission) {
	if products, found := l[s]; found {
		s.setProducts(products)
	}
}

// lookUpProducts looks up the products of the submissions that name only reservations. If the database does not answer,
// the products stay unknown, and these submissions still share a lane.
func (q *queue) lookUpProducts(ctx context.Context, submissions []*submission) foundProducts {
	var reservations []uuid.UUID
	for _, s := range submissions {
		reservations = append(reservations, s.toLookUp...)
	}
	if len(reservations) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	products, err := q.productsOf(ctx, reservations)
	if err != nil {
		return nil
	}
	found := foundProducts{}
	for _, s := range submissions {
		if len(s.toLookUp) == 0 {
			continue
		}
		var list []uuid.UUID // empty for reservations that do not exist
		for _, r := range s.toLookUp {
			list = append(list, products[r]...)
		}
		found[s] = list
	}
	return found
}
