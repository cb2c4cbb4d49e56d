package httpx

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/internal/telemetry"
)

// healthAnswer is an answer of /ready or /startup.
type healthAnswer struct {
	Status string
	Checks []checkResult
}

// TestProbes: /health needs no dependency. /startup is 503 until all required dependencies have answered once, and 200
// from then on. /ready is 503 while a required one is down, names it with its error, and is 200 degraded while another
// one is down.
func TestProbes(t *testing.T) {
	t.Parallel()
	var database, cache error
	health := NewHealth(
		Check{Name: "database", Required: true, Probe: func(context.Context) error { return database }},
		Check{Name: "redis", Probe: func(context.Context) error { return cache }},
	)
	router := NewRouter(Options{
		Log: slog.New(slog.DiscardHandler), Registry: telemetry.NewRegistry(), Health: health,
	})
	ask := func(path string) (int, healthAnswer) {
		rec := httptest.NewRecorder()
		router.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		var a healthAnswer
		require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &a), rec.Body)
		return rec.Code, a
	}
	type step struct {
		database, cache         error
		startupCode, readyCode  int
		startup, ready, checked string
	}
	down := errors.New("connection refused")
	for i, s := range []step{
		{database: down, startupCode: 503, startup: "starting", readyCode: 503, ready: "not_ready", checked: "database"},
		{cache: down, startupCode: 200, startup: "started", readyCode: 200, ready: "degraded", checked: "redis"},
		{startupCode: 200, startup: "started", readyCode: 200, ready: "ready"},
		{
			database: down, cache: down,
			startupCode: 200, startup: "started", readyCode: 503, ready: "not_ready", checked: "database",
		},
	} {
		database, cache = s.database, s.cache
		code, a := ask("/startup")
		require.Equal(t, s.startupCode, code, i)
		require.Equal(t, s.startup, a.Status, i)
		code, a = ask("/ready")
		require.Equal(t, s.readyCode, code, i)
		require.Equal(t, s.ready, a.Status, i)
		require.Len(t, a.Checks, 2)
		for _, c := range a.Checks {
			require.Equal(t, c.Name == "database", c.Required)
			require.GreaterOrEqual(t, c.LatencyMS, 0.0)
			if c.Name == s.checked {
				require.Equal(t, "failing", c.Status)
				require.Equal(t, down.Error(), c.Error)
			}
		}
		code, _ = ask("/health")
		require.Equal(t, http.StatusOK, code)
	}

	health.Drain()
	code, a := ask("/ready")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "stopping", a.Status)
	code, _ = ask("/health")
	require.Equal(t, http.StatusOK, code, "a process that stops is alive")
}
