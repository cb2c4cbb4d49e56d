// Package cache keeps the availability of products in Redis. A reader asks the cache before the database and fills it
// after a miss; each commit invalidates what it changed. The service decides nothing from the cache: a reserve reads
// the stock in the database, under lock. So a wrong value in the cache cannot cause overselling.
//
// # How the cache refuses stale values
//
//   - Versions. For each product Redis keeps a value and the version of the product at each location. A commit raises
//     the versions and drops the value. A slow reader may have read the database before the commit and store its value
//     afterwards: a script compares the versions and refuses the value. Redis keeps the versions for five minutes after
//     a commit, and a reader stores its value within seconds.
//   - Epoch. The epoch is a random name in Redis. A reader can store a value only in the epoch in which it looked the
//     value up. If Redis loses its data (by FLUSHALL, or by a restart without persistence), the versions are lost, and
//     the epoch with them. The next look-up begins a new epoch, so a value that was read before the loss is refused.
//   - Deadlines. When a reservation becomes overdue, its stock counts as available, although nothing is written. So a
//     value is used only until the next deadline of a reservation that holds the stock. Only durations are compared, so
//     the clocks of the database, of this process and of Redis may differ. The call of Redis that stores a value may
//     prolong its use by the time that the call takes.
//   - Failure of Redis. If Redis fails or does not answer in time, this process stops using it immediately, keeps the
//     invalidations that Redis has not accepted, and delivers them in the background. It reads from the cache again
//     after Redis has accepted all of them. If there are too many to keep, it begins a new epoch instead, which makes
//     all stored values unusable.
//
// # What a reader may see
//
// Suppose that process A commits a change and answers its caller. After that answer:
//   - A returns no older stock, even if Redis fails.
//   - Another process returns no older stock either, provided that A could reach Redis.
//   - If A could not reach Redis, another process that can may return older stock, until A has delivered the
//     invalidation or the value has expired, which takes at most 5.5 minutes.
//   - Redis itself may bring old values back, by a fail-over to a replica that was behind or by a restart from a file
//     that misses the last second. They also expire within 5.5 minutes. Run the cache without persistence.
//
// The same holds after any other answer that shows the change, such as a refusal or the answer to a repeated request:
// the process that gives it invalidates the items that it has read.
//
// A single reservation is read from the database. So a client may see a change in a reservation before A has answered,
// and before the availability shows it.
package cache

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/stock"
)

// keyNamespace is part of every key. If you change the encoding of the values, increase its version number: then the
// two releases of a rolling update do not read each other's values.
const keyNamespace = "holdfast:inventory:v4:availability:"

// DefaultTimeout bounds each call of Redis. A slower read is better served by the database.
const DefaultTimeout = 100 * time.Millisecond

var (
	//go:embed get.lua
	getSource string
	//go:embed set.lua
	setSource string
	//go:embed invalidate.lua
	invalidateSource string
)

// Cache is a cache of availability. Its methods do not fail: if Redis fails, they do nothing. It is safe for concurrent
// use.
type Cache struct {
	client    *redis.Client
	log       *slog.Logger
	keyPrefix string // of every key: Options.Prefix and keyNamespace
	timeout   time.Duration
	metrics   *metrics

	// The client sends the hash of a script, and its text only to a server that does not know the hash.
	getScript, setScript, invalidateScript *redis.Script

	state atomic.Int32 // down, catchingUp or inUse; changed under mu

	mu           sync.Mutex
	undelivered  backlog
	redelivering bool // the background goroutine runs
	closed       bool

	running sync.WaitGroup // the background goroutine
	stopCtx context.Context
	stop    context.CancelFunc
}

// Options configures a cache. Only Client is required.
type Options struct {
	Client   *redis.Client
	Log      *slog.Logger
	Registry prometheus.Registerer
	Timeout  time.Duration // of one call; DefaultTimeout if 0
	Prefix   string        // before every key; it separates caches that share a server
}

