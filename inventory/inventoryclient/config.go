package inventoryclient

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"holdfast/internal/breaker"
	"holdfast/internal/service"
	"holdfast/internal/servicetoken"
)

// Config says where the inventory service is, and how long and how often the client tries, from the environment.
type Config struct {
	// URLs are the instances of the service. The client takes them in turn.
	URLs []string `env:"INVENTORY_URL" envDefault:"http://127.0.0.1:8080"`
	// Timeout limits one attempt to read, and WriteTimeout one attempt to reserve, confirm or change anything else.
	Timeout      time.Duration `env:"INVENTORY_SERVICE_TIMEOUT" envDefault:"5s"`
	WriteTimeout time.Duration `env:"INVENTORY_SERVICE_WRITE_TIMEOUT" envDefault:"10s"`
	// Attempts is how often a call is tried, the first time included. Delay is the pause before the second attempt; it
	// doubles before each further one.
	Attempts int           `env:"INVENTORY_SERVICE_RETRY_ATTEMPTS" envDefault:"3"`
	Delay    time.Duration `env:"INVENTORY_SERVICE_RETRY_DELAY" envDefault:"1s"`
	Breaker  breaker.Config
}

// maxTimeout is less than an activity has for an attempt (15 s), so that the activity learns why it has no answer.
const maxTimeout = 14 * time.Second

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	if len(c.URLs) == 0 || slices.ContainsFunc(c.URLs, func(raw string) bool { return !isAddress(raw) }) {
		faults = append(faults, errors.New("INVENTORY_URL must be an address as in http://127.0.0.1:8080, "+
			"or several separated by commas"))
	}
	for _, v := range []struct {
		name  string
		value time.Duration
	}{
		{"INVENTORY_SERVICE_TIMEOUT", c.Timeout},
		{"INVENTORY_SERVICE_WRITE_TIMEOUT", c.WriteTimeout},
	} {
		if v.value <= 0 || v.value > maxTimeout {
			faults = append(faults, fmt.Errorf("%s is %s; it must be more than 0 and at most %s", v.name, v.value, maxTimeout))
		}
	}
	if c.Attempts < 1 || c.Attempts > 10 {
		faults = append(faults, errors.New("INVENTORY_SERVICE_RETRY_ATTEMPTS must be 1 to 10"))
	}
	if c.Delay <= 0 {
		faults = append(faults, errors.New("INVENTORY_SERVICE_RETRY_DELAY must be more than 0"))
	}
	return errors.Join(faults...)
}

func isAddress(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// NewGuarded returns a client for a process: with the instances, time limits and retries of cfg, with a circuit breaker
// for reads and one for writes, and with metrics. Its tokens and its connections are as those of New.
func NewGuarded(cfg Config, signer *servicetoken.Signer, httpClient *http.Client, env service.Env) (*Client, error) {
	if httpClient == nil {
		httpClient = newHTTPClient()
	}
	f := promauto.With(env.Registry)
	retries := f.NewCounterVec(prometheus.CounterOpts{
		Name: "inventory_http_retries_total",
		Help: "Calls of the inventory service that were sent again, by the reason: network, rate_limited or unavailable.",
	}, []string{"reason"})
	for _, reason := range []string{reasonNetwork, reasonRateLimited, reasonUnavailable} {
		retries.WithLabelValues(reason)
	}
	spread, err := newRotation(cfg.URLs, httpClient.Transport)
	if err != nil {
		return nil, err
	}
	measured := newMeasured(env.Tracing.Transport(spread), f)
	c := New(cfg.URLs[0], signer, &http.Client{Transport: measured})
	c.idle = httpClient.CloseIdleConnections

	kind := func(name string, timeout time.Duration) policy {
		b := breaker.New(cfg.Breaker.Rule(), env.Log.With("breaker", name))
		b.Export(env.Registry, "inventory_circuit_breaker_state", name)
		return policy{timeout: timeout, attempts: cfg.Attempts, delay: cfg.Delay, breaker: b, retries: retries}
	}
	c.reads, c.writes = kind("inventory_reads", cfg.Timeout), kind("inventory_writes", cfg.WriteTimeout)
	return c, nil
}
