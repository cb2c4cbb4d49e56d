package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/bench/load"
	"holdfast/internal/servicetoken"
	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventoryclient"
)

// massExpiry places orders whose holds all end within one second, as fifteen minutes after a drop, and measures how
// long after its deadline each is recorded as expired. The percentiles are of that delay.
func massExpiry(orders int) func(context.Context, *platform) ([]result, error) {
	return func(ctx context.Context, p *platform) ([]result, error) {
		end := time.Now().Add(time.Duration(orders)*time.Second/25 + 10*time.Second)
		ids, err := p.placeUntil(ctx, orders, p.product, end)
		if err != nil {
			return nil, err
		}
		late, err := p.awaitExpired(ctx, ids, end)
		if err != nil {
			return nil, err
		}
		return []result{{Name: "expiry", Sample: ofLateness(late, time.Since(end))}}, nil
	}
}

// singleExpiries places 20 orders a second, each held for 3 s, and measures how late each is recorded as expired.
func singleExpiries(ctx context.Context, p *platform) ([]result, error) {
	const rate = 20 // half of what mass expiry reaches is 25
	total := int(rate * p.duration.Seconds())
	ids := make([]uuid.UUID, total)
	s := load.Open(ctx, rate, p.duration, func(ctx context.Context, n int) error {
		body := p.body("")
		body["ttl_seconds"] = 3
		placed, err := p.send(ctx, "POST", "/api/orders", body, 201, 202)
		ids[n] = placed.OrderID
		return err
	})
	if s.Failed > 0 {
		return nil, fmt.Errorf("%d orders were not placed: %s", s.Failed, s.Error)
	}
	late, err := p.awaitExpired(ctx, ids, time.Now())
	if err != nil {
		return nil, err
	}
	return []result{{Name: "expiry-single", Sample: ofLateness(late, p.duration)}}, nil
}

// resale lets orders hold the whole stock of a product until one deadline. From the deadline on, other buyers reserve
// it at inventory, as workflows do, until all of it is reserved again. The percentiles are of the time from the
// deadline until a buyer has one unit.
func resale(units int) func(context.Context, *platform) ([]result, error) {
	return func(ctx context.Context, p *platform) ([]result, error) {
		product, err := p.newShelf(ctx, int64(units))
		if err != nil {
			return nil, err
		}
		end := time.Now().Add(time.Duration(units)*time.Second/25 + 10*time.Second)
		if _, err := p.placeUntil(ctx, units, product, end); err != nil {
			return nil, err
		}
		var deadline time.Time
		if err := p.orders.QueryRow(ctx, `
			SELECT max(o.expires_at) FROM orders o JOIN order_lines l USING (order_id) WHERE l.product_id = $1`, product,
		).Scan(&deadline); err != nil {
			return nil, fmt.Errorf("read the deadline: %w", err)
		}
		time.Sleep(time.Until(deadline))
		took, refused, err := p.reserveAll(ctx, product, units, deadline)
		if err != nil {
			return nil, err
		}
		s := ofLateness(took, time.Since(deadline))
		s.Failed = refused
		return []result{{Name: "resale", Sample: s}}, nil
	}
}

// reserveAll reserves single units for 100 buyers at once. It returns how many milliseconds after the deadline each
// unit was reserved, and how many buyers were refused.
func (p *platform) reserveAll(
	ctx context.Context, product uuid.UUID, units int, deadline time.Time,
) (took []float64, refused int64, err error) {
	client := inventoryclient.New(p.inventory, servicetoken.NewSigner(internal, "bench"), nil)
	defer client.Close()
	var mu sync.Mutex
	var buying sync.WaitGroup
	next := make(chan struct{})
	for range 100 {
		buying.Go(func() {
			for range next {
				owner := uuid.New()
				_, callErr := client.Reserve(ctx, inventoryapi.ReserveRequest{
					ReservationID: uuid.New(),
					OperationID:   uuid.New(),
					OwnerKind:     "order",
					OwnerID:       owner,
					Number:        1,
					WorkflowID:    "bench-" + owner.String(),
					Actor:         "bench",
					TTLSeconds:    600,
					Lines:         []inventoryapi.ReserveLine{{LineNo: 1, ProductID: product, Quantity: 1}},
				})
				mu.Lock()
				if callErr != nil {
					refused++
					err = callErr
				} else {
					took = append(took, time.Since(deadline).Seconds()*1000)
				}
				mu.Unlock()
			}
		})
	}
	for range units {
		next <- struct{}{}
	}
	close(next)
	buying.Wait()
	if len(took) > 0 {
		err = nil // some were refused, which is part of the result
	}
	return took, refused, err
}

// newShelf receives stock of a product that no other scenario sells, so that the given number of units is available,
// and returns the product.
func (p *platform) newShelf(ctx context.Context, units int64) (product uuid.UUID, err error) {
	err = p.withInventory(ctx, func(pool *pgxpool.Pool, warehouse *inventory.Service) error {
		var available int64
		if err := pool.QueryRow(ctx, `
			SELECT product_id, sum(quantity - reserved)::bigint FROM items WHERE product_id <> $1
			GROUP BY product_id ORDER BY 2 LIMIT 1`, p.product,
		).Scan(&product, &available); err != nil {
			return fmt.Errorf("find a product with little stock: %w", err)
		}
		return receive(ctx, pool, warehouse, product, units-available)
	})
	return product, err
}

// placeUntil places orders of one unit whose holds end within the second of end.
func (p *platform) placeUntil(
	ctx context.Context, orders int, product uuid.UUID, end time.Time,
) (ids []uuid.UUID, err error) {
	ids = make([]uuid.UUID, orders)
	next := make(chan int)
	var placing sync.WaitGroup
	var failed sync.Once
	for range 20 {
		placing.Go(func() {
			for i := range next {
				body := p.body("")
				body["lines"] = []map[string]any{{"product_id": product, "quantity": 1}}
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
	if err == nil && time.Now().After(end) {
		err = fmt.Errorf("placing %d orders took until after their deadline", orders)
	}
	return ids, err
}

// awaitExpired waits until every order is recorded as expired, and returns how many milliseconds after its deadline
// each was, sorted.
func (p *platform) awaitExpired(ctx context.Context, ids []uuid.UUID, end time.Time) ([]float64, error) {
	var late []float64
	for len(late) < len(ids) {
		if time.Since(end) > 2*time.Minute {
			return nil, fmt.Errorf("2 minutes after the deadline only %d of %d orders are expired", len(late), len(ids))
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
	return late, nil
}

// ofLateness is the sample of delays in milliseconds.
func ofLateness(late []float64, over time.Duration) load.Sample {
	slices.Sort(late)
	at := func(q float64) float64 { return late[int(q*float64(len(late)-1))] }
	return load.Sample{
		Done:    int64(len(late)),
		Seconds: over.Seconds(),
		Rate:    float64(len(late)) / over.Seconds(),
		P50:     at(.5),
		P95:     at(.95),
		P99:     at(.99),
		Max:     at(1),
	}
}
