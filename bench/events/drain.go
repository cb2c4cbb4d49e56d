package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/database"
	"holdfast/internal/rabbitmq"
)

// drainResult is how a relay drained a backlog. The goal is 8,000 confirmed events a second, and memory that does not
// grow.
type drainResult struct {
	Rows      int      `json:"rows"`
	Seconds   float64  `json:"seconds"`
	PerSecond float64  `json:"per_second"`
	Goal      float64  `json:"goal_per_second"`
	InQueue   int      `json:"in_queue"`
	Memory    []memory `json:"memory"` // of the process, every second
}

// memory is the resident memory of the process at a moment.
type memory struct {
	Second    float64 `json:"second"`
	Published int     `json:"published"`
	Megabytes float64 `json:"megabytes"`
}

func (r *drainResult) String() string {
	quarter := r.Memory[len(r.Memory)/4].Megabytes
	last := r.Memory[len(r.Memory)-1].Megabytes
	return fmt.Sprintf(
		"drain    %d events in %.1f s: %.0f/s (goal %.0f); memory %.0f MB after a quarter, %.0f MB at the end",
		r.Rows, r.Seconds, r.PerSecond, r.Goal, quarter, last)
}

// backlog has two events per reservation, some of which lie far apart, and the sizes of real ones.
const backlog = `
	INSERT INTO outbox (event_id, aggregate_type, aggregate_id, aggregate_version, event_type, schema_version, payload,
		headers, created_at, available_at)
	SELECT gen_random_uuid(), 'reservation', md5(((n - 1) % ($1 / 2))::text)::uuid, 1 + (n - 1) / ($1 / 2),
		CASE WHEN n <= $1 / 2 THEN 'inventory.reserved' ELSE 'inventory.confirmed' END, 1,
		json_build_object('reservationId', md5(n::text)::uuid, 'status', 'pending', 'expiresAt', now(),
			'lines', json_build_array(json_build_object('productId', md5(n::text)::uuid, 'location', 'main', 'quantity', 2))),
		json_build_object('correlationId', md5(n::text)::uuid), now() - interval '1 hour' + n * interval '1 millisecond',
		now() - interval '1 hour' + n * interval '1 millisecond'
	FROM generate_series(1, $1::integer) n`

// drain fills the inventory's outbox and then starts the relay.
func (e *environment) drain(ctx context.Context) (*drainResult, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Minute)
	defer cancel()
	pool := e.pools[database.Inventory]
	if _, err := pool.Exec(ctx, backlog, e.rows); err != nil {
		return nil, fmt.Errorf("fill the outbox: %w", err)
	}
	if _, err := pool.Exec(ctx, "VACUUM ANALYZE outbox"); err != nil {
		return nil, fmt.Errorf("analyse the outbox: %w", err)
	}
	if err := e.startRelay(ctx); err != nil {
		return nil, err
	}

	r := &drainResult{Rows: e.rows, Goal: 8000}
	begin := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for published := 0; published < e.rows; {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d events were published: %w", published, e.rows, ctx.Err())
		case <-tick.C:
		}
		var err error
		if published, err = e.published(); err != nil {
			return nil, err
		}
		megabytes, err := residentMemory()
		if err != nil {
			return nil, err
		}
		r.Seconds = time.Since(begin).Seconds()
		r.Memory = append(r.Memory, memory{r.Seconds, published, megabytes})
	}
	r.PerSecond = float64(e.rows) / r.Seconds
	if err := e.stopRelay(); err != nil {
		return nil, err
	}
	return r, e.checkQueue(r)
}

// checkQueue counts what the drain has put into the queue, and empties it.
func (e *environment) checkQueue(r *drainResult) error {
	ch, err := e.conn.Channel()
	if err != nil {
		return err
	}
	defer func() { _ = ch.Close() }()
	q, err := ch.QueueDeclarePassive(rabbitmq.OrdersInventoryEvents, true, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("count the messages: %w", err)
	}
	if r.InQueue = q.Messages; q.Messages < r.Rows {
		return fmt.Errorf("the queue has %d of %d events", q.Messages, r.Rows)
	}
	_, err = ch.QueuePurge(rabbitmq.OrdersInventoryEvents, false)
	return err
}

// residentMemory is how much memory this process has, in megabytes (proc(5), VmRSS).
func residentMemory() (float64, error) {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if value, found := strings.CutPrefix(line, "VmRSS:"); found {
			kilobytes, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			return kilobytes / 1024, err
		}
	}
	return 0, errors.New("/proc/self/status does not say VmRSS")
}
