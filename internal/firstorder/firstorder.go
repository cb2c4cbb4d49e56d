// Package firstorder places an order through the gateway as a client does, and shows it. `make up` and `holdfast demo`
// end with it.
package firstorder

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"holdfast/api/orderapi"
	"holdfast/internal/await"
	"holdfast/internal/problem"
	"holdfast/internal/seed"
	"holdfast/internal/unanswered"
)

// product is one of which the example data has plenty.
const product = "BAG-GRA"

// timeout bounds the order, from its request to its confirmation.
const timeout = time.Minute

// Client places orders with a customer's token.
type Client struct {
	Gateway string // as in http://127.0.0.1:3000
	Token   string
}

// Place places an order, pays it with a sandbox card and returns it with its timeline once it is confirmed.
func (c Client) Place(ctx context.Context) (orderapi.Order, []orderapi.TimelineEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	body := orderapi.CreateOrder{
		Lines:         []orderapi.CreateOrderLine{{ProductID: seed.ProductID(product), Quantity: 1}},
		PaymentMethod: "pm_ok",
	}

	var placed orderapi.Order
	if err := c.Call(ctx, http.MethodPost, "/api/orders", body, &placed); err != nil {
		return placed, nil, fmt.Errorf("place the first order: %w", err)
	}

	path := "/api/orders/" + placed.OrderID.String()
	err := await.Until(ctx, 50*time.Millisecond, func() error {
		if err := c.Call(ctx, http.MethodGet, path, nil, &placed); err != nil {
			return await.Never(fmt.Errorf("read the first order: %w", err))
		}
		if placed.Status != orderapi.OrderStatusConfirmed {
			return fmt.Errorf("the first order is still %s", placed.Status)
		}
		return nil
	})
	if err != nil {
		return placed, nil, err
	}

	var timeline orderapi.Timeline
	err = c.Call(ctx, http.MethodGet, path+"/timeline", nil, &timeline)
	return placed, timeline.Items, err
}

// Call sends one request and decodes its answer. An answer of 300 or more is a *problem.Problem.
func (c Client) Call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.Gateway, "/")+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", uuid.NewString())
	res, err := http.DefaultClient.Do(req)
	if unanswered.IsDial(err) {
		return unanswered.New(c.Gateway, "--gateway", err)
	}
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // only read
	if res.StatusCode >= 300 {
		return problem.Read(res)
	}
	return json.NewDecoder(res.Body).Decode(out)
}

// PrintTimeline writes the order's state and what led to it.
func PrintTimeline(out io.Writer, order orderapi.Order, timeline []orderapi.TimelineEntry) {
	fmt.Fprintf(out, "\nOrder %s, %s, is %s (%s):\n\n", order.Number, order.Total, order.Status, order.OrderID)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, e := range timeline {
		fmt.Fprintf(w, "  %d\t%s\t%s\t%s\n", e.Seq, e.At.Local().Format("15:04:05.000"), e.Event, e.Actor)
	}
	_ = w.Flush()
}

// PrintExample writes a request that places an order, ready to be pasted into a shell.
func PrintExample(out io.Writer, gateway, token string) {
	fmt.Fprintf(out, `
Place an order yourself:

  TOKEN=%s
  curl -sS %s/api/orders -H "Authorization: Bearer $TOKEN" \
    -H 'Content-Type: application/json' -H 'Idempotency-Key: my-first-order' \
    -d '{"lines":[{"product_id":"%s","quantity":2}]}'

`, token, gateway, seed.ProductID(product))
}
