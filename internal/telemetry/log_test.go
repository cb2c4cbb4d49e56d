package telemetry_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/internal/correlation"
	"holdfast/internal/telemetry"
)

// TestLineNamesItsWork: a line has the correlation id, the order and the attributes that its context carries.
func TestLineNamesItsWork(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := telemetry.NewLogger(&out, "worker", slog.LevelInfo)
	ctx := correlation.WithOrderNumber(correlation.With(t.Context(), "req-1"), "1042")
	ctx = correlation.WithAttrs(ctx, slog.String("workflow_id", "order-x"))

	log.InfoContext(correlation.WithAttrs(ctx, slog.Int("attempt", 2)), "step")

	var line map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	require.Equal(t, "worker", line["service"])
	require.Equal(t, "req-1", line["correlation_id"])
	require.Equal(t, "1042", line["order_number"])
	require.Equal(t, "order-x", line["workflow_id"])
	require.InDelta(t, 2, line["attempt"], 0)
	require.Len(t, correlation.Attrs(ctx), 1, "the outer context does not change")
}

// TestLevelChangesAtRunTime: PUT changes which lines the log has, and refuses a level that there is not.
func TestLevelChangesAtRunTime(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	level := new(slog.LevelVar)
	log := telemetry.NewLogger(&out, "api", level)
	server := telemetry.LevelHandler(level)
	send := func(method, body string) *httptest.ResponseRecorder {
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, httptest.NewRequest(method, "/debug/log-level", strings.NewReader(body)))
		return answer
	}

	log.Debug("before")
	require.JSONEq(t, `{"level":"INFO"}`, send(http.MethodGet, "").Body.String())
	require.JSONEq(t, `{"level":"DEBUG"}`, send(http.MethodPut, `{"level":"debug"}`).Body.String())
	log.Debug("after")
	require.NotContains(t, out.String(), "before")
	require.Contains(t, out.String(), "after")

	require.Equal(t, http.StatusBadRequest, send(http.MethodPut, `{"level":"loud"}`).Code)
	require.Equal(t, http.StatusBadRequest, send(http.MethodPut, `{}`).Code)
	require.Equal(t, http.StatusMethodNotAllowed, send(http.MethodPost, "").Code)
	require.Equal(t, slog.LevelDebug, level.Level())
}

// TestLevelFollowsSignals: the first channel sets debug, and the second sets the level of the beginning again.
func TestLevelFollowsSignals(t *testing.T) {
	t.Parallel()
	level := new(slog.LevelVar)
	level.Set(slog.LevelWarn)
	more, less := make(chan bool), make(chan bool)
	ended := make(chan bool)
	go func() {
		defer close(ended)
		telemetry.FollowLevelSignals(t.Context(), slog.New(slog.DiscardHandler), level, more, less)
	}()

	more <- true
	require.Eventually(t, func() bool { return level.Level() == slog.LevelDebug }, waitFor, tick)
	less <- true
	require.Eventually(t, func() bool { return level.Level() == slog.LevelWarn }, waitFor, tick)
	t.Cleanup(func() { <-ended })
}
