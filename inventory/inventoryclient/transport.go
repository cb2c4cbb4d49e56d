package inventoryclient

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"holdfast/internal/breaker"
)

// rotation sends each request to the next instance of the service, and to another one if it cannot connect. It leaves
// an instance alone for a second after that, unless no other is left.
type rotation struct {
	next      http.RoundTripper
	instances []*instance
	turn      atomic.Uint64
}

// instance is one address of the service.
type instance struct {
	url       *url.URL
	goneUntil atomic.Int64 // Unix nanoseconds
}

// leaveAlone is how long an instance that cannot be connected to is not the first choice.
const leaveAlone = time.Second

func newRotation(addresses []string, next http.RoundTripper) (*rotation, error) {
	if next == nil {
		next = http.DefaultTransport
	}
	r := &rotation{next: next}
	for _, raw := range addresses {
		u, err := url.Parse(strings.TrimSuffix(raw, "/"))
		if err != nil {
			return nil, fmt.Errorf("the address of the inventory service: %w", err)
		}
		r.instances = append(r.instances, &instance{url: u})
	}
	return r, nil
}

// RoundTrip implements http.RoundTripper.
func (r *rotation) RoundTrip(req *http.Request) (res *http.Response, err error) {
	for i, to := range r.order() {
		out := *req
		target := *req.URL
		target.Scheme, target.Host = to.url.Scheme, to.url.Host
		out.URL, out.Host = &target, ""
		if i > 0 && req.Body != nil {
			if req.GetBody == nil {
				return nil, err
			}
			if out.Body, err = req.GetBody(); err != nil {
				return nil, fmt.Errorf("read the body again: %w", err)
			}
		}
		if res, err = r.next.RoundTrip(&out); err == nil || !breaker.NothingSent(err) {
			return res, err
		}
		to.goneUntil.Store(time.Now().Add(leaveAlone).UnixNano())
	}
	return nil, err
}

// order returns the instances in the order of this request.
func (r *rotation) order() []*instance {
	now, first := time.Now().UnixNano(), r.turn.Add(1)
	var there, gone []*instance
	for i := range uint64(len(r.instances)) {
		in := r.instances[(first+i)%uint64(len(r.instances))]
		if in.goneUntil.Load() > now {
			gone = append(gone, in)
		} else {
			there = append(there, in)
		}
	}
	return append(there, gone...)
}

// measured counts and times the calls.
type measured struct {
	next  http.RoundTripper
	calls *prometheus.CounterVec
	took  *prometheus.HistogramVec
}

func newMeasured(next http.RoundTripper, f promauto.Factory) measured {
	return measured{
		next: next,
		calls: f.NewCounterVec(prometheus.CounterOpts{
			Name: "inventory_http_calls_total",
			Help: "Calls of the inventory service by the answer's status, or error if there was none.",
		}, []string{"method", "endpoint", "status"}),
		took: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "inventory_http_call_duration_seconds",
			Help:    "Time from a call of the inventory service to the head of its answer, or to its failure.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 5, 10},
		}, []string{"method", "endpoint"}),
	}
}

// RoundTrip implements http.RoundTripper.
func (m measured) RoundTrip(req *http.Request) (*http.Response, error) {
	begin, where := time.Now(), endpoint(req.URL.Path)
	res, err := m.next.RoundTrip(req)
	m.took.WithLabelValues(req.Method, where).Observe(time.Since(begin).Seconds())
	status := "error"
	if err == nil {
		status = strconv.Itoa(res.StatusCode)
	}
	m.calls.WithLabelValues(req.Method, where, status).Inc()
	return res, err
}

// endpoint returns the path of a call without its ids and names, which would each make a series of a metric.
func endpoint(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if _, err := uuid.Parse(s); err == nil {
			segments[i] = ":id"
		} else if i > 0 && segments[i-1] == "locations" {
			segments[i] = ":location"
		}
	}
	return strings.Join(segments, "/")
}
