package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/await"
	"holdfast/internal/config"
	"holdfast/internal/problem"
	"holdfast/internal/seed"
)

// firstProduct is a product of which the example data has plenty.
const firstProduct = "BAG-GRA"

// Token makes a token of the stack's own secret.
func (s *Stack) Token(subject string, role auth.Role) (string, error) {
	cfg, err := config.LoadFrom[auth.Config](s.vars)
	if err != nil {
		return "", err
	}
	return auth.Sign(cfg, subject, role, 12*time.Hour)
}

// PlaceFirstOrder places an order through the gateway, pays it with a sandbox card and returns its
// timeline once it is confirmed.
func (s *Stack) PlaceFirstOrder(ctx context.Context, token string) (orderapi.Order, []orderapi.TimelineEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	body := orderapi.CreateOrder{
		Lines:         []orderapi.CreateOrderLine{{ProductID: seed.ProductID(firstProduct), Quantity: 1}},
		PaymentMethod: "pm_ok",
	}

	var placed orderapi.Order
	if err := s.call(ctx, http.MethodPost, "/api/orders", token, body, &placed); err != nil {
		return placed, nil, fmt.Errorf("place the first order: %w", err)
	}

	path := "/api/orders/" + placed.OrderID.String()
	err := await.Until(ctx, 50*time.Millisecond, func() error {
		if err := s.call(ctx, http.MethodGet, path, token, nil, &placed); err != nil {
			return await.Never(fmt.Errorf("read the first order: %w", err))
		}
		if placed.Status != orderapi.OrderStatusConfirmed {
			return fmt.Errorf("the first order is still %s; its log is below %s", placed.Status, s.dir)
		}
		return nil
	})
	if err != nil {
		return placed, nil, err
	}

	var timeline orderapi.Timeline
	err = s.call(ctx, http.MethodGet, path+"/timeline", token, nil, &timeline)
	return placed, timeline.Items, err
}

func (s *Stack) call(ctx context.Context, method, path, token string, in, out any) error {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.gatewayURL()+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", uuid.NewString())
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // only read
	if res.StatusCode >= 300 {
		return problem.Read(res)
	}
	return json.NewDecoder(res.Body).Decode(out)
}

// Describe writes the addresses of the stack and an example request.
func (s *Stack) Describe(out io.Writer, token string) {
	fmt.Fprintf(out, "\n  API and docs   %s/docs\n  Temporal UI    %s\n", s.gatewayURL(), s.temporalUI)
	if s.rabbitUI != "" {
		fmt.Fprintf(out, "  RabbitMQ UI    %s  (guest / guest)\n", s.rabbitUI)
	}
	fmt.Fprintf(out, `  settings       %s/env       logs  %s/log

Place an order yourself:

  TOKEN=%s
  curl -sS %s/api/orders -H "Authorization: Bearer $TOKEN" \
    -H 'Content-Type: application/json' -H 'Idempotency-Key: my-first-order' \
    -d '{"lines":[{"product_id":"%s","quantity":2}]}'

`, s.dir, s.dir, token, s.gatewayURL(), seed.ProductID(firstProduct))
}
