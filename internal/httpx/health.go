package httpx

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
)

// Check asks one dependency whether it answers.
type Check struct {
	Name     string
	Required bool // a failure makes the process not ready; else the process is degraded
	Probe    func(context.Context) error
}

// probeTimeout bounds each check, so that /ready answers before its caller gives up.
const probeTimeout = 3 * time.Second

// Health answers /health and /ready: a process that answers is alive, and it is ready if its dependencies are.
type Health struct {
	checks   []Check
	draining atomic.Bool
}

// NewHealth returns the health of a process with the given dependencies.
func NewHealth(checks ...Check) *Health { return &Health{checks: checks} }

// Drain makes the process not ready from now on, so that load balancers send no new requests.
func (h *Health) Drain() { h.draining.Store(true) }

type checkResult struct {
	Name      string  `json:"name"`
	Status    string  `json:"status"`
	Required  bool    `json:"required"`
	LatencyMS float64 `json:"latency_ms"`
	Error     string  `json:"error,omitempty"`
}

func (h *Health) live(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"status": "ok"}) }

// ready probes all dependencies at once. It answers 503 if a required one fails or the process is stopping, 200
// "degraded" if only others fail, else 200 "ready".
func (h *Health) ready(c *gin.Context) {
	if h.draining.Load() {
		c.JSON(http.StatusServiceUnavailable, gin.H{"status": "stopping", "checks": []checkResult{}})
		return
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), probeTimeout)
	defer cancel()
	results := make([]checkResult, len(h.checks))
	var wg sync.WaitGroup
	for i, check := range h.checks {
		wg.Go(func() { results[i] = probe(ctx, check) })
	}
	wg.Wait()

	status, code := "ready", http.StatusOK
	for _, r := range results {
		if r.Status == "ok" {
			continue
		}
		if r.Required {
			status, code = "not_ready", http.StatusServiceUnavailable
			break
		}
		status = "degraded"
	}
	c.JSON(code, gin.H{"status": status, "checks": results})
}

func probe(ctx context.Context, check Check) checkResult {
	start := time.Now()
	err := check.Probe(ctx)
	r := checkResult{
		Name:      check.Name,
		Status:    "ok",
		Required:  check.Required,
		LatencyMS: float64(time.Since(start).Microseconds()) / 1000,
	}
	if err != nil {
		r.Status, r.Error = "failing", err.Error()
	}
	return r
}
