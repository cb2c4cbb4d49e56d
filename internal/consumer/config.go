package consumer

import (
	"errors"
	"fmt"
	"time"
)

// Config says how the consumers work, from the environment. It applies to each of them.
type Config struct {
	// Prefetch is how many messages a consumer has at a time, and Workers how many of them it processes at once.
	Prefetch int `env:"EVENTS_PREFETCH" envDefault:"64"`
	Workers  int `env:"EVENTS_WORKERS" envDefault:"8"`
	// MaxAttempts is how often a consumer tries a message before the message is dead. With the delays between attempts,
	// ten attempts last half an hour: longer than most outages of what the consumer calls.
	MaxAttempts int `env:"EVENTS_MAX_ATTEMPTS" envDefault:"10"`
	// Timeout limits one attempt.
	Timeout time.Duration `env:"EVENTS_ATTEMPT_TIMEOUT" envDefault:"15s"`
	// InboxRetention is how long a consumer remembers an event. A message that comes again later is processed again.
	InboxRetention time.Duration `env:"EVENTS_INBOX_RETENTION" envDefault:"720h"`
}

// minInboxRetention is longer than a published event stays in the outbox and a message in a retry queue.
const minInboxRetention = 7 * 24 * time.Hour

// maxPrefetch bounds the memory of a consumer.
const maxPrefetch = 1000

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	if c.Prefetch < 1 || c.Prefetch > maxPrefetch {
		faults = append(faults, fmt.Errorf("EVENTS_PREFETCH is %d; it lies between 1 and %d", c.Prefetch, maxPrefetch))
	}
	if c.Workers < 1 || c.Workers > c.Prefetch {
		faults = append(faults,
			fmt.Errorf("EVENTS_WORKERS is %d; it lies between 1 and EVENTS_PREFETCH, %d", c.Workers, c.Prefetch))
	}
	if c.MaxAttempts < 1 {
		faults = append(faults, fmt.Errorf("EVENTS_MAX_ATTEMPTS is %d; it is at least 1", c.MaxAttempts))
	}
	if c.Timeout < time.Second {
		faults = append(faults, fmt.Errorf("EVENTS_ATTEMPT_TIMEOUT is %s; it is at least 1s", c.Timeout))
	}
	if c.InboxRetention < minInboxRetention {
		faults = append(faults,
			fmt.Errorf("EVENTS_INBOX_RETENTION is %s; it is at least %s", c.InboxRetention, minInboxRetention))
	}
	return errors.Join(faults...)
}