// New returns a cache. The caller closes it before the client.
func New(o Options) *Cache {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}

	c := &Cache{
		client:           o.Client,
		log:              o.Log,
		keyPrefix:        o.Prefix + keyNamespace,
		timeout:          o.Timeout,
		getScript:        redis.NewScript(getSource),
		setScript:        redis.NewScript(setSource),
		invalidateScript: redis.NewScript(invalidateSource),
		undelivered:      newBacklog(),
	}
	c.metrics = newMetrics(o.Registry, c)
	c.stopCtx, c.stop = context.WithCancel(context.Background())
	c.state.Store(inUse)
	return c
}

// Close stops the background goroutine. If some changes are still undelivered, it invalidates all stored values. If
// that fails too, the values stay until they expire.
func (c *Cache) Close() {
	c.mu.Lock()
	c.closed = true
	c.state.Store(down)
	c.mu.Unlock()

	c.stop()
	c.running.Wait()

	c.mu.Lock()
	undelivered := !c.undelivered.empty()
	c.mu.Unlock()

	if undelivered {
		if err := c.renewEpoch(context.Background()); err != nil {
			c.log.Warn("for some minutes, readers of other replicas may see stock from before the last changes",
				"error", err)
		}
	}
}

// Ping reports whether the cache is in use and answers.
func (c *Cache) Ping(ctx context.Context) error {
	if c.state.Load() != inUse {
		return fmt.Errorf("the cache has failed and is not in use; %d invalidations wait for delivery", c.backlogSize())
	}
	return c.call(ctx, "ping", func(ctx context.Context) error { return c.client.Ping(ctx).Err() })
}

// Answer is what the cache knows of products.
type Answer struct {
	// Epoch must be passed to Set with the values that the caller reads from the database after this answer.
	Epoch  string
	Values map[uuid.UUID]inventoryapi.Availability
	// Missing has the products without a value. The text is opaque and describes the versions that Redis knows of the
	// product. If two answers have the same text, no change of the product was committed and invalidated between them.
	Missing map[uuid.UUID]string
}

// Get looks up distinct products in one round trip. It reports false if the cache cannot answer. Then the caller must
// not fill the cache either.
func (c *Cache) Get(ctx context.Context, products []uuid.UUID) (Answer, bool) {
	if c.state.Load() != inUse {
		c.metrics.requests.WithLabelValues("bypassed").Add(float64(len(products)))
		return Answer{}, false
	}

	newEpoch := uuid.NewString() // the script uses it if Redis has no epoch
	var replies []any
	err := c.call(ctx, "get", func(ctx context.Context) (err error) {
		replies, err = c.getScript.Run(ctx, c.client, c.keysOf(products), newEpoch).Slice()
		if err == nil && len(replies) != len(products)+1 {
			err = fmt.Errorf("%d replies about %d products", len(replies), len(products))
		}
		return err
	})
	if err != nil {
		c.metrics.requests.WithLabelValues("error").Add(float64(len(products)))
		c.stopUsing(err, nil)
		return Answer{}, false
	}

	a := Answer{Values: make(map[uuid.UUID]inventoryapi.Availability, len(products)), Missing: map[uuid.UUID]string{}}
	a.Epoch, _ = replies[0].(string)
	for i, id := range products {
		if raw, ok := replies[i+1].(string); ok {
			if value, ok := decode(id, raw); ok {
				a.Values[id] = value
				continue
			}
		}
		a.Missing[id] = fmt.Sprint(a.Epoch, replies[i+1])
	}

	c.metrics.requests.WithLabelValues("hit").Add(float64(len(a.Values)))
	c.metrics.requests.WithLabelValues("miss").Add(float64(len(a.Missing)))
	return a, true
}

// Set stores values that the caller read from the database after Get had answered with the given epoch. Redis refuses a
// value that is older than the versions it knows by now.
func (c *Cache) Set(ctx context.Context, epoch string, values []stock.Availability) {
	if len(values) == 0 || c.state.Load() != inUse {
		return
	}

	// set.lua describes the arguments.
	products := make([]uuid.UUID, 0, len(values))
	args := []any{epoch}
	for _, v := range values {
		products = append(products, v.ProductID)
		fresh := (v.FreshFor + time.Millisecond - 1).Milliseconds() // rounded up: 0 means without end
		args = append(args, ttl(v.Availability).Milliseconds(), fresh, encode(v.Availability), v.Version, len(v.Locations))
		for _, l := range v.Locations {
			args = append(args, l.Location, l.Version)
		}
	}

	err := c.call(ctx, "set", func(ctx context.Context) error {
		refused, err := c.setScript.Run(ctx, c.client, c.keysOf(products), args...).Int()
		c.metrics.refused.Add(float64(refused))
		return err
	})
	if err != nil {
		c.stopUsing(err, nil)
	}
}

