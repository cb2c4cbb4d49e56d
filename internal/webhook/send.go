package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Sender delivers webhooks to receivers.
type Sender struct {
	HTTP *http.Client // follows no redirect: a receiver that moves is configured anew
	Keys Keys
}

// sendTimeout bounds one delivery, the receiver's answer included.
const sendTimeout = 10 * time.Second

// ErrGone says that the receiver wants no more webhooks at this address: it answered 410.
var ErrGone = errors.New("the receiver wants no more webhooks")

// Send signs a webhook with the present time and posts it once. Any status but 2xx is an error; the caller repeats the
// delivery with the same id and body.
func (s Sender) Send(ctx context.Context, url, id string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	header, err := s.Keys.Sign(id, time.Now(), body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make the request of webhook %s: %w", id, err)
	}
	req.Header = header
	req.Header.Set("Content-Type", "application/json")

	client := *s.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("deliver webhook %s: %w", id, err)
	}
	defer res.Body.Close()                                     //nolint:errcheck // an error after reading has no effect
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 4096)) // so that the connection can be used again
	switch {
	case res.StatusCode == http.StatusGone:
		return ErrGone
	case res.StatusCode < 200 || res.StatusCode > 299:
		return fmt.Errorf("deliver webhook %s: the receiver answered %s", id, res.Status)
	}
	return nil
}

// The pauses between deliveries.
const (
	firstPause = time.Second
	maxPause   = 10 * time.Minute
)

// Pause returns how long a sender waits after the given number of failed deliveries: 1 s, doubled with each, at most 10
// minutes.
func Pause(failed int) time.Duration {
	if failed < 1 {
		return 0
	}
	if failed > 10 { // 2^10 seconds are above the maximum
		return maxPause
	}
	return min(firstPause<<(failed-1), maxPause)
}
