package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Sender delivers webhooks to receivers.
type Sender struct {
	HTTP    *http.Client // follows no redirect: a receiver that moves is configured anew
	Keys    Keys
	Timeout time.Duration // of one delivery, the receiver's answer included; 0 means defaultTimeout
}

const defaultTimeout = 10 * time.Second

// maxAnswer is how much of an answer's body is read, in bytes.
const maxAnswer = 4096

// ErrGone says that the receiver wants no more webhooks at this address: it answered 410.
var ErrGone = errors.New("the receiver wants no more webhooks: it answered 410 Gone")

// RefusedError says that the receiver answered with a status other than 2xx.
type RefusedError struct {
	Status     int
	RetryAfter time.Duration // how long the receiver asks to be left alone; 0 if it does not say
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the receiver answered %d %s", e.Status, http.StatusText(e.Status))
}

// Send signs a webhook with the present time and posts it once. Any status but 2xx is an error: ErrGone or a
// *RefusedError. The caller repeats the delivery with the same id and body.
func (s Sender) Send(ctx context.Context, url, id string, body []byte) error {
	timeout := s.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
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
	defer res.Body.Close() //nolint:errcheck // an error after reading has no effect
	// A connection whose answer is read can be used again.
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer))
	switch {
	case res.StatusCode == http.StatusGone:
		return ErrGone
	case res.StatusCode < 200 || res.StatusCode > 299:
		refused := &RefusedError{Status: res.StatusCode, RetryAfter: retryAfter(res.Header, time.Now())}
		return fmt.Errorf("deliver webhook %s: %w", id, refused)
	}
	return nil
}

// retryAfter returns how long a receiver asks to be left alone: Retry-After has a number of seconds or a time (RFC
// 9110, section 10.2.3). It returns 0 for anything else.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
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
