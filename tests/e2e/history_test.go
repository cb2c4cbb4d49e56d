package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"holdfast/internal/replay"
	"holdfast/internal/temporalclient"
	"holdfast/tests/platform"
	"holdfast/workers"
	"holdfast/workflows/orderflow"
)

// recordHistories is set (HOLDFAST_RECORD_HISTORIES=1) to write the histories of this run to
// workflows/testdata, where every later change is replayed against them. A new branch gets a history with
// a new name; an existing history stays as it is.
var recordHistories = os.Getenv("HOLDFAST_RECORD_HISTORIES") != ""

// TestHistoriesReplay runs one order or reservation along each branch, and replays the history that the server
// recorded with the workflow of this build.
func TestHistoriesReplay(t *testing.T) {
	s := platform.StartWithFaults(t)
	pay := func(id, method string) platform.Answer {
		return s.Do("alice", http.MethodPost, "/api/orders/"+id+"/pay", map[string]string{"payment_method": method})
	}
	for _, c := range []struct {
		name, ends string
		run        func() platform.Answer
	}{
		{"order-confirmed", "confirmed", func() platform.Answer {
			placed := s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(s.Product(5), 1))
			require.Equal(t, http.StatusOK, pay(placed.Str("order_id"), "pm_ok").Status)
			return placed
		}},
		{"order-paid-at-once", "confirmed", func() platform.Answer {
			body := platform.OneLine(s.Product(5), 1, "payment_method", "pm_ok")
			return s.Do("alice", http.MethodPost, "/api/orders", body)
		}},
		{"order-rejected", "rejected", func() platform.Answer {
			return s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(s.Product(0), 1))
		}},
		{"order-expired", "expired", func() platform.Answer {
			return s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(s.Product(5), 1, "ttl_seconds", 1))
		}},
		{"order-declined-thrice", "failed", func() platform.Answer {
			placed := s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(s.Product(5), 1))
			for range 3 {
				require.Equal(t, http.StatusPaymentRequired, pay(placed.Str("order_id"), "pm_declined").Status)
			}
			return placed
		}},
		{"order-waits-for-inventory", "confirmed", func() platform.Answer {
			product := s.Product(5)
			s.Faults.Inventory.Down()
			body := platform.OneLine(product, 1, "payment_method", "pm_ok")
			placed := s.Do("alice", http.MethodPost, "/api/orders", body)
			require.Equal(t, http.StatusAccepted, placed.Status, placed.Raw)
			require.Equal(t, "pending", placed.Str("status"))
			early := pay(placed.Str("order_id"), "pm_ok")
			require.Equal(t, "order_not_ready", early.Str("code"), early.Raw)
			s.Faults.Inventory.Up()
			return placed
		}},
		{"order-cancelled-by-operator", "cancelled", func() platform.Answer {
			product := s.Product(5)
			placed := s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(product, 1))
			workflowID := orderflow.OrderWorkflowID(uuid.MustParse(placed.Str("order_id")))
			s.WithTemporal(func(c client.Client) {
				require.NoError(t, c.CancelWorkflow(t.Context(), workflowID, ""))
			})
			s.Await("alice", placed.Str("order_id"), "cancelled", 10*time.Second)
			available, reserved, _ := s.Available(product)
			require.Equal(t, []int64{5, 0}, []int64{available, reserved})
			return placed
		}},
		{"order-cancelled", "cancelled", func() platform.Answer {
			placed := s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(s.Product(5), 1))
			id := placed.Str("order_id")
			extended := s.Act("alice", id, "extend", map[string]int{"ttl_seconds": 1200})
			require.Equal(t, http.StatusOK, extended.Status)
			cancelled := s.Act("alice", id, "cancel", map[string]string{"reason": "changed my mind"})
			require.Equal(t, http.StatusOK, cancelled.Status)
			return placed
		}},
		{"order-cancelled-while-pending", "cancelled", func() platform.Answer {
			product := s.Product(5)
			s.Faults.Inventory.Down()
			placed := s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(product, 1))
			require.Equal(t, http.StatusAccepted, placed.Status, placed.Raw)
			require.Equal(t, http.StatusOK, s.Act("alice", placed.Str("order_id"), "cancel", nil).Status)
			s.Faults.Inventory.Up()
			return placed
		}},
		{"order-cancelled-during-authorisation", "cancelled", func() platform.Answer {
			placed := s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(s.Product(5), 1))
			id := placed.Str("order_id")
			authorising := s.Faults.Provider.Hold(func(r *http.Request) bool { return r.URL.Path == "/v1/payments" }, 1)
			var paid, cancelled platform.Answer
			var wg sync.WaitGroup
			wg.Go(func() { paid = pay(id, "pm_ok") })
			<-authorising.Reached()
			wg.Go(func() { cancelled = s.Act("alice", id, "cancel", nil) })
			s.AwaitUpdate(id, orderflow.UpdateCancel)
			authorising.Release()
			wg.Wait()
			require.Equal(t, http.StatusOK, cancelled.Status, cancelled.Raw)
			require.Equal(t, http.StatusConflict, paid.Status, paid.Raw)
			require.Equal(t, "invalid_state", paid.Str("code"))
			return placed
		}},
		{"order-edited", "confirmed", func() platform.Answer {
			product := s.Product(5)
			placed := s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(product, 1))
			id := placed.Str("order_id")
			require.Equal(t, http.StatusOK, edit(s, "alice", id, platform.OneLine(product, 3)).Status)
			require.Equal(t, http.StatusConflict, edit(s, "alice", id, platform.OneLine(product, 6)).Status)
			require.Equal(t, http.StatusOK, edit(s, "alice", id, platform.OneLine(product, 2)).Status)
			require.Equal(t, http.StatusOK, pay(id, "pm_ok").Status)
			return placed
		}},
		{"order-edited-and-cancelled", "cancelled", func() platform.Answer {
			product := s.Product(5)
			placed := s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(product, 1))
			id := placed.Str("order_id")
			s.Faults.Inventory.Down()
			var changed platform.Answer
			var wg sync.WaitGroup
			wg.Go(func() { changed = edit(s, "alice", id, platform.OneLine(product, 3)) })
			s.AwaitUpdate(id, orderflow.UpdateEdit)
			require.Equal(t, http.StatusOK, s.Act("alice", id, "cancel", nil).Status)
			wg.Wait()
			require.Equal(t, http.StatusConflict, changed.Status, changed.Raw)
			s.Faults.Inventory.Up()
			return placed
		}},
		{"order-reviewed", "confirmed", func() platform.Answer {
			placed := s.Do("alice", http.MethodPost, "/api/orders",
				platform.OneLine(s.Product(900), 800, "payment_method", "pm_ok"))
			id := placed.Str("order_id")
			s.Await("alice", id, "in_review", 10*time.Second)
			require.Equal(t, http.StatusOK, s.Act(platform.Operator, id, "approve", nil).Status)
			return placed
		}},
		{"order-delivered", "completed", func() platform.Answer {
			id, _ := paidOrder(t, s, 2, 1, 3)
			reports(t, s, id, 1, "pack", nil)
			reports(t, s, id, 1, "ship", leaves)
			reports(t, s, id, 2, "ship", leaves)
			reports(t, s, id, 1, "deliver", nil)
			return reports(t, s, id, 2, "deliver", nil)
		}},
		{"order-returned", "refunded", func() platform.Answer {
			id, _ := deliveredOrder(t, s, 1)
			require.Equal(t, http.StatusOK, s.Act("alice", id, "returns", wants(1)).Status)
			require.Equal(t, http.StatusOK, s.Act(platform.Operator, id, "returns/1/approve", nil).Status)
			return s.Act(platform.Operator, id, "returns/1/receive", arrives(1, 0))
		}},
		{"order-backordered", "expired", func() platform.Answer {
			product := s.Product(1)
			placed := s.Place("alice", http.StatusCreated, platform.OneLine(product, 2, "wait_for_stock_seconds", 1))
			s.Await("alice", placed.Str("order_id"), "expired", 20*time.Second)
			return placed
		}},
		{"order-short-picked-held-and-lost", "refunded", func() platform.Answer {
			id, _ := paidOrder(t, s, 2, 1, 2)
			short := map[string]any{"cause": "missing", "lines": []map[string]any{{"line_no": 1, "quantity": 1}}}
			reports(t, s, id, 1, "short-pick", short)
			require.Equal(t, http.StatusOK, s.Act(platform.Operator, id, "hold", map[string]any{"reason": "stock"}).Status)
			require.Equal(t, http.StatusOK, s.Act(platform.Operator, id, "unhold", nil).Status)
			reports(t, s, id, 2, "short-pick", short)
			reports(t, s, id, 1, "ship", leaves)
			return reports(t, s, id, 1, "lose", map[string]any{"remedy": "refund"})
		}},
		{"order-cancelled-in-part-and-whole", "cancelled", func() platform.Answer {
			id, _ := paidOrder(t, s, 3, 0, 3)
			part := map[string]any{"lines": []map[string]any{{"line_no": 1, "quantity": 1}}}
			require.Equal(t, http.StatusOK, s.Act("alice", id, "cancel", part).Status)
			return s.Act("alice", id, "cancel", nil)
		}},
		{"order-expired-while-inventory-is-down", "expired", func() platform.Answer {
			placed := s.Do("alice", http.MethodPost, "/api/orders", platform.OneLine(s.Product(5), 1, "ttl_seconds", 1))
			s.Faults.Inventory.Down()
			s.Await("alice", placed.Str("order_id"), "expired", 10*time.Second)
			s.Faults.Inventory.Up()
			return placed
		}},
	} {
		id := c.run().Str("order_id")
		s.Await("alice", id, c.ends, 30*time.Second)
		s.AwaitIdle(uuid.MustParse(id))
		replays(s, fmt.Sprintf("%s-r%d", c.name, orderflow.CurrentRevision), orderflow.OrderWorkflowID(uuid.MustParse(id)))
	}

	for _, c := range []struct {
		name string
		end  func(id string)
	}{
		{"reservation-expired", func(string) {}},
		{"reservation-released", func(id string) {
			path := "/api/inventory/reserve/" + id
			extended := s.Do("alice", http.MethodPost, path+"/extend", map[string]int{"ttl_seconds": 5})
			require.Equal(t, http.StatusOK, extended.Status)
			require.Equal(t, http.StatusOK, s.Do("alice", http.MethodDelete, path, nil).Status)
		}},
		{"reservation-confirmed", func(id string) {
			confirmed := s.Do(platform.Operator, http.MethodPost, "/api/inventory/confirm/"+id, nil)
			require.Equal(t, http.StatusOK, confirmed.Status)
		}},
	} {
		held := s.Do("alice", http.MethodPost, "/api/inventory/reserve", map[string]any{
			"order_id":    uuid.NewString(),
			"product_id":  s.Product(5),
			"quantity":    1,
			"ttl_seconds": 2,
		})
		require.Equal(t, http.StatusCreated, held.Status, held.Raw)
		id := held.Str("reservation_id")
		c.end(id)
		s.WithTemporal(func(temporal client.Client) {
			run := temporal.GetWorkflow(t.Context(), orderflow.ReservationWorkflowID(uuid.MustParse(id)), "")
			require.NoError(t, run.Get(t.Context(), nil), c.name)
		})
		name := fmt.Sprintf("%s-r%d", c.name, orderflow.CurrentRevision)
		replays(s, name, orderflow.ReservationWorkflowID(uuid.MustParse(id)))
	}
}

// replays replays the history of a workflow that has come to rest with the workflow of this build.
func replays(s *platform.Platform, name, workflowID string) {
	dir := s.T.TempDir()
	if recordHistories {
		dir = filepath.Join("..", "..", "workflows", "testdata")
	}
	file := filepath.Join(dir, name+".json")
	if _, err := os.Stat(file); err == nil { // never written over: production may have an open order with this history
		file = filepath.Join(s.T.TempDir(), name+".json")
	}
	history := s.History(workflowID)
	require.NoError(s.T, os.WriteFile(file, history, 0o644))
	h, err := replay.Read(bytes.NewReader(history))
	require.NoError(s.T, err)
	require.NoError(s.T, workers.NewReplayer(temporalclient.Config{}).Replay(h), name)
}
