package platform

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/encoding/protojson"

	"holdfast/internal/auth"
	"holdfast/internal/order"
	"holdfast/internal/payment"
	"holdfast/workflows/orderflow"
)

// The subjects whose tokens have the role of an operator and of a shop. All others are customers.
const (
	Operator = "oscar"
	Shop     = "corner-shop"
)

// Token makes a token of the platform's own secret.
func (p *Platform) Token(subject string, role auth.Role) string {
	if p.token != nil {
		return p.token(subject, role)
	}
	cfg := auth.Config{Secret: jwtSecret, Issuer: "holdfast", Audience: "holdfast"}
	token, err := auth.Sign(cfg, subject, role, time.Hour)
	require.NoError(p.T, err)
	return token
}

// Answer is an HTTP response.
type Answer struct {
	Status int
	Header http.Header
	Body   map[string]any
	Raw    string
}

// Str returns a member of the answer's object, or "" if it is not a string.
func (a Answer) Str(key string) string { v, _ := a.Body[key].(string); return v }

var httpClient = &http.Client{
	Transport: &http.Transport{MaxIdleConnsPerHost: 200, DisableKeepAlives: true},
	Timeout:   30 * time.Second,
}

// Do sends a request through the gateway. body is sent as it is when it is a string, else as JSON.
func (p *Platform) Do(subject, method, path string, body any, headers ...string) Answer {
	p.T.Helper()
	a, err := p.Try(subject, method, path, body, headers...)
	require.NoError(p.T, err)
	return a
}

// Try is Do for requests that may find no server.
func (p *Platform) Try(subject, method, path string, body any, headers ...string) (Answer, error) {
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			return Answer{}, err
		}
		r = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(p.T.Context(), method, p.Gateway+path, r)
	if err != nil {
		return Answer{}, err
	}
	if subject != "" {
		role := auth.Customer
		switch subject {
		case Operator:
			role = auth.Operator
		case Shop:
			role = auth.Shop
		}
		req.Header.Set("Authorization", "Bearer "+p.Token(subject, role))
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := httpClient.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	a := Answer{Status: res.StatusCode, Header: res.Header, Raw: string(raw)}
	_ = json.Unmarshal(raw, &a.Body)
	return a, err
}

// OneLine is the body of an order of one product; more are further members of the body.
func OneLine(product uuid.UUID, quantity int, more ...any) map[string]any {
	body := map[string]any{"lines": []map[string]any{{"product_id": product, "quantity": quantity}}}
	for i := 0; i+1 < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	return body
}

// Place places an order; the answer must have the given status. When an overloaded machine answers 503, or 202 instead
// of 201, Place sends the order again under its key, as clients are told to.
func (p *Platform) Place(subject string, status int, body map[string]any, headers ...string) Answer {
	p.T.Helper()
	if !slices.Contains(headers, "Idempotency-Key") {
		headers = append([]string{"Idempotency-Key", uuid.NewString()}, headers...)
	}
	var a Answer
	for range 30 {
		a = p.Do(subject, http.MethodPost, "/api/orders", body, headers...)
		undecided := status == http.StatusCreated && a.Status == http.StatusAccepted
		if a.Status == status || a.Status != http.StatusServiceUnavailable && !undecided {
			break
		}
		select {
		case <-p.T.Context().Done():
		case <-time.After(time.Second): // Retry-After
		}
	}
	require.Equal(p.T, status, a.Status, a.Raw)
	return a
}

// Act requests an action on an order: pay, cancel or extend.
func (p *Platform) Act(subject, order, action string, body any, headers ...string) Answer {
	p.T.Helper()
	return p.Do(subject, http.MethodPost, "/api/orders/"+order+"/"+action, body, headers...)
}

// Pay pays an order with the given method.
func (p *Platform) Pay(subject, order, method string, headers ...string) Answer {
	p.T.Helper()
	return p.Act(subject, order, "pay", map[string]string{"payment_method": method}, headers...)
}

// Await reads the order until its workflow has recorded the given status. (An order reads as expired from its deadline
// on, also before that.)
func (p *Platform) Await(subject, order, status string, within time.Duration) Answer {
	p.T.Helper()
	last, _ := p.await(subject, order, within, status)
	return last
}

// AwaitOneOf is Await for several statuses, and returns the one that the order has.
func (p *Platform) AwaitOneOf(subject, order string, within time.Duration, statuses ...string) string {
	p.T.Helper()
	_, status := p.await(subject, order, within, statuses...)
	return status
}

