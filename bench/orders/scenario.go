package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/bench/load"
)

const warm = 3 * time.Second

type scenario struct {
	name, what string
	run        func(context.Context, *platform) ([]result, error)
}

// scenarios in the order of running.
var scenarios = []scenario{
	{"pairs", "orders and bare workflows in alternation, 20 callers each", runPairs},
	{"pay-4", "place and pay, 4 callers", closedLoop("pay-4", 4, (*platform).placeAndPay)},
	{"pay-20", "place and pay, 20 callers", closedLoop("pay-20", 20, (*platform).placeAndPay)},
	{"pay-50", "place and pay, 50 callers", closedLoop("pay-50", 50, (*platform).placeAndPay)},
	{"pay-200", "place and pay, 200 callers", closedLoop("pay-200", 200, (*platform).placeAndPay)},
	{"create-4", "place only, 4 callers", closedLoop("create-4", 4, placeOnly)},
	{"create-20", "place only, 20 callers", closedLoop("create-20", 20, placeOnly)},
	{"checkout-20", "place with payment until confirmed, 20 callers", closedLoop("checkout-20", 20, (*platform).checkout)},
	{"half-peak", "place and pay at half of pay-20's rate, open model", halfPeak},
	{"expiry", "1,500 holds with one deadline", massExpiry(1500)},
	{"expiry-single", "holds that end one after the other, at half the rate of expiry", singleExpiries},
	{"resale", "the stock of 1,500 overdue holds, reserved again at their deadline", resale(1500)},
	{"reads", "single orders and lists of 20, 64 callers", reads},
	{"overload", "orders at 1, 2, 5 and 20 times the peak", overload},
	{"rush", "1,000 customers who each place one order at once", rush(1000)},
}

// onDemand are the scenarios that take long. They run only if they are named.
var onDemand = []scenario{
	{"observed", "the platform with all of logs, traces and metrics on, and without, in alternation", runObserved},
	{"growth", "orders and reads with 1,000, 100,000 and 1,000,000 orders in the databases", growth},
	{"memory", "the memory of each process over 20,000 paid orders", memory(20_000)},
}

func names() []string {
	var out []string
	for _, s := range slices.Concat(scenarios, onDemand) {
		out = append(out, s.name)
	}
	return out
}

func placeOnly(p *platform, ctx context.Context) error {
	_, err := p.place(ctx)
	return err
}

// closedLoop measures callers that each carry out one order after the other.
func closedLoop(
	name string, callers int, do func(*platform, context.Context) error,
) func(context.Context, *platform) ([]result, error) {
	return func(ctx context.Context, p *platform) ([]result, error) {
		r, err := p.measure(ctx, name, func() load.Sample {
			return load.Closed(ctx, callers, warm, p.duration, func(ctx context.Context, _ int) error { return do(p, ctx) })
		})
		return []result{r}, err
	}
}

// runPairs runs orders, bare workflows, workflows of an order's shape and checkouts in alternation, so that the
// machine's mood reaches all alike, and keeps each pair.
func runPairs(ctx context.Context, p *platform) ([]result, error) {
	stop, err := p.yardsticks()
	if err != nil {
		return nil, err
	}
	defer stop()
	var out []result
	for i := range p.pairs {
		for _, side := range []struct {
			name string
			do   func(*platform, context.Context) error
		}{
			{"pair-order", (*platform).placeAndPay},
			{"pair-bare", (*platform).runBare},
			{"pair-checkout", (*platform).checkout},
			{"pair-shape", (*platform).runOrderShape},
		} {
			results, err := closedLoop(fmt.Sprintf("%s-%d", side.name, i+1), 20, side.do)(ctx, p)
			if err != nil {
				return nil, err
			}
			out = append(out, results...)
		}
	}
	return out, nil
}

// halfPeak offers half the rate that 20 callers reach.
func halfPeak(ctx context.Context, p *platform) ([]result, error) {
	peak := load.Closed(ctx, 20, warm, p.duration, func(ctx context.Context, _ int) error { return p.placeAndPay(ctx) })
	if peak.Rate == 0 {
		return nil, fmt.Errorf("no order was paid: %s", peak.Error)
	}
	r, err := p.measure(ctx, "half-peak", func() load.Sample {
		return load.Open(ctx, peak.Rate/2, p.duration*2, func(ctx context.Context, _ int) error {
			_, err := p.place(ctx)
			return err
		})
	})
	return []result{r}, err
}

// rush lets customers place one order each at the same moment, and waits until each order is decided. An answer of 503
// is counted as failed; the customer does not try again.
func rush(customers int) func(context.Context, *platform) ([]result, error) {
	return func(ctx context.Context, p *platform) ([]result, error) {
		before, err := p.decided(ctx)
		if err != nil {
			return nil, err
		}
		took := make([]time.Duration, customers)
		var failed atomic.Int64
		var first atomic.Pointer[string]
		begin := time.Now()
		var running sync.WaitGroup
		for i := range customers {
			running.Go(func() {
				_, err := p.send(ctx, "POST", "/api/orders", p.body(""), 201, 202)
				if took[i] = time.Since(begin); err != nil {
					text := err.Error()
					first.CompareAndSwap(nil, &text)
					failed.Add(1)
				}
			})
		}
		running.Wait()
		answered := time.Since(begin)
		after, err := p.awaitDecided(ctx, begin, before+int64(customers)-failed.Load())
		if err != nil {
			return nil, err
		}
		slices.Sort(took)
		at := func(q float64) float64 { return took[int(q*float64(customers-1))].Seconds() * 1000 }
		s := load.Sample{
			Callers: customers,
			Done:    int64(customers) - failed.Load(),
			Failed:  failed.Load(),
			Seconds: answered.Seconds(),
			Rate:    float64(customers) / after,
			P50:     at(.5),
			P95:     at(.95),
			P99:     at(.99),
			Max:     at(1),
		}
		if text := first.Load(); text != nil {
			s.Error = *text
		}
		return []result{{Name: "rush", Sample: s, Decided: s.Done, DecidedAfter: after}}, nil
	}
}
