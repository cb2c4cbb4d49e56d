// Package chaos tests that crashes, outages and lost answers neither lose nor double an order, stock or money: it
// breaks the real platform while orders are placed, paid, cancelled and expire, and then compares the books of
// orders, inventory and the payment provider (platform.Audit).
package chaos

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/tests/platform"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// untilAnswered sends a request until it gets a final answer. After a 5xx, a 429 or a broken connection, and while the
// order's stock is not decided, it sends the same request again, with the same key. At the deadline it gives up and
// returns the last error.
func untilAnswered(
	p *platform.Platform,
	deadline time.Time,
	subject, method, path string,
	body any,
	headers ...string,
) (platform.Answer, error) {
	last := fmt.Errorf("no time left")
	for time.Now().Before(deadline) {
		a, err := p.Try(subject, method, path, body, headers...)
		if err == nil && a.Status < 500 && a.Status != http.StatusTooManyRequests && a.Str("code") != "order_not_ready" {
			return a, nil
		}
		if err == nil {
			err = fmt.Errorf("%d %s", a.Status, a.Raw)
		}
		last = err
		select {
		case <-p.T.Context().Done():
			return a, p.T.Context().Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return platform.Answer{}, last
}

// place places an order, repeats the request until it is answered, and returns the final answer.
func place(p *platform.Platform, deadline time.Time, body map[string]any) (platform.Answer, error) {
	return untilAnswered(p, deadline, "alice", http.MethodPost, "/api/orders", body, "Idempotency-Key", uuid.NewString())
}

// act requests an action on an order and repeats the request until it is answered.
func act(p *platform.Platform, deadline time.Time, id, action string, body any) (platform.Answer, error) {
	path := "/api/orders/" + id + "/" + action
	return untilAnswered(p, deadline, "alice", http.MethodPost, path, body, "Idempotency-Key", uuid.NewString())
}

func method(name string) map[string]string { return map[string]string{"payment_method": name} }
