package merchantwebhook

import (
	"context"
	"time"
)

// Lease leases deliveries as a sender does that dies then.
func (s *Store) Lease(ctx context.Context, size int, length time.Duration) ([]Leased, error) {
	return s.lease(ctx, nil, size, size, length)
}

// MarkDelivered writes the outcome of a sender that comes late.
func (s *Store) MarkDelivered(ctx context.Context, d Leased) error { return s.markDelivered(ctx, d) }

// MarkFailed writes the outcome of a sender that comes late.
func (s *Store) MarkFailed(ctx context.Context, d Leased, err error) (string, error) {
	return s.markFailed(ctx, d, failure{err: err, giveUp: true}, time.Hour)
}
