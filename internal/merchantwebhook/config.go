package merchantwebhook

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Config says how the merchants' webhooks are sent, from the environment.
type Config struct {
	// Concurrency is how many deliveries a process has under way, and PerSubscription how many of them for one
	// subscription, so that a slow receiver does not delay the others.
	Concurrency     int `env:"WEBHOOKS_CONCURRENCY" envDefault:"128"`
	PerSubscription int `env:"WEBHOOKS_PER_SUBSCRIPTION" envDefault:"4"`
	// Timeout limits one attempt, the receiver's answer included. If a process dies, its deliveries wait for Lease.
	Timeout time.Duration `env:"WEBHOOKS_TIMEOUT" envDefault:"15s"`
	Lease   time.Duration `env:"WEBHOOKS_LEASE" envDefault:"60s"`
	// DisableAfter is how long every attempt of a subscription fails until the subscription is switched off.
	DisableAfter time.Duration `env:"WEBHOOKS_DISABLE_AFTER" envDefault:"120h"`
	// Retention is how long events and their deliveries are kept.
	Retention time.Duration `env:"WEBHOOKS_RETENTION" envDefault:"720h"`
	// Development allows receivers over http and inside our own network.
	Development bool `env:"WEBHOOKS_DEVELOPMENT" envDefault:"false"`
	// DeniedNetworks are public networks that are ours as well, as in 198.51.100.0/24. Private networks are always denied.
	DeniedNetworks []netip.Prefix `env:"WEBHOOKS_DENIED_NETWORKS"`
}

const (
	maxConcurrency = 1000
	// minRetention is longer than the attempts of a delivery last, and than the inbox remembers its event at least.
	minRetention = 7 * 24 * time.Hour
)

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	if c.Concurrency < 1 || c.Concurrency > maxConcurrency {
		faults = append(faults,
			fmt.Errorf("WEBHOOKS_CONCURRENCY is %d; it lies between 1 and %d", c.Concurrency, maxConcurrency))
	}
	if c.PerSubscription < 1 || c.PerSubscription > c.Concurrency {
		faults = append(faults, fmt.Errorf("WEBHOOKS_PER_SUBSCRIPTION is %d; it lies between 1 and WEBHOOKS_CONCURRENCY, %d",
			c.PerSubscription, c.Concurrency))
	}
	if c.Timeout < time.Second {
		faults = append(faults, fmt.Errorf("WEBHOOKS_TIMEOUT is %s; it is at least 1s", c.Timeout))
	}
	if c.Lease < 2*c.Timeout {
		faults = append(faults,
			fmt.Errorf("WEBHOOKS_LEASE is %s; it is at least twice WEBHOOKS_TIMEOUT, %s", c.Lease, c.Timeout))
	}
	if c.DisableAfter < time.Hour {
		faults = append(faults, fmt.Errorf("WEBHOOKS_DISABLE_AFTER is %s; it is at least 1h", c.DisableAfter))
	}
	if c.Retention < minRetention {
		faults = append(faults, fmt.Errorf("WEBHOOKS_RETENTION is %s; it is at least %s", c.Retention, minRetention))
	}
	return errors.Join(faults...)
}
