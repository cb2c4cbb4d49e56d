package httpx

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// TestBoundedSeries: a hundred thousand requests, each for another path, id, query or method, make no new series.
func TestBoundedSeries(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	e := NewRouter(Options{Log: slog.New(slog.DiscardHandler), Registry: reg, Health: NewHealth()})
	e.GET("/orders/:order_id", func(c *gin.Context) { c.Status(http.StatusOK) })
	send := func(i int) {
		n := strconv.Itoa(i)
		method, path := http.MethodGet, "/orders/"+n+"?q="+n
		switch i % 4 {
		case 1:
			path = "/" + n + "/unknown"
		case 2:
			method = "M" + n
		case 3:
			method = http.MethodPost // of a route that has none
		}
		e.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, path, nil))
	}
	series := func() int {
		n, err := testutil.GatherAndCount(reg, "http_requests_total", "http_request_duration_seconds")
		require.NoError(t, err)
		return n
	}

	for i := range 4 {
		send(i)
	}
	before := series()
	requests := 100_000
	if testing.Short() {
		requests = 10_000
	}
	for i := range requests {
		send(i)
	}
	require.Equal(t, before, series())
	require.Less(t, before, 12)
}
