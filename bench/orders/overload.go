package main

import (
	"context"
	"fmt"
	"time"

	"holdfast/bench/load"
)

// overload offers orders at once, twice, five and twenty times the rate that the platform decides at most, and counts
// how many it decides meanwhile. Before each run it waits until no order of the run before is undecided.
func overload(ctx context.Context, p *platform) ([]result, error) {
	peak, err := p.peakOfDecisions(ctx)
	if err != nil {
		return nil, err
	}
	out := []result{peak}
	for _, times := range []float64{1, 2, 5, 20} {
		before, err := p.decided(ctx)
		if err != nil {
			return nil, err
		}
		begin := time.Now()
		s := load.Open(ctx, peak.Rate*times, p.duration, func(ctx context.Context, _ int) error {
			_, err := p.send(ctx, "POST", "/api/orders", p.body(""), 201, 202)
			return err
		})
		after, err := p.decided(ctx)
		if err != nil {
			return nil, err
		}
		r := result{
			Name:    fmt.Sprintf("overload-%g", times),
			Sample:  s,
			Decided: after - before,
			Goodput: float64(after-before) / time.Since(begin).Seconds() / peak.Rate,
		}
		if r.DecidedAfter, err = p.awaitDecided(ctx, begin, before+s.Done); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// peakOfDecisions measures how many orders a second the platform decides while 20 callers each wait for the decision of
// their order. The platform accepts more orders than that when it answers before it decides.
func (p *platform) peakOfDecisions(ctx context.Context) (result, error) {
	s := load.Closed(ctx, 20, warm, p.duration, func(ctx context.Context, _ int) error {
		_, err := p.send(ctx, "POST", "/api/orders", p.body(""), 201)
		return err
	})
	if s.Done == 0 {
		return result{}, fmt.Errorf("no order was decided while its caller waited: %s", s.Error)
	}
	return result{Name: "overload-peak", Sample: s}, nil
}

// decided counts the orders whose stock is decided.
func (p *platform) decided(ctx context.Context) (n int64, err error) {
	if err = p.orders.QueryRow(ctx, "SELECT count(*) FROM orders WHERE state <> 'pending'").Scan(&n); err != nil {
		err = fmt.Errorf("count the orders: %w", err)
	}
	return n, err
}

// awaitDecided waits until the given number of orders is decided and returns how many seconds after begin that was. It
// gives up if no order is decided for 10 s.
func (p *platform) awaitDecided(ctx context.Context, begin time.Time, wanted int64) (float64, error) {
	last, changed := int64(-1), time.Now()
	for {
		n, err := p.decided(ctx)
		if err != nil {
			return 0, err
		}
		if n != last {
			last, changed = n, time.Now()
		}
		if n >= wanted {
			return changed.Sub(begin).Seconds(), nil
		}
		if time.Since(changed) > 10*time.Second {
			return 0, fmt.Errorf("%d of %d orders are decided, and no further one for 10 s", n, wanted)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
