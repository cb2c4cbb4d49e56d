package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/webhook"
	"holdfast/tests/platform"
)

// carriersReport: a carrier's signed webhook delivers a shipment once, also before the warehouse has reported that it
// has left; a lost shipment is sent again; what is not signed by the shop's carrier is refused.
func carriersReport(t *testing.T, s *platform.Platform) {
	send := func(secret, id string, body map[string]any) int {
		raw, err := json.Marshal(body)
		require.NoError(t, err)
		keys, err := webhook.ParseKeys([]string{secret})
		require.NoError(t, err)
		header, err := keys.Sign(id, time.Now(), raw)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Gateway+"/webhooks/carriers", bytes.NewReader(raw))
		require.NoError(t, err)
		req.Header = header
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode
	}
	id, product := paidOrder(t, s, 2, 0, 1)
	tracking := uuid.NewString()
	says := func(status string) map[string]any {
		return map[string]any{"carrier": "dhl", "tracking_number": tracking, "status": status}
	}
	delivered := uuid.NewString()

	require.Equal(t, http.StatusUnauthorized, send(webhook.NewSecret(), delivered, says("delivered")))
	require.Equal(t, http.StatusBadRequest, send(platform.WebhookSecret, delivered, map[string]any{"status": "delivered"}))
	require.Equal(t, http.StatusNotFound, send(platform.WebhookSecret, delivered, says("delivered")), "it comes again")
	reports(t, s, id, 1, "ship", map[string]any{"carrier": "dhl", "tracking_number": tracking})
	require.Equal(t, http.StatusOK, send(platform.WebhookSecret, uuid.NewString(), says("in_transit")))
	require.Equal(t, http.StatusOK, send(platform.WebhookSecret, uuid.NewString(), says("lost")))
	again := s.Do("alice", http.MethodGet, "/api/orders/"+id, nil)
	require.Equal(t, []string{"main lost", "main planned"}, shipments(again), again.Raw)
	require.Equal(t, http.StatusOK, send(platform.WebhookSecret, delivered, says("delivered")), "it fits no more")

	tracking = uuid.NewString()
	reports(t, s, id, 2, "ship", map[string]any{"carrier": "dhl", "tracking_number": tracking})
	found := uuid.NewString()
	for range 2 {
		require.Equal(t, http.StatusOK, send(platform.WebhookSecret, found, says("delivered")))
	}
	done := s.Await("alice", id, "completed", 10*time.Second)
	require.Equal(t, []string{"main lost", "main delivered"}, shipments(done))
	available, _, _ := s.Available(product)
	require.Zero(t, available)
}
