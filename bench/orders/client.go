package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
)

// order is what the scenarios read of an order's answer.
type order struct {
	OrderID uuid.UUID `json:"order_id"`
	Status  string    `json:"status"`
}

// send sends a request through the gateway and decodes its answer, which must have one of the given statuses.
func (p *platform) send(ctx context.Context, method, path string, body any, statuses ...int) (out order, err error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return out, err
	}
	req, err := http.NewRequestWithContext(ctx, method, p.gateway+path, bytes.NewReader(raw))
	if err != nil {
		return out, err
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Content-Type", "application/json")
	if method == http.MethodPost && path == "/api/orders" {
		req.Header.Set("Idempotency-Key", uuid.NewString())
	}
	res, err := p.http.Do(req)
	if err != nil {
		return out, err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return out, err
	}
	for _, status := range statuses {
		if res.StatusCode == status {
			return out, json.Unmarshal(answer, &out)
		}
	}
	return out, fmt.Errorf("%s %s: %s: %s", method, path, res.Status, answer)
}

// body is an order of one unit of the one product.
func (p *platform) body(method string) map[string]any {
	body := map[string]any{"lines": []map[string]any{{"product_id": p.product, "quantity": 1}}}
	if method != "" {
		body["payment_method"] = method
	}
	return body
}

// place places an order that waits for its payment.
func (p *platform) place(ctx context.Context) (order, error) {
	return p.send(ctx, http.MethodPost, "/api/orders", p.body(""), http.StatusCreated)
}

// placeAndPay places an order and pays it.
func (p *platform) placeAndPay(ctx context.Context) error {
	placed, err := p.send(ctx, http.MethodPost, "/api/orders", p.body(""), http.StatusCreated, http.StatusAccepted)
	if err == nil && placed.Status == "pending" {
		err = p.awaitStatus(ctx, placed.OrderID, "reserved", "pending")
	}
	if err != nil {
		return err
	}
	paid, err := p.send(ctx, http.MethodPost, "/api/orders/"+placed.OrderID.String()+"/pay",
		map[string]any{"payment_method": "pm_ok"}, http.StatusOK, http.StatusAccepted)
	if err != nil {
		return err
	}
	if paid.Status != "confirmed" {
		return p.awaitConfirmed(ctx, placed.OrderID)
	}
	return nil
}

// checkout places an order together with its payment, and returns once it is confirmed.
func (p *platform) checkout(ctx context.Context) error {
	placed, err := p.send(ctx, http.MethodPost, "/api/orders", p.body("pm_ok"), http.StatusCreated, http.StatusAccepted)
	if err != nil || placed.Status == "confirmed" {
		return err
	}
	return p.awaitConfirmed(ctx, placed.OrderID)
}

// awaitConfirmed asks for an order until it is confirmed, as a shop's page does.
func (p *platform) awaitConfirmed(ctx context.Context, id uuid.UUID) error {
	return p.awaitStatus(ctx, id, "confirmed", "pending", "reserved", "paying")
}

// awaitStatus asks for an order until it has a status. Until then it may have the statuses on the way.
func (p *platform) awaitStatus(ctx context.Context, id uuid.UUID, wanted string, onTheWay ...string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		found, err := p.send(ctx, http.MethodGet, "/api/orders/"+id.String(), nil, http.StatusOK)
		switch {
		case err != nil:
			return err
		case found.Status == wanted:
			return nil
		case !slices.Contains(onTheWay, found.Status):
			return fmt.Errorf("order %s ended %s", id, found.Status)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("order %s is still %s: %w", id, found.Status, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
