package outbox

import (
	"errors"
	"fmt"
	"time"
)

// Config says how a relay works, from the environment. It applies to the relay of each outbox.
type Config struct {
	// Batch is the largest number of events that a relay leases and publishes at once. It bounds the relay's memory.
	Batch int `env:"EVENTS_BATCH" envDefault:"1000"`
	// Lease is how long other relays leave leased events alone. If a relay dies, its events wait for so long.
	Lease time.Duration `env:"EVENTS_LEASE" envDefault:"30s"`
	// A relay looks for events PollMin after a batch that was not full, and more and more rarely while it finds none, up
	// to PollMax. After a full batch it goes on at once.
	PollMin time.Duration `env:"EVENTS_POLL_MIN" envDefault:"20ms"`
	PollMax time.Duration `env:"EVENTS_POLL_MAX" envDefault:"80ms"`
	// Retention is how long a published event stays in its table, where it shows that the change was announced.
	Retention time.Duration `env:"EVENTS_RETENTION" envDefault:"48h"`
}

// MinRetention is the least retention. A caller may repeat a call for that long, and the repeat must find the event of
// the first call: the outbox's key then refuses a second event, and the archive keeps the reservation.
const MinRetention = 48 * time.Hour

// maxBatch bounds Batch: the confirms and returns of a batch are kept in memory.
const maxBatch = 20_000

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	if c.Batch < 1 || c.Batch > maxBatch {
		faults = append(faults, fmt.Errorf("EVENTS_BATCH is %d; it lies between 1 and %d", c.Batch, maxBatch))
	}
	if c.Lease < time.Second {
		faults = append(faults, fmt.Errorf("EVENTS_LEASE is %s; it is at least 1s", c.Lease))
	}
	if c.PollMin < time.Millisecond {
		faults = append(faults, fmt.Errorf("EVENTS_POLL_MIN is %s; it is at least 1ms", c.PollMin))
	}
	if c.PollMax < c.PollMin {
		faults = append(faults,
			fmt.Errorf("EVENTS_POLL_MAX is %s; it is at least EVENTS_POLL_MIN, %s", c.PollMax, c.PollMin))
	}
	if c.Retention < MinRetention {
		faults = append(faults, fmt.Errorf("EVENTS_RETENTION is %s; it is at least %s", c.Retention, MinRetention))
	}
	return errors.Join(faults...)
}
