package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/internal/breaker"
	"holdfast/internal/service"
)

// upstream is a service behind the gateway: its instances, and what protects them and their callers.
//
// An instance leaves the rotation in two ways. It is ejected after failures in a row, which its own callers notice at
// once and without a cost. And it is left out while its /ready says that it cannot work, which only a probe can see:
// an instance that is stopping or has lost its database still answers. Only a probe brings an instance back, so that
// no client's request is the test.
type upstream struct {
	name      string
	instances []*instance
	next      atomic.Uint64
	transport http.RoundTripper
	breaker   *breaker.Breaker
	budget    budget
	metrics   *upstreamMetrics
	log       *slog.Logger
	interval  time.Duration // between two probes of an instance
}

const (
	// ejectAfter is how many failures in a row eject an instance.
	ejectAfter = 3
	// minEjection and maxEjection are how long an instance stays ejected at least, the first time and after several.
	minEjection = time.Second
	maxEjection = 30 * time.Second
	// forgiveAfter is how long an instance must serve before its ejections are forgotten.
	forgiveAfter = time.Minute
	// missesAllowed is how many probes in a row an instance may fail before it is left out.
	missesAllowed = 1
	// probeTimeout bounds a probe. It is the time that /ready may take (httpx.Health), and a little more.
	probeTimeout = 4 * time.Second
)

// instance is one process of a service. Its health is shared by all requests.
type instance struct {
	url      *url.URL
	failures atomic.Int32 // in a row
	out      atomic.Bool  // the rotation leaves it out

	mu        sync.Mutex
	until     time.Time // the end of its last ejection
	ejections int       // without a minute of service between them
	misses    int       // probes in a row that failed
}

func newUpstream(
	name string, addresses []string, cfg UpstreamConfig, transport http.RoundTripper, metrics *upstreamMetrics,
	log *slog.Logger,
) (*upstream, error) {
	u := &upstream{
		name:      name,
		transport: transport,
		metrics:   metrics,
		log:       log.With("upstream", name),
		interval:  cfg.HealthInterval,
	}
	for _, raw := range addresses {
		address, err := url.Parse(raw)
		if err != nil {
			return nil, fmt.Errorf("the address of %s: %w", name, err)
		}
		u.instances = append(u.instances, &instance{url: address})
	}
	u.breaker = breaker.New(cfg.rule(), u.log)
	metrics.watch(u)
	return u, nil
}

// pick returns the next instance in the rotation that is not among the tried ones. If all others are left out, it
// returns one of them: a request that may fail is better than one that is refused. It returns nil if all were tried.
func (u *upstream) pick(tried []*instance) *instance {
	var leftOut *instance
	start := u.next.Add(1)
	for i := range uint64(len(u.instances)) {
		in := u.instances[(start+i)%uint64(len(u.instances))]
		if slices.Contains(tried, in) {
			continue
		}
		if !in.out.Load() {
			return in
		}
		if leftOut == nil {
			leftOut = in
		}
	}
	return leftOut
}

// available counts the instances in the rotation.
func (u *upstream) available() int {
	n := 0
	for _, in := range u.instances {
		if !in.out.Load() {
			n++
		}
	}
	return n
}

// report notes how a request to an instance went, and ejects an instance that only fails. The last instance in the
// rotation stays: without it the gateway could send the request nowhere.
func (u *upstream) report(in *instance, failed bool) {
	if !failed {
		if in.failures.Load() != 0 {
			in.failures.Store(0)
		}
		return
	}
	if in.failures.Add(1) < ejectAfter || in.out.Load() || u.available() < 2 {
		return
	}
	if in.eject(time.Now()) {
		u.metrics.ejections.WithLabelValues(u.name).Inc()
		u.log.Warn("an instance is ejected", "instance", in.url.Host, "failures_in_a_row", in.failures.Load())
	}
}

// eject leaves the instance out for at least a second, and twice as long each time that it fails again soon.
func (in *instance) eject(now time.Time) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.out.Load() {
		return false
	}
	if now.Sub(in.until) > forgiveAfter {
		in.ejections = 0
	}
	in.until = now.Add(min(minEjection<<min(in.ejections, 5), maxEjection))
	in.ejections++
	in.out.Store(true)
	return true
}

// watch probes the instances until ctx ends. A service with one instance has no rotation, so it is only probed while
// its breaker is open because nothing could be reached.
func (u *upstream) watch(ctx context.Context) {
	service.Every(ctx, u.interval, func() {
		if len(u.instances) < 2 && !u.breaker.Unreachable() {
			return
		}
		var probes sync.WaitGroup
		for _, in := range u.instances {
			probes.Go(func() { u.probe(ctx, in) })
		}
		probes.Wait()
	})
}

// probe asks an instance's /ready, and puts the instance out of the rotation or back into it.
func (u *upstream) probe(ctx context.Context, in *instance) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	status, err := u.get(ctx, in, "/ready")
	if err == nil {
		u.breaker.Reached()
	}
	if len(u.instances) < 2 {
		return
	}

	in.mu.Lock()
	defer in.mu.Unlock()
	if status != http.StatusOK {
		in.misses++
		if in.misses > missesAllowed && !in.out.Swap(true) {
			u.log.Warn("an instance is left out, because it is not ready",
				"instance", in.url.Host, "status", status, "error", err)
		}
		return
	}
	in.misses = 0
	if in.out.Load() && time.Now().After(in.until) {
		in.failures.Store(0)
		in.out.Store(false)
		u.log.Info("an instance is back", "instance", in.url.Host)
	}
}

// get asks an instance for a path and returns the status of its answer.
func (u *upstream) get(ctx context.Context, in *instance, path string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, in.url.JoinPath(path).String(), nil)
	if err != nil {
		return 0, err
	}
	res, err := u.transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}

// alive reports whether an instance answers /health. It does not ask about the service's dependencies: the service
// reports those itself.
func (u *upstream) alive(ctx context.Context) error {
	var fault error
	for _, in := range u.instances {
		status, err := u.get(ctx, in, "/health")
		if err == nil && status == http.StatusOK {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("%s answers %d", in.url.Host, status)
		}
		fault = err
	}
	return fault
}
