package sandbox

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// SwitchOn switches a fault on for the requests to come. Each call adds one fault. A restart of the sandbox ends all.
func (c *Client) SwitchOn(ctx context.Context, f Fault) error {
	return c.do(ctx, http.MethodPost, "/v1/faults", f, nil)
}

// Faults lists the faults that are switched on.
func (c *Client) Faults(ctx context.Context) ([]Fault, error) {
	var out FaultList
	err := c.do(ctx, http.MethodGet, "/v1/faults", nil, &out)
	return out.Items, err
}

// SwitchOff switches all faults off.
func (c *Client) SwitchOff(ctx context.Context) error {
	return c.do(ctx, http.MethodDelete, "/v1/faults", nil, nil)
}

// Books returns what the sandbox has taken and given back for a reference: an order's id.
func (c *Client) Books(ctx context.Context, reference string) (Books, error) {
	var out Books
	err := c.do(ctx, http.MethodGet, "/v1/books/"+url.PathEscape(reference), nil, &out)
	return out, err
}

// CompleteAction does what a customer does at an action's address: approve the payment or refuse it. Completing an
// action again changes nothing.
func (c *Client) CompleteAction(ctx context.Context, actionURL string, approve bool) error {
	decision := "refuse"
	if approve {
		decision = "approve"
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	form := url.Values{"decision": {decision}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, actionURL, strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("make the request of the action: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	browser := *c.http
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := browser.Do(req)
	if err != nil {
		return fmt.Errorf("complete the action: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // nothing is read
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusSeeOther {
		return fmt.Errorf("complete the action: the payment sandbox answered %s", res.Status)
	}
	return nil
}