func (p *Platform) recordedExpired(subject, id string) bool {
	timeline, _ := p.Try(subject, http.MethodGet, "/api/orders/"+id+"/timeline", nil)
	items, _ := timeline.Body["items"].([]any)
	return slices.ContainsFunc(items, func(e any) bool { return e.(map[string]any)["event"] == "expired" })
}

func (p *Platform) await(subject, order string, within time.Duration, statuses ...string) (last Answer, status string) {
	p.T.Helper()
	require.Eventually(p.T, func() bool {
		last, _ = p.Try(subject, http.MethodGet, "/api/orders/"+order, nil)
		status = last.Str("status")
		if status == "expired" {
			if !p.recordedExpired(subject, order) {
				return false
			}
			last, _ = p.Try(subject, http.MethodGet, "/api/orders/"+order, nil)
		}
		return slices.Contains(statuses, status)
	}, within, 20*time.Millisecond, "order %s does not become %v; last: %s", order, statuses, &last)
	return last, status
}

// AwaitUpdate returns once an order's workflow has accepted an update of the given name.
func (p *Platform) AwaitUpdate(id, name string) {
	p.T.Helper()
	p.WithTemporal(func(c client.Client) {
		require.Eventually(p.T, func() bool {
			it := events(p.T.Context(), c, orderflow.OrderWorkflowID(uuid.MustParse(id)), "")
			for it.HasNext() {
				e, err := it.Next()
				if err != nil {
					return false
				}
				accepted := e.GetWorkflowExecutionUpdateAcceptedEventAttributes()
				if accepted.GetAcceptedRequest().GetInput().GetName() == name {
					return true
				}
			}
			return false
		}, 10*time.Second, 20*time.Millisecond, "the workflow never accepted %s", name)
	})
}

// events iterates over all events of a workflow's run; an empty run is the latest one.
func events(ctx context.Context, c client.Client, workflowID, run string) client.HistoryEventIterator {
	return c.GetWorkflowHistory(ctx, workflowID, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
}

// Timeline reads an order's timeline, and checks the chain of its entries against the table of transitions.
func (p *Platform) Timeline(subject, id string) []map[string]any {
	p.T.Helper()
	a := p.Do(subject, http.MethodGet, "/api/orders/"+id+"/timeline", nil)
	require.Equal(p.T, http.StatusOK, a.Status, a.Raw)
	out := []map[string]any{}
	state := order.New
	for i, raw := range a.Body["items"].([]any) {
		e := raw.(map[string]any)
		out = append(out, e)
		require.EqualValues(p.T, i, e["seq"], a.Raw)
		from, _ := e["from_status"].(string)
		require.Equal(p.T, string(state), from, a.Raw)
		to := order.State(e["status"].(string))
		if to != state {
			require.Contains(p.T, order.Transitions(), order.Transition{From: state, To: to})
		}
		state = to
	}
	return out
}

// Events names the entries of an order's timeline that its workflow made: all but the first.
func (p *Platform) Events(subject, id string) []string {
	p.T.Helper()
	names := []string{}
	for _, e := range p.Timeline(subject, id) {
		names = append(names, e["event"].(string))
	}
	require.Equal(p.T, string(order.EventCreated), names[0])
	return names[1:]
}

// Charge returns an attempt to pay from the payment provider's own books.
func (p *Platform) Charge(order string, attempt int) (payment.Payment, error) {
	return p.Provider.Get(p.T.Context(), orderflow.PaymentKey(uuid.MustParse(order), attempt))
}

// History returns a workflow's history as Temporal's own tools write it.
func (p *Platform) History(workflowID string) []byte {
	p.T.Helper()
	history := &historypb.History{}
	p.WithTemporal(func(c client.Client) {
		for it := events(p.T.Context(), c, workflowID, ""); it.HasNext(); {
			e, err := it.Next()
			require.NoError(p.T, err)
			history.Events = append(history.Events, e)
		}
	})
	raw, err := protojson.MarshalOptions{Indent: " "}.Marshal(history)
	require.NoError(p.T, err)
	return machine.ReplaceAll(raw, []byte(`"$1": "recorded"`))
}

// machine matches the names of processes, of machines and of their own queues. A recorded history leaves them out.
var machine = regexp.MustCompile(`"(identity|name)":\s*"[^":]*[@:][^"]*"`)
