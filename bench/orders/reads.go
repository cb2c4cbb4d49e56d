package main

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"holdfast/bench/load"
)

// readers is how many callers read at once.
const readers = 64

// reads measures single orders and lists of 20, at the api itself and through the gateway.
func reads(ctx context.Context, p *platform) ([]result, error) {
	const orders = 200
	for range orders {
		if _, err := p.send(ctx, "POST", "/api/orders", p.body(""), 201, 202); err != nil {
			return nil, err
		}
	}
	return p.readAll(ctx, "", "bench")
}

// readAll measures the reads of a customer's own orders. suffix tells runs apart.
func (p *platform) readAll(ctx context.Context, suffix, customer string) ([]result, error) {
	token, err := sign(customer)
	if err != nil {
		return nil, err
	}
	paths, err := p.pathsOfOrders(ctx, customer)
	if err != nil {
		return nil, err
	}
	lists := []string{"/api/orders?limit=20"}
	rare := []string{"/api/orders?limit=20&status=in_review"}
	var out []result
	for _, side := range []struct {
		name, base string
		paths      []string
	}{
		{"get", p.api, paths},
		{"list", p.api, lists},
		{"list-rare-status", p.api, rare},
		{"get-by-gateway", p.gateway, paths},
		{"list-by-gateway", p.gateway, lists},
	} {
		r, err := p.measure(ctx, side.name+suffix, func() load.Sample {
			next := make([]int, readers)
			return load.Closed(ctx, readers, warm, p.duration, func(ctx context.Context, caller int) error {
				next[caller]++
				return p.read(ctx, side.base+side.paths[(caller*31+next[caller])%len(side.paths)], token)
			})
		})
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// pathsOfOrders returns the paths of a customer's last orders.
func (p *platform) pathsOfOrders(ctx context.Context, customer string) ([]string, error) {
	rows, err := p.orders.Query(ctx, `
		SELECT '/api/orders/' || order_id FROM orders WHERE customer_id = $1 ORDER BY created_at DESC LIMIT 200`, customer)
	if err != nil {
		return nil, fmt.Errorf("read the orders: %w", err)
	}
	defer rows.Close()
	var paths []string
	for rows.Next() {
		var path string
		if err := rows.Scan(&path); err != nil {
			return nil, fmt.Errorf("read the orders: %w", err)
		}
		paths = append(paths, path)
	}
	return paths, rows.Err()
}

// read sends a GET request, and reads its answer to the end.
func (p *platform) read(ctx context.Context, url, token string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, res.Status)
	}
	return nil
}
