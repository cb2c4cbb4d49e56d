// Package sandbox is the client of the payment sandbox, a provider that moves no real money and whose answer depends on
// the test method of the request.
package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"holdfast/internal/correlation"
	"holdfast/internal/payment"
	"holdfast/internal/problem"
	"holdfast/internal/servicekey"
)

// timeout bounds one call; the timeout of the activity that makes the call is longer.
const timeout = 10 * time.Second

// Client talks to a payment sandbox. It implements payment.Provider.
type Client struct {
	base      string
	key       string
	source    string // the name of the calling process, for the sandbox's log
	http      *http.Client
	returnURL string
}

var _ payment.Provider = (*Client)(nil)

// New returns a client of the sandbox at baseURL.
func New(baseURL, serviceKey string, httpClient *http.Client) *Client {
	return &Client{base: strings.TrimRight(baseURL, "/"), key: serviceKey, http: httpClient}
}

// ReturningTo returns a client that sends customers to returnURL after an action, if the authorisation names no other
// address.
func (c *Client) ReturningTo(returnURL string) *Client {
	out := *c
	out.returnURL = returnURL
	return &out
}

// From returns a client that tells the sandbox which process calls.
func (c *Client) From(process string) *Client {
	out := *c
	out.source = process
	return &out
}

// Name returns "sandbox".
func (c *Client) Name() string { return "sandbox" }

// Authorise implements payment.Provider.
func (c *Client) Authorise(ctx context.Context, a payment.Authorisation) (payment.Payment, error) {
	if a.ReturnURL == "" {
		a.ReturnURL = c.returnURL
	}
	p, err := c.call(ctx, http.MethodPost, "/v1/payments", a)
	if err != nil {
		return p, err
	}
	return p.Answer()
}

// Capture implements payment.Provider.
func (c *Client) Capture(ctx context.Context, key string) (payment.Payment, error) {
	return c.call(ctx, http.MethodPost, "/v1/payments/"+url.PathEscape(key)+"/capture", struct{}{})
}

// Void implements payment.Provider.
func (c *Client) Void(ctx context.Context, key, reason string) (payment.Payment, error) {
	return c.call(ctx, http.MethodPost, "/v1/payments/"+url.PathEscape(key)+"/void", VoidRequest{Reason: reason})
}

// Refund implements payment.Provider.
func (c *Client) Refund(ctx context.Context, key, refundKey string, amountMinor int64) (payment.Payment, error) {
	return c.call(ctx, http.MethodPost, "/v1/payments/"+url.PathEscape(key)+"/refund",
		RefundRequest{RefundKey: refundKey, AmountMinor: amountMinor})
}

// Get implements payment.Provider.
func (c *Client) Get(ctx context.Context, key string) (payment.Payment, error) {
	return c.call(ctx, http.MethodGet, "/v1/payments/"+url.PathEscape(key), nil)
}

// GetRefund implements payment.Provider.
func (c *Client) GetRefund(ctx context.Context, key, refundKey string) (payment.Refund, error) {
	var out payment.Refund
	path := "/v1/payments/" + url.PathEscape(key) + "/refunds/" + url.PathEscape(refundKey)
	err := c.do(ctx, http.MethodGet, path, nil, &out)
	return out, err
}

func (c *Client) call(ctx context.Context, method, path string, in any) (payment.Payment, error) {
	var out payment.Payment
	err := c.do(ctx, method, path, in, &out)
	return out, err
}

// do sends in as JSON, if it is not nil, and reads the answer into out.
func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return fmt.Errorf("encode the payment request: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, &body)
	if err != nil {
		return fmt.Errorf("make the payment request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(servicekey.Header, c.key)
	if c.source != "" {
		req.Header.Set(servicekey.SourceHeader, c.source)
	}
	if id := correlation.From(ctx); id != "" {
		req.Header.Set(correlation.Header, id)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("reach the payment sandbox: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // an error after reading has no effect
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusNoContent:
		return nil
	default:
		return fromProblem(problem.Read(res))
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("read the payment sandbox's answer: %w", err)
	}
	return nil
}

// maxAnswer bounds what the client reads of an answer, in bytes.
const maxAnswer = 1 << 20

func fromProblem(p *problem.Problem) error {
	switch p.Code {
	case CodeDeclined:
		return &payment.DeclinedError{Code: payment.Code(p.Detail)}
	case CodeRefused:
		return &payment.RefusedError{Code: payment.Code(p.Detail)}
	case CodeVoided:
		return payment.ErrVoided
	case CodeCaptured:
		return payment.ErrCaptured
	case CodeKeyUsed:
		return payment.ErrKeyUsed
	case CodeUnknown:
		return payment.ErrUnknown
	default:
		return fmt.Errorf("the payment sandbox answered: %w", p)
	}
}
