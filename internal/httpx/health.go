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

// Health answers /health, /startup and /ready: a process that answers is alive, it is started once it was ready for the
// first time, and it is ready while its dependencies are.
type Health struct {
	checks   []Check
	started  atomic.Bool
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
	status, results := h.probe(c.Request.Context())
	c.JSON(codes[status], gin.H{"status": status, "checks": results})
}

// startup answers 200 from the first time on that every required dependency answers, and 503 before. It stays 200 when
// a dependency fails later, so that an orchestrator that waits for it does not restart a process that works.
func (h *Health) startup(c *gin.Context) {
	if h.started.Load() {
		c.JSON(http.StatusOK, gin.H{"status": "started"})
		return
	}
	status, results := h.probe(c.Request.Context())
	if codes[status] != http.StatusOK {
		c.JSON(http.StatusServiceUnavailable, gin.H{"status": "starting", "checks": results})
		return
	}
	c.JSON(http.StatusOK, gin.H{"status": "started"})
}

// What /ready answers, and the status of the answer.
const (
	ready    = "ready"
	degraded = "degraded"
	notReady = "not_ready"
)

var codes = map[string]int{
	ready:    http.StatusOK,
	degraded: http.StatusOK,
	notReady: http.StatusServiceUnavailable,
}

// probe asks all dependencies at once.
func (h *Health) probe(ctx context.Context) (status string, results []checkResult) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	results = make([]checkResult, len(h.checks))
	var wg sync.WaitGroup
	for i, check := range h.checks {
		wg.Go(func() { results[i] = probe(ctx, check) })
	}
	wg.Wait()

	status = ready
	for _, r := range results {
		if r.Status == "ok" {
			continue
		}
		if r.Required {
			return notReady, results
		}
		status = degraded
	}
	h.started.Store(true)
	return status, results
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
