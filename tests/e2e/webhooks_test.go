package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/webhook"
	"holdfast/tests/broker"
	"holdfast/tests/eventcheck"
	"holdfast/tests/platform"
)

// shop is a merchant's server. It checks each webhook as a merchant does, and does not answer the first one.
type shop struct {
	*httptest.Server
	begun chan struct{} // closed when the first webhook has come

	mu     sync.Mutex
	keys   webhook.Keys
	faults []error
	times  map[string]int    // how often each webhook-id came
	bodies map[string]string // the body of each
}

func openShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{begun: make(chan struct{}), times: map[string]int{}, bodies: map[string]string{}}
	var first sync.Once
	s.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s.take(r)
		hang := false
		first.Do(func() { hang = true })
		if hang {
			close(s.begun)
			<-r.Context().Done()
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *shop) take(r *http.Request) {
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	m, verr := s.keys.Verify(r.Header, body)
	for _, fault := range []error{err, verr, eventcheck.Message(body, "order")} {
		if fault != nil {
			s.faults = append(s.faults, fault)
		}
	}
	s.times[m.ID]++
	s.bodies[m.ID] = string(body)
}

// TestWebhooks: an operator subscribes a merchant through the gateway. The merchant gets each event of the orders,
// signed and as the event's schema says, also if the process is killed after it has sent a webhook and before it has
// marked it: that one comes again with the same id.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	server := broker.Start(t)
	p := platform.Start(t)
	p.StartEvents(server.URL())
	p.Process("gateway").Stop()
	p.Start("gateway")
	merchant := openShop(t)
	body := map[string]any{"url": merchant.URL, "event_types": []string{"order.*"}}
	require.Equal(t, http.StatusForbidden, p.Do("alice", http.MethodPost, "/admin/webhooks", body).Status)
	created := p.Do(platform.Operator, http.MethodPost, "/admin/webhooks", body)
	require.Equal(t, http.StatusCreated, created.Status, created.Raw)
	keys, err := webhook.ParseKeys([]string{created.Str("secret")})
	require.NoError(t, err)
	merchant.keys = keys

	product := p.Product(10)
	for range 3 {
		id := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")
		require.Equal(t, http.StatusOK, p.Pay("alice", id, "pm_ok").Status)
	}
	<-merchant.begun
	p.Process("events").Kill()
	p.Start("events")

	delivered := func() (n int) {
		require.NoError(t, p.Orders.QueryRow(t.Context(),
			`SELECT count(*) FROM webhook_deliveries WHERE status = 'delivered'`).Scan(&n))
		return n
	}
	written := p.Count(`SELECT count(*) FROM outbox WHERE event_type LIKE 'order.%'`)
	require.Eventually(t, func() bool { return delivered() == written }, time.Minute, 50*time.Millisecond)

	merchant.mu.Lock()
	defer merchant.mu.Unlock()
	require.Empty(t, merchant.faults)
	require.Len(t, merchant.times, written, "each event")
	again := 0
	for _, times := range merchant.times {
		if times > 1 {
			again++
		}
	}
	require.Positive(t, again, "the webhook that was not marked came again")
	list := p.Do(platform.Operator, http.MethodGet, "/admin/webhooks/deliveries?status=delivered&limit=500", nil)
	require.Len(t, list.Body["items"], written)
	p.Audit()
}
