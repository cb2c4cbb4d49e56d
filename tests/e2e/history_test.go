package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"holdfast/workers"
	"holdfast/workflows/orderflow"
)

// recordHistories is set (HOLDFAST_RECORD_HISTORIES=1) to write the histories of this run to
// workflows/testdata, where every later change is replayed against them. Record a new one for a new
// branch; never write over one that production may still have open.
var recordHistories = os.Getenv("HOLDFAST_RECORD_HISTORIES") != ""

// TestHistoriesReplay runs one order along each way, and replays what the server recorded with the
// workflow of this build.
func TestHistoriesReplay(t *testing.T) {
	var down atomic.Bool
	s := startStack(t, func(target string) string {
		u, err := url.Parse(target)
		require.NoError(t, err)
		proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }}
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if down.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			proxy.ServeHTTP(w, r)
		}))
		t.Cleanup(srv.Close)
		return srv.URL
	})
	pay := func(id, method string) answer {
		return s.do("alice", http.MethodPost, "/api/orders/"+id+"/pay", map[string]string{"payment_method": method})
	}
	for _, c := range []struct {
		name, ends string
		run        func() answer
	}{
		{"order-confirmed", "confirmed", func() answer {
			placed := s.do("alice", http.MethodPost, "/api/orders", oneLine(s.product(5), 1))
			require.Equal(t, http.StatusOK, pay(placed.str("order_id"), "pm_ok").Status)
			return placed
		}},
		{"order-paid-at-once", "confirmed", func() answer {
			return s.do("alice", http.MethodPost, "/api/orders", oneLine(s.product(5), 1, "payment_method", "pm_ok"))
		}},
		{"order-rejected", "rejected", func() answer {
			return s.do("alice", http.MethodPost, "/api/orders", oneLine(s.product(0), 1))
		}},
		{"order-expired", "expired", func() answer {
			return s.do("alice", http.MethodPost, "/api/orders", oneLine(s.product(5), 1, "ttl_seconds", 1))
		}},
		{"order-declined-thrice", "failed", func() answer {
			placed := s.do("alice", http.MethodPost, "/api/orders", oneLine(s.product(5), 1))
			for range 3 {
				require.Equal(t, http.StatusPaymentRequired, pay(placed.str("order_id"), "pm_declined").Status)
			}
			return placed
		}},
		{"order-waits-for-inventory", "confirmed", func() answer {
			product := s.product(5)
			down.Store(true)
			placed := s.do("alice", http.MethodPost, "/api/orders", oneLine(product, 1, "payment_method", "pm_ok"))
			require.Equal(t, http.StatusAccepted, placed.Status, placed.Raw)
			require.Equal(t, "pending", placed.str("status"))
			early := pay(placed.str("order_id"), "pm_ok")
			require.Equal(t, "order_not_ready", early.str("code"), early.Raw)
			down.Store(false)
			return placed
		}},
		{"order-cancelled-by-operator", "cancelled", func() answer {
			product := s.product(5)
			placed := s.do("alice", http.MethodPost, "/api/orders", oneLine(product, 1))
			s.withTemporal(func(c client.Client) {
				require.NoError(t, c.CancelWorkflow(t.Context(), orderflow.OrderWorkflowID(uuid.MustParse(placed.str("order_id"))), ""))
			})
			s.await("alice", placed.str("order_id"), "cancelled", 10*time.Second)
			available, reserved, _ := s.available(product)
			require.Equal(t, []int64{5, 0}, []int64{available, reserved})
			return placed
		}},
	} {
		id := c.run().str("order_id")
		s.await("alice", id, c.ends, 30*time.Second)
		s.withTemporal(func(tc client.Client) {
			require.NoError(t, tc.GetWorkflow(t.Context(), orderflow.OrderWorkflowID(uuid.MustParse(id)), "").Get(t.Context(), nil), c.name)
		})
		raw := s.history(id)
		file := filepath.Join(t.TempDir(), c.name+".json")
		if recordHistories {
			file = filepath.Join("..", "..", "workflows", "testdata", c.name+".json")
		}
		require.NoError(t, os.WriteFile(file, raw, 0o644))
		r := worker.NewWorkflowReplayer()
		workers.RegisterWorkflows(r)
		require.NoError(t, r.ReplayWorkflowHistoryFromJSONFile(nil, file), c.name)
	}
}
