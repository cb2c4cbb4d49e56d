package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"holdfast/bench/load"
	"holdfast/internal/database"
	"holdfast/internal/events"
	"holdfast/internal/rabbitmq"
)

// latencyResult is how long events took from their commit to a consumer. The goal is 100 ms for 99 of 100.
type latencyResult struct {
	load.Sample
	Goal float64 `json:"goal_p99_ms"`
}

func (r *latencyResult) String() string {
	return fmt.Sprintf(
		"latency  %.0f/s, commit to delivery: p50 %.1f  p95 %.1f  p99 %.1f ms (goal %.0f)  max %.1f ms  missing %d",
		r.Rate, r.P50, r.P95, r.P99, r.Goal, r.Max, r.Failed)
}

const oneEvent = `
	INSERT INTO outbox (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, schema_version, payload,
		headers)
	VALUES ($1, 'order', $2, 1, 'order.created', 1, '{"state":"pending"}', '{}')`

// deliveryTimeout is when an event counts as missing.
const deliveryTimeout = 30 * time.Second

// latency commits events at a fixed rate and measures each from the moment at which its commit was due.
func (e *environment) latency(ctx context.Context) (*latencyResult, error) {
	if err := e.startRelay(ctx); err != nil {
		return nil, err
	}
	ch, err := e.conn.Channel()
	if err != nil {
		return nil, err
	}
	defer func() { _ = ch.Close() }()
	if err := ch.Qos(1000, 0, false); err != nil {
		return nil, err
	}
	deliveries, err := ch.Consume(rabbitmq.WebhooksEvents, "", false, false, false, false, nil)
	if err != nil {
		return nil, fmt.Errorf("consume: %w", err)
	}

	var mu sync.Mutex
	arrived := map[uuid.UUID]chan struct{}{}
	var consuming sync.WaitGroup
	consuming.Go(func() {
		for d := range deliveries {
			var envelope events.Envelope
			if json.Unmarshal(d.Body, &envelope) == nil {
				mu.Lock()
				if waiting := arrived[envelope.EventID]; waiting != nil {
					close(waiting)
					delete(arrived, envelope.EventID)
				}
				mu.Unlock()
			}
			_ = d.Ack(false)
		}
	})
	pool := e.pools[database.Orders]
	sample := load.Open(ctx, e.rate, e.duration, func(ctx context.Context, _ int) error {
		id, waiting := uuid.Must(uuid.NewV7()), make(chan struct{})
		mu.Lock()
		arrived[id] = waiting
		mu.Unlock()
		if _, err := pool.Exec(ctx, oneEvent, id, uuid.New()); err != nil {
			return err
		}
		select {
		case <-waiting:
			return nil
		case <-time.After(deliveryTimeout):
			return fmt.Errorf("event %s did not arrive", id)
		}
	})
	if err := ch.Close(); err != nil {
		return nil, err
	}
	consuming.Wait()
	return &latencyResult{Sample: sample, Goal: 100}, e.stopRelay()
}
