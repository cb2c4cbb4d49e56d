// Package story puts together what happened to one order: its timeline, payments, events, spans and log lines.
package story

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"holdfast/api/orderapi"
	"holdfast/internal/correlation"
	"holdfast/internal/order"
	"holdfast/internal/problem"
	"holdfast/internal/unanswered"
)

// Entry is one line of a story.
type Entry struct {
	At     time.Time
	Source string // timeline, payment, event, span, or the process that wrote a log line
	What   string
	Detail string
}

// Client reads orders through the gateway.
type Client struct {
	Gateway string
	Token   string // of an operator
	HTTP    *http.Client
}

// ErrNotFound says that the gateway knows no order by the given id.
var ErrNotFound = errors.New("no order has this id or number, and no request with this correlation id acted on one")

// Find returns the orders that an order id, an order number or a correlation id names: several if one request acted on
// several.
func (c Client) Find(ctx context.Context, id string) ([]orderapi.Order, error) {
	if parsed, err := uuid.Parse(id); err == nil {
		var found orderapi.Order
		err := c.get(ctx, "/api/orders/"+parsed.String(), &found)
		var refused *problem.Problem
		if err == nil || !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
			return []orderapi.Order{found}, err
		}
	}

	filter := url.Values{}
	number, isNumber := order.ParseNumber(id)
	switch {
	case isNumber:
		filter.Set("number", number)
	case correlation.Valid(id):
		filter.Set("correlation_id", id)
	default:
		return nil, ErrNotFound
	}
	var list orderapi.OrderList
	if err := c.get(ctx, "/api/orders?"+filter.Encode(), &list); err != nil {
		return nil, err
	}
	if len(list.Items) == 0 {
		return nil, ErrNotFound
	}
	return list.Items, nil
}

// Records returns the timeline and the payments of an order.
func (c Client) Records(ctx context.Context, o orderapi.Order) ([]Entry, error) {
	var timeline orderapi.Timeline
	if err := c.get(ctx, "/api/orders/"+o.OrderID.String()+"/timeline", &timeline); err != nil {
		return nil, err
	}
	var out []Entry
	for _, e := range timeline.Items {
		detail := []string{"status=" + string(e.Status), "actor=" + e.Actor}
		if e.Reason != "" {
			detail = append(detail, "reason="+e.Reason)
		}
		out = append(out, Entry{e.At, "timeline", e.Event, strings.Join(detail, " ")})
	}
	for _, p := range o.Payments {
		detail := fmt.Sprintf("attempt=%d amount=%s", p.Attempt, p.Amount)
		if p.ProviderRef != "" {
			detail += " provider_ref=" + p.ProviderRef
		}
		out = append(out, Entry{p.At, "payment", fmt.Sprintf("%s: %s", p.Step, p.State), detail})
	}
	return out, nil
}

func (c Client) get(ctx context.Context, path string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.Gateway, "/")+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	res, err := c.HTTP.Do(req)
	if unanswered.IsDial(err) {
		return unanswered.New(c.Gateway, "--gateway", err)
	}
	if err != nil {
		return fmt.Errorf("ask the gateway: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // only read
	if res.StatusCode >= 300 {
		return problem.Read(res)
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return fmt.Errorf("read the answer to %s: %w", path, err)
	}
	return nil
}

// Sort sorts the entries by time. Entries of one time keep their order.
func Sort(entries []Entry) {
	slices.SortStableFunc(entries, func(x, y Entry) int { return x.At.Compare(y.At) })
}
