package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

//go:embed growth.sql
var growthSQL string

// growth measures what orders and reads cost with 1,000, 100,000 and 1,000,000 orders in the orders database. The reads
// with "-big" are those of a customer who has a tenth of all orders.
func growth(ctx context.Context, p *platform) ([]result, error) {
	var out []result
	filled := 0
	for _, size := range []int{1_000, 100_000, 1_000_000} {
		if err := p.fill(ctx, filled+1, size); err != nil {
			return nil, err
		}
		filled = size
		paid, err := closedLoop(fmt.Sprintf("pay-20 of %d", size), 20, (*platform).placeAndPay)(ctx, p)
		if err != nil {
			return nil, err
		}
		read, err := p.readAll(ctx, fmt.Sprintf(" of %d", size), "bench")
		if err != nil {
			return nil, err
		}
		bigs, err := p.readAll(ctx, fmt.Sprintf("-big of %d", size), "big")
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, paid...), read...), bigs...)
	}
	return out, nil
}

// fill inserts the orders from one number to another.
func (p *platform) fill(ctx context.Context, from, to int) error {
	values := strings.NewReplacer("$from", strconv.Itoa(from), "$to", strconv.Itoa(to))
	for _, part := range strings.Split(growthSQL, "-- name: ")[1:] {
		table, sql, _ := strings.Cut(part, "\n")
		begin := time.Now()
		if _, err := p.orders.Exec(ctx, values.Replace(sql)); err != nil {
			return fmt.Errorf("fill %s: %w", table, err)
		}
		fmt.Fprintf(os.Stderr, "fill %-16s up to %d orders in %s\n", table, to, time.Since(begin).Round(time.Millisecond))
	}
	if _, err := p.orders.Exec(ctx, "VACUUM (ANALYZE)"); err != nil {
		return fmt.Errorf("analyse: %w", err)
	}
	return nil
}
