package merchantwebhook

import (
	"math/rand/v2"
	"time"
)

// Pauses returns the pauses before each attempt: the first attempt is made at once, the second 5 s after the first has
// failed, and so on. They are the example of the Standard Webhooks specification and add up to 75 h 35 min.
func Pauses() []time.Duration {
	return []time.Duration{
		0,
		5 * time.Second,
		5 * time.Minute,
		30 * time.Minute,
		2 * time.Hour,
		5 * time.Hour,
		10 * time.Hour,
		14 * time.Hour,
		20 * time.Hour,
		24 * time.Hour,
	}
}

// maxRetryAfter bounds how long a receiver may ask to be left alone. It is the longest of the pauses.
const maxRetryAfter = 24 * time.Hour

// jitter is the part of a pause that is added at random, so that the deliveries that failed together do not come again
// together.
const jitter = 0.1

// pause returns how long the next attempt waits after the given number of failed attempts. A receiver that asks for a
// longer pause gets it, up to a day.
func pause(pauses []time.Duration, attempts int, retryAfter time.Duration) time.Duration {
	next := max(pauses[min(attempts, len(pauses)-1)], min(retryAfter, maxRetryAfter))
	return next + time.Duration(rand.Float64()*jitter*float64(next)) //nolint:gosec // no secret depends on it
}