// Change describes the effect of a commit on the stock of a product at one location.
type Change struct {
	Product  uuid.UUID
	Location string
	Version  int64 // after the commit
	Deleted  bool  // the product has no item there any more
}

// Invalidate removes the values that changes made stale. The caller calls it after the commit and before it answers its
// clients. The order of calls does not matter. If Redis is down, Invalidate defers the changes, and this process reads
// nothing from the cache until Redis has accepted them.
func (c *Cache) Invalidate(ctx context.Context, changes []Change) {
	if len(changes) == 0 {
		return
	}
	if c.deferIfDown(changes) {
		return
	}

	if err := c.sendChanges(ctx, changes); err != nil {
		c.stopUsing(err, changes)
		return
	}
	c.metrics.invalidations.WithLabelValues("delivered").Add(float64(len(changes)))
}

// InvalidateAll makes all values unusable. If Redis is down, the background goroutine does it later.
func (c *Cache) InvalidateAll(ctx context.Context) {
	if err := c.renewEpoch(ctx); err != nil {
		c.mu.Lock()
		c.undelivered.everything = true
		c.mu.Unlock()
		c.stopUsing(err, nil)
	}
}

// renewEpoch makes all values unusable, those of other processes included.
func (c *Cache) renewEpoch(ctx context.Context) error {
	return c.call(ctx, "invalidate", func(ctx context.Context) error {
		return c.client.Set(ctx, c.epochKey(), uuid.NewString(), 0).Err()
	})
}

// maxProducts bounds the products of one script: Redis does nothing else while a script runs.
const maxProducts = 256

// sendChanges invalidates the values of the changed products. One run of the script gets all changes of a product.
func (c *Cache) sendChanges(ctx context.Context, changes []Change) error {
	byProduct := make(map[uuid.UUID][]Change, len(changes))
	products := make([]uuid.UUID, 0, len(changes))
	for _, ch := range changes {
		if byProduct[ch.Product] == nil {
			products = append(products, ch.Product)
		}
		byProduct[ch.Product] = append(byProduct[ch.Product], ch)
	}

	for len(products) > 0 {
		part := products[:min(maxProducts, len(products))]
		products = products[len(part):]

		args := []any{versionTTL.Milliseconds()} // invalidate.lua describes the arguments
		for _, p := range part {
			args = append(args, len(byProduct[p]))
			for _, ch := range byProduct[p] {
				args = append(args, ch.field(), ch.Version)
			}
		}

		err := c.call(ctx, "invalidate", func(ctx context.Context) error {
			return c.invalidateScript.Run(ctx, c.client, c.keysOf(part), args...).Err()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// field returns the name under which Redis keeps the version of the change's location; set.lua explains the two names.
func (ch Change) field() string {
	if ch.Deleted {
		return "gone:" + ch.Location
	}
	return "at:" + ch.Location
}

// call runs one command within the cache's timeout. It ignores the caller's deadline: a command that ends because the
// caller left would look like a failure of Redis.
func (c *Cache) call(ctx context.Context, operation string, command func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
	defer cancel()
	start := time.Now()
	err := command(ctx)
	c.metrics.duration.WithLabelValues(operation).Observe(time.Since(start).Seconds())
	return err
}

func (c *Cache) epochKey() string { return c.keyPrefix + "epoch" }

// keysOf returns the keys for a script: the key of the epoch, then those of the products.
func (c *Cache) keysOf(products []uuid.UUID) []string {
	keys := make([]string, 1, len(products)+1)
	keys[0] = c.epochKey()
	var key strings.Builder
	for _, p := range products {
		key.Reset()
		key.WriteString(c.keyPrefix)
		key.WriteString(p.String())
		keys = append(keys, key.String())
	}
	return keys
}
