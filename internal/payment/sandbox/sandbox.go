// Package sandbox is the client of the payment sandbox, a provider that moves no real money and whose answer depends on
// the test method of the request.
package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"holdfast/internal/correlation"
	"holdfast/internal/payment"
	"holdfast/internal/problem"
	"holdfast/internal/servicekey"
)

// The test methods that the sandbox knows.
const (
	MethodOK                = "pm_ok"
	MethodDeclined          = "pm_declined"           // declined: card_declined
	MethodInsufficientFunds = "pm_insufficient_funds" // declined: insufficient_funds
	MethodTimeout           = "pm_timeout"            // authorised, but the first request gets no answer
	MethodFlaky             = "pm_flaky"              // authorised, but the first two requests are answered 503
)

// Codes of the sandbox's problem documents.
const (
	CodeDeclined problem.Code = "payment_declined" // detail: the reason
	CodeVoided   problem.Code = "payment_voided"
	CodeCaptured problem.Code = "payment_captured"
	CodeKeyUsed  problem.Code = "payment_key_used"
	CodeRefused  problem.Code = "payment_refused" // detail: the reason
	CodeUnknown  problem.Code = "payment_unknown"
)

// Table is the sandbox's contract: code, HTTP status, retryable.
var Table = problem.Common.Extend(problem.Table{
	CodeDeclined: {Status: http.StatusPaymentRequired, Title: "The payment was declined"},
	CodeVoided:   {Status: http.StatusConflict, Title: "The payment was voided"},
	CodeCaptured: {Status: http.StatusConflict, Title: "The payment is captured"},
	CodeKeyUsed:  {Status: http.StatusUnprocessableEntity, Title: "The payment key names another payment"},
	CodeRefused:  {Status: http.StatusUnprocessableEntity, Title: "The payment request is not possible"},
	CodeUnknown:  {Status: http.StatusNotFound, Title: "No such payment"},
})

// RefundRequest asks to give money back.
type RefundRequest struct {
	RefundKey   string `json:"refund_key"`
	AmountMinor int64  `json:"amount_minor"`
}

// VoidRequest says why money is freed.
type VoidRequest struct {
	Reason string `json:"reason"`
}

// timeout bounds one call; the timeout of the activity that makes the call is longer.
const timeout = 10 * time.Second

// Client talks to a payment sandbox. It implements payment.Provider.
type Client struct {
	base string
	key  string
	http *http.Client
}

var _ payment.Provider = (*Client)(nil)

// New returns a client of the sandbox at baseURL.
func New(baseURL, serviceKey string, httpClient *http.Client) *Client {
	return &Client{base: strings.TrimRight(baseURL, "/"), key: serviceKey, http: httpClient}
}

// Name returns "sandbox".
func (c *Client) Name() string { return "sandbox" }

// Authorise implements payment.Provider.
func (c *Client) Authorise(ctx context.Context, a payment.Authorisation) (payment.Payment, error) {
	return c.call(ctx, http.MethodPost, "/v1/payments", a)
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

func (c *Client) call(ctx context.Context, method, path string, in any) (payment.Payment, error) {
	var out payment.Payment
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return out, fmt.Errorf("encode the payment request: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, &body)
	if err != nil {
		return out, fmt.Errorf("make the payment request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(servicekey.Header, c.key)
	if id := correlation.From(ctx); id != "" {
		req.Header.Set(correlation.Header, id)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return out, fmt.Errorf("reach the payment sandbox: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // an error after reading has no effect
	if res.StatusCode != http.StatusOK {
		return out, fromProblem(problem.Read(res))
	}
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		return out, fmt.Errorf("read the payment sandbox's answer: %w", err)
	}
	return out, nil
}

func fromProblem(p *problem.Problem) error {
	switch p.Code {
	case CodeDeclined:
		return &payment.DeclinedError{Reason: p.Detail}
	case CodeRefused:
		return &payment.RefusedError{Reason: p.Detail}
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
