// Package redisclient opens bounded Redis clients for functions that must also work without Redis: the caller gives
// each call a deadline and has another way if the call fails.
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

	"holdfast/internal/clienttls"
)

// Config says where Redis is and how much of it a process may use. The timeouts are upper bounds: a call ends earlier
// if its context ends.
type Config struct {
	URL          string        `env:"REDIS_URL"` // redis:// or rediss:// (TLS); empty means no Redis
	CA           string        `env:"REDIS_TLS_CA"`
	Certificate  string        `env:"REDIS_TLS_CERTIFICATE"`
	Key          string        `env:"REDIS_TLS_KEY"`
	PoolSize     int           `env:"REDIS_POOL_SIZE" envDefault:"10"`
	DialTimeout  time.Duration `env:"REDIS_DIAL_TIMEOUT" envDefault:"5s"`
	ReadTimeout  time.Duration `env:"REDIS_READ_TIMEOUT" envDefault:"3s"`
	WriteTimeout time.Duration `env:"REDIS_WRITE_TIMEOUT" envDefault:"3s"`
}

// tls are the settings of a connection with TLS.
func (c Config) tls() clienttls.Config {
	return clienttls.Config{CA: c.CA, Certificate: c.Certificate, Key: c.Key}
}

// Given reports whether a Redis is configured.
func (c Config) Given() bool { return c.URL != "" }

// Validate reports every fault. Without a URL it does not check the other fields.
func (c Config) Validate() error {
	if !c.Given() {
		return nil
	}
	var faults []error
	o, err := redis.ParseURL(c.URL)
	if err != nil {
		// The message leaves out the cause, which may repeat the URL with its password.
		faults = append(faults, errors.New("REDIS_URL is no address of a Redis server, such as redis://127.0.0.1:6379/0"))
	} else if o.TLSConfig == nil && c.tls().Given() {
		faults = append(faults, errors.New("REDIS_TLS_* belongs to an address that begins with rediss://"))
	}
	if _, err := c.tls().Build(); err != nil {
		faults = append(faults, fmt.Errorf("REDIS_TLS_*: %w", err))
	}
	if c.PoolSize < 1 {
		faults = append(faults, fmt.Errorf("REDIS_POOL_SIZE is %d; it is at least 1", c.PoolSize))
	}
	for _, t := range []struct {
		name  string
		value time.Duration
	}{
		{"REDIS_DIAL_TIMEOUT", c.DialTimeout},
		{"REDIS_READ_TIMEOUT", c.ReadTimeout},
		{"REDIS_WRITE_TIMEOUT", c.WriteTimeout},
	} {
		if t.value <= 0 {
			faults = append(faults, fmt.Errorf("%s is %s; it is more than 0", t.name, t.value))
		}
	}
	return errors.Join(faults...)
}

// minIdle is how many connections stay open also while nothing needs them.
const minIdle = 2

// Open returns a client under the given name and exports its pool's saturation. It does not wait for the server. The
// caller closes the client.
func Open(c Config, name string, log *slog.Logger, reg prometheus.Registerer) (*redis.Client, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	o, err := redis.ParseURL(c.URL)
	if err != nil {
		return nil, errors.New("REDIS_URL is no address of a Redis server") // see Validate
	}
	if o.TLSConfig != nil {
		host := o.TLSConfig.ServerName
		if o.TLSConfig, err = c.tls().Build(); err != nil {
			return nil, fmt.Errorf("REDIS_TLS_*: %w", err)
		}
		o.TLSConfig.ServerName = host
	}
	o.ClientName = "holdfast-" + name
	o.PoolSize, o.MaxActiveConns = c.PoolSize, c.PoolSize // PoolSize alone does not bound the connections
	o.MinIdleConns = min(minIdle, c.PoolSize)
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = c.DialTimeout, c.ReadTimeout, c.WriteTimeout
	o.ContextTimeoutEnabled = true // without it, the deadline of a call does not end its reads and writes
	// A call fails at once and is not retried: the caller has another way, and decides when to call again.
	o.MaxRetries, o.DialerRetries = -1, 1
	// Only hosted clusters send push messages about moves; a single server sends none.
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.DisableIdentity = true

	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	// The library has one logger for the process. The client also returns the failures that the library logs.
	redis.SetLogger(debugLog{log})

	client := redis.NewClient(o)
	if reg != nil {
		if err := reg.Register(poolCollector{client}); err != nil {
			return nil, errors.Join(fmt.Errorf("register the Redis pool metrics of %s: %w", name, err), client.Close())
		}
	}
	return client, nil
}

// debugLog writes the library's messages to the log at debug level. The library's default logger would write every
// failed connection to standard error.
type debugLog struct{ log *slog.Logger }

// Printf implements the library's logger.
func (l debugLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, fmt.Sprintf(format, v...))
}
