// Package load drives a service and measures what its callers see. Every run is bounded in time.
package load

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Sample is what the callers of one run saw. Latencies are in milliseconds.
type Sample struct {
	Callers int     `json:"callers,omitempty"` // 0 in the open model
	Offered float64 `json:"offered_per_second,omitempty"`
	Done    int64   `json:"done"`
	Failed  int64   `json:"failed"`
	Seconds float64 `json:"seconds"`
	Rate    float64 `json:"per_second"`
	P50     float64 `json:"p50_ms"`
	P95     float64 `json:"p95_ms"`
	P99     float64 `json:"p99_ms"`
	Max     float64 `json:"max_ms"`
	Error   string  `json:"first_error,omitempty"`
}

// outcomes counts what failed and keeps the first error.
type outcomes struct {
	failed atomic.Int64
	first  atomic.Pointer[string]
}

func (o *outcomes) fail(err error) {
	o.failed.Add(1)
	text := err.Error()
	o.first.CompareAndSwap(nil, &text)
}

// Closed runs callers that each send the next request once the last was answered, for warm and then for the measured
// time. Only a request that began in the latter counts.
func Closed(
	ctx context.Context, callers int, warm, measured time.Duration, call func(ctx context.Context, caller int) error,
) Sample {
	begin := time.Now().Add(warm)
	end := begin.Add(measured)
	latencies := make([][]time.Duration, callers)
	var seen outcomes
	var running sync.WaitGroup
	for caller := range callers {
		running.Go(func() {
			for ctx.Err() == nil {
				start := time.Now()
				if start.After(end) {
					return
				}
				err := call(ctx, caller)
				switch {
				case start.Before(begin):
				case err != nil:
					seen.fail(err)
				default:
					latencies[caller] = append(latencies[caller], time.Since(start))
				}
			}
		})
	}
	running.Wait()
	s := seen.summarise(slices.Concat(latencies...), time.Since(begin))
	s.Callers = callers
	return s
}

// Open sends requests at a fixed rate, whether or not answers come, and measures each from the moment it was due: a
// stall is charged to every request that it delays. A request that failed has no latency.
func Open(
	ctx context.Context, rate float64, measured time.Duration, call func(ctx context.Context, n int) error,
) Sample {
	total := int(rate * measured.Seconds())
	took := make([]time.Duration, total)
	var seen outcomes
	var running sync.WaitGroup
	start := time.Now()
	for n := range total {
		due := start.Add(time.Duration(float64(n) / rate * float64(time.Second)))
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		}
		running.Go(func() {
			if err := call(ctx, n); err != nil {
				seen.fail(err)
				return
			}
			took[n] = time.Since(due)
		})
	}
	running.Wait()
	s := seen.summarise(slices.DeleteFunc(took, func(d time.Duration) bool { return d == 0 }), time.Since(start))
	s.Offered = rate
	return s
}

func (o *outcomes) summarise(took []time.Duration, over time.Duration) Sample {
	slices.Sort(took)
	at := func(quantile float64) float64 {
		if len(took) == 0 {
			return 0
		}
		i := min(len(took)-1, int(quantile*float64(len(took))))
		return float64(took[i].Microseconds()) / 1000
	}
	s := Sample{
		Done:    int64(len(took)),
		Failed:  o.failed.Load(),
		Seconds: over.Seconds(),
		Rate:    float64(len(took)) / over.Seconds(),
		P50:     at(.5),
		P95:     at(.95),
		P99:     at(.99),
		Max:     at(1),
	}
	if text := o.first.Load(); text != nil {
		s.Error = *text
	}
	return s
}
