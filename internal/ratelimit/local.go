package ratelimit

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// localLimiter counts the requests of this process alone, while Redis does not answer. Each process then allows the
// whole limit, because none knows how many there are.
//
// It forgets a client that has sent nothing for a minute: by then the client has its whole quota again.
type localLimiter struct {
	mu              sync.Mutex
	recent, earlier map[string]*rate.Limiter // used in this minute, and in the one before
	turned          time.Time                // when this minute began
}

// localClients bounds the memory of a minute. Beyond it the limiter forgets clients early, which allows them more.
const localClients = 200_000

func newLocalLimiter(now time.Time) *localLimiter {
	return &localLimiter{recent: map[string]*rate.Limiter{}, turned: now}
}

// take counts one request.
func (l *localLimiter) take(key string, perMinute int, now time.Time) Quota {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.turned) > time.Minute || len(l.recent) >= localClients {
		l.recent, l.earlier, l.turned = map[string]*rate.Limiter{}, l.recent, now
	}
	perSecond := float64(perMinute) / 60
	bucket := l.recent[key]
	if bucket == nil {
		if bucket = l.earlier[key]; bucket == nil {
			bucket = rate.NewLimiter(rate.Limit(perSecond), perMinute)
		}
		l.recent[key] = bucket
	}

	allowed := bucket.AllowN(now, 1)
	left := bucket.TokensAt(now)
	q := Quota{Allowed: allowed, Remaining: max(0, int(left)), Reset: wait(float64(perMinute)-left, perSecond)}
	if !allowed {
		q.Retry = wait(1-left, perSecond)
	}
	return q
}
