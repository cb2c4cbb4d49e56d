package e2e

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/order"
	"holdfast/tests/platform"
)

// TestCrowdAtOneOrder: Temporal takes ten requests at once for one order. While a payment hangs, more than twice as
// many cancellations wait for its end. Each gets an answer in time that says how it stands or what to do, and when the
// provider answers again, the order is cancelled once and no money is kept.
func TestCrowdAtOneOrder(t *testing.T) {
	t.Parallel()
	p := platform.StartWithFaults(t)
	product := p.Product(5)
	id := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")
	p.Faults.Provider.Hang()

	var crowd sync.WaitGroup
	crowd.Go(func() {
		body := map[string]string{"payment_method": "pm_ok"}
		_, _ = p.Try("alice", http.MethodPost, "/api/orders/"+id+"/pay", body)
	})
	p.AwaitUpdate(id, "pay")
	answers := make(chan platform.Answer, 25)
	for range cap(answers) {
		crowd.Go(func() {
			start := time.Now()
			a, err := p.Try("alice", http.MethodPost, "/api/orders/"+id+"/cancel", nil, "Idempotency-Key", uuid.NewString())
			if err != nil || time.Since(start) > 16*time.Second {
				t.Errorf("no answer in time: %v after %s", err, time.Since(start))
			}
			answers <- a
		})
	}
	crowd.Wait()
	close(answers)

	told := map[int]int{}
	for a := range answers {
		told[a.Status]++
		switch a.Status {
		case http.StatusAccepted:
		case http.StatusServiceUnavailable:
			require.NotEmpty(t, a.Header.Get("Retry-After"), a.Raw)
			require.Equal(t, true, a.Body["retryable"], a.Raw)
			require.Contains(t, a.Str("detail"), "again", a.Raw)
		default:
			require.Fail(t, "unexpected answer", "%d %s", a.Status, a.Raw)
		}
	}
	t.Logf("answers by status: %v", told)
	require.Positive(t, told[http.StatusServiceUnavailable], "more than Temporal takes")

	p.Faults.Provider.Up()
	p.Await("alice", id, "cancelled", 30*time.Second)
	require.Equal(t, map[order.State]int{order.Cancelled: 1}, p.Audit())
}
