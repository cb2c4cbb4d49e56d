package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"holdfast/bench/load"
)

// massExpiry places orders whose holds all end within one second, as fifteen minutes after a drop, and measures how
// long after its deadline each is recorded as expired. The percentiles are of that delay.
func massExpiry(orders int) func(context.Context, *platform) ([]result, error) {
	return func(ctx context.Context, p *platform) ([]result, error) {
		const callers = 20
		end := time.Now().Add(time.Duration(orders)*time.Second/25 + 10*time.Second)
		ids := make([]uuid.UUID, orders)
		next := make(chan int)
		var placing sync.WaitGroup
		var failed sync.Once
		var err error
		for range callers {
			placing.Go(func() {
				for i := range next {
					body := p.body("")
					body["ttl_seconds"] = max(1, int(time.Until(end).Round(time.Second)/time.Second))
					placed, placeErr := p.send(ctx, "POST", "/api/orders", body, 201, 202)
					if placeErr != nil {
						failed.Do(func() { err = placeErr })
					}
					ids[i] = placed.OrderID
				}
			})
		}
		for i := range orders {
			next <- i
		}
		close(next)
		placing.Wait()
		if err != nil {
			return nil, err
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("placing %d orders took until after their deadline", orders)
		}

		var late []float64
		for len(late) < orders {
			if time.Since(end) > 2*time.Minute {
				return nil, fmt.Errorf("2 minutes after the deadline only %d of %d orders are expired", len(late), orders)
			}
			time.Sleep(200 * time.Millisecond)
			rows, err := p.orders.Query(ctx, `
				SELECT extract(epoch FROM e.at - o.expires_at)::float8 * 1000
				FROM orders o JOIN order_timeline e ON e.order_id = o.order_id AND e.event = 'expired'
				WHERE o.order_id = ANY ($1)`, ids)
			if err != nil {
				return nil, fmt.Errorf("read the expired orders: %w", err)
			}
			late = late[:0]
			for rows.Next() {
				var ms float64
				if err := rows.Scan(&ms); err != nil {
					return nil, fmt.Errorf("read the expired orders: %w", err)
				}
				late = append(late, ms)
			}
			rows.Close()
		}
		slices.Sort(late)
		at := func(q float64) float64 { return late[int(q*float64(orders-1))] }
		took := time.Since(end).Seconds()
		return []result{{Name: "expiry", Sample: load.Sample{
			Done:    int64(orders),
			Seconds: took,
			Rate:    float64(orders) / took,
			P50:     at(.5),
			P95:     at(.95),
			P99:     at(.99),
			Max:     at(1),
		}}}, nil
	}
}
