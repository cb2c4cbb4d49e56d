package groupcommit

import (
	"context"
	"time"

	"github.com/google/uuid"
)

const (
	// lockMemory is how long a product is expected to stay locked after a batch found it locked.
	lockMemory = 10 * time.Second
	// locateTimeout bounds the look-up of the products of reservations.
	locateTimeout = time.Second
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

// located is the products of reservations, for the submissions whose products were looked up.
type located map[*submission][]uuid.UUID

// apply sets the products of a submission if they were looked up.
func (l located) apply(s *submission) {
	if products, found := l[s]; found {
		s.setProducts(products)
	}
}

// locate looks up the products of the submissions that name only reservations. If the database does not answer, the
// products stay unknown, and these submissions still share a lane.
func (q *queue) locate(ctx context.Context, submissions []*submission) located {
	var reservations []uuid.UUID
	for _, s := range submissions {
		reservations = append(reservations, s.unlocated...)
	}
	if len(reservations) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, locateTimeout)
	defer cancel()
	products, err := q.products(ctx, reservations)
	if err != nil {
		return nil
	}
	found := located{}
	for _, s := range submissions {
		if len(s.unlocated) == 0 {
			continue
		}
		var list []uuid.UUID // empty for reservations that do not exist
		for _, r := range s.unlocated {
			list = append(list, products[r]...)
		}
		found[s] = list
	}
	return found
}
