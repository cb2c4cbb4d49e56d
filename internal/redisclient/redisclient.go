// Package redisclient opens bounded Redis clients for what a process can do without: whoever uses one
// gives each call a deadline of its own and has another way to go when it passes.
package redisclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Config is where Redis is and how much of it a process may use. The timeouts are ceilings; a call
// whose context ends sooner ends then.
type Config struct {
	URL          string        `env:"REDIS_URL"` // redis:// or rediss://; empty means that there is none
	PoolSize     int           `env:"REDIS_POOL_SIZE" envDefault:"10"`
	DialTimeout  time.Duration `env:"REDIS_DIAL_TIMEOUT" envDefault:"5s"`
	ReadTimeout  time.Duration `env:"REDIS_READ_TIMEOUT" envDefault:"3s"`
	WriteTimeout time.Duration `env:"REDIS_WRITE_TIMEOUT" envDefault:"3s"`
}

// Given reports whether there is a Redis at all.
func (c Config) Given() bool { return c.URL != "" }

// Validate reports every fault; without a URL nothing else matters.
func (c Config) Validate() error {
	if !c.Given() {
		return nil
	}
	var faults []error
	if _, err := redis.ParseURL(c.URL); err != nil {
		// The cause is left out: it may repeat the URL with its password.
		faults = append(faults, errors.New("REDIS_URL is no address of a Redis server, such as redis://127.0.0.1:6379/0"))
	}
	if c.PoolSize < 1 {
		faults = append(faults, fmt.Errorf("REDIS_POOL_SIZE is %d; it is at least 1", c.PoolSize))
	}
	for _, t := range []struct {
		name  string
		value time.Duration
	}{
		{"REDIS_DIAL_TIMEOUT", c.DialTimeout}, {"REDIS_READ_TIMEOUT", c.ReadTimeout}, {"REDIS_WRITE_TIMEOUT", c.WriteTimeout},
	} {
		if t.value <= 0 {
			faults = append(faults, fmt.Errorf("%s is %s; it is more than 0", t.name, t.value))
		}
	}
	return errors.Join(faults...)
}

// Open returns a client under the given name and exports its pool's saturation. It does not wait for
// the server. The caller closes it.
func Open(c Config, name string, log *slog.Logger, reg prometheus.Registerer) (*redis.Client, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	o, err := redis.ParseURL(c.URL)
	if err != nil {
		return nil, errors.New("REDIS_URL is no address of a Redis server") // see Validate
	}
	o.ClientName = "holdfast-" + name
	o.PoolSize, o.MaxActiveConns = c.PoolSize, c.PoolSize // without the second the first is no bound
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = c.DialTimeout, c.ReadTimeout, c.WriteTimeout
	o.ContextTimeoutEnabled = true // else a call's own deadline would not end its reads and writes
	// A failure is told at once: whoever asks has another way to go, and decides when to ask again.
	o.MaxRetries, o.DialerRetries = -1, 1
	// Hosted clusters announce moves by push messages; a single server has none to send.
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.DisableIdentity = true
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	// The library's logger is one for the process. What it says comes back as an error as well.
	redis.SetLogger(debugLog{log})
	client := redis.NewClient(o)
	if reg != nil {
		if err := reg.Register(poolCollector{client}); err != nil {
			return nil, errors.Join(fmt.Errorf("register the Redis pool metrics of %s: %w", name, err), client.Close())
		}
	}
	return client, nil
}

// debugLog keeps the library from writing to standard error each time nobody answers.
type debugLog struct{ log *slog.Logger }

// Printf implements the library's logger.
func (l debugLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, fmt.Sprintf(format, v...))
}
