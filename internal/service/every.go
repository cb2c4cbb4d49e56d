package service

import (
	"context"
	"time"
)

// Every calls do now and then at the given interval, until ctx ends.
func Every(ctx context.Context, interval time.Duration, do func()) {
	for ctx.Err() == nil {
		do()
		Pause(ctx, interval)
	}
}

// Pause waits for the given time, or until ctx ends.
func Pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
