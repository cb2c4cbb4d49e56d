package main

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// sample is the measurement of one run of callers. Durations are in milliseconds in the results.
type sample struct {
	Callers int     `json:"callers"`
	Done    int64   `json:"done"`
	Failed  int64   `json:"failed"`
	Seconds float64 `json:"seconds"`
	Rate    float64 `json:"per_second"`
	P50     float64 `json:"p50_ms"`
	P95     float64 `json:"p95_ms"`
	P99     float64 `json:"p99_ms"`
	Max     float64 `json:"max_ms"`
	Error   string  `json:"first_error,omitempty"`
	took    []time.Duration
}

// warm is how long a run goes on before it is measured.
const warm = 2 * time.Second

// closed runs callers that each send the next request once the last one was answered, for warm and then
// for the measured time. Only requests that begin in the measured time count.
func closed(
	ctx context.Context,
	callers int,
	measured time.Duration,
	call func(ctx context.Context, caller int) error,
) sample {
	begin := time.Now().Add(warm)
	end := begin.Add(measured)
	latencies := make([][]time.Duration, callers)
	var failed atomic.Int64
	var first atomic.Pointer[string]
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			mine := make([]time.Duration, 0, 1<<14)
			for ctx.Err() == nil {
				start := time.Now()
				if start.After(end) {
					break
				}
				err := call(ctx, i)
				if start.Before(begin) {
					continue
				}
				if err != nil {
					failed.Add(1)
					text := err.Error()
					first.CompareAndSwap(nil, &text)
					continue
				}
				mine = append(mine, time.Since(start))
			}
			latencies[i] = mine
		})
	}
	wg.Wait()

	s := summarise(slices.Concat(latencies...), time.Since(begin))
	s.Callers, s.Failed = callers, failed.Load()
	if text := first.Load(); text != nil {
		s.Error = *text
	}
	return s
}

// open sends requests at a fixed rate, also while earlier answers are missing. It measures each request from the
// moment at which it was due, so that a stall counts for every request that it delayed.
func open(ctx context.Context, rate int, measured time.Duration, call func(ctx context.Context, n int) error) sample {
	total := int(float64(rate) * measured.Seconds())
	took := make([]time.Duration, total)
	var failed atomic.Int64
	var first atomic.Pointer[string]
	var wg sync.WaitGroup
	start := time.Now()
	for n := range total {
		due := start.Add(time.Duration(n) * time.Second / time.Duration(rate))
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		}
		wg.Go(func() {
			if err := call(ctx, n); err != nil {
				failed.Add(1)
				text := err.Error()
				first.CompareAndSwap(nil, &text)
			}
			took[n] = time.Since(due)
		})
	}
	wg.Wait()

	s := summarise(took, time.Since(start))
	s.Failed = failed.Load()
	if text := first.Load(); text != nil {
		s.Error = *text
	}
	return s
}

func summarise(took []time.Duration, over time.Duration) sample {
	slices.Sort(took)
	at := func(q float64) float64 {
		if len(took) == 0 {
			return 0
		}
		return float64(took[min(len(took)-1, int(q*float64(len(took))))].Microseconds()) / 1000
	}
	return sample{
		Done:    int64(len(took)),
		Seconds: over.Seconds(),
		Rate:    float64(len(took)) / over.Seconds(),
		P50:     at(.5),
		P95:     at(.95),
		P99:     at(.99),
		Max:     at(1),
		took:    took,
	}
}
