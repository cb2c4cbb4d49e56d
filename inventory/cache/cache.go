// Package cache keeps the availability of products in Redis, beside the database: a reader asks it first and fills it
// after a miss, and each commit invalidates it. The service decides nothing by it: a reserve reads the stock under
// lock, or checks its version, in the database. So the cache can never cause overselling.
//
// # What keeps it right
//
//   - Every value has the version of each of its locations. A commit raises the known versions and drops the value. If
//     a reader comes late and stores what it read before the commit, a script that compares and stores in one step
//     refuses the value. The versions outlive the value: Redis keeps them for five minutes after a commit, while no
//     reader holds a value for more than seconds.
//   - A reader can store a value only in the epoch in which it looked the value up. If Redis loses its data, it loses
//     the epoch's name too. So no old value gets in after FLUSHALL or the restart of an empty server, which both forget
//     the versions.
//   - If Redis fails, or does not answer in time, this process stops using it at once, remembers the invalidations that
//     Redis has not taken, and asks again in the background. It reads from the cache again when Redis has taken all of
//     them. If there are too many to remember, a new epoch makes all stored values unusable.
//
// # What a reader may see
//
// After a commit's answer this process never returns older stock, whether Redis answers or not. Another replica returns
// no older stock either while the process that committed reaches Redis. The same holds after the answer of any
// operation that found the commit, such as a refusal or a repeated request: the process that answers invalidates the
// items that it found. (The service reads a single reservation from the database, so a reservation may show a commit
// before the commit has an answer, and before availability shows it.)
//
// While a process does not reach Redis, another replica that reaches it may return values from before the commit, until
// the invalidation is delivered or, at the latest, until the value's time to live is over: 5.5 minutes. The same bound
// holds for values that Redis itself brings back, by a fail-over to a replica that was behind or by a restart from a
// file that misses the last second. Run the cache without persistence.
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
)

// prefix begins every key. Its number is the version of the value's form. A change of the form raises it, so that the
// two releases of a rolling update do not read each other's values.
const prefix = "holdfast:inventory:v2:availability:"

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
	client  *redis.Client
	log     *slog.Logger
	keys    string // the prefix of all keys
	timeout time.Duration
	metrics *metrics

	get, set, invalidate *redis.Script // sent by their hash, and in full to a server that has not seen it

	state atomic.Int32 // away, catchingUp or inUse; changed under mu

	mu          sync.Mutex
	undelivered backlog
	redelivers  bool // whether the background goroutine runs
	closed      bool
	running     sync.WaitGroup
	life        context.Context
	end         context.CancelFunc
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
		client:      o.Client,
		log:         o.Log,
		keys:        o.Prefix + prefix,
		timeout:     o.Timeout,
		get:         redis.NewScript(getSource),
		set:         redis.NewScript(setSource),
		invalidate:  redis.NewScript(invalidateSource),
		undelivered: newBacklog(),
	}
	c.metrics = newMetrics(o.Registry, c)
	c.life, c.end = context.WithCancel(context.Background())
	c.state.Store(inUse)
	return c
}

// Close stops the background goroutine. If some changes are still undelivered, it invalidates all stored values. If
// Redis does not take that either, the values stay until their time to live ends.
func (c *Cache) Close() {
	c.mu.Lock()
	c.closed = true
	c.state.Store(away)
	c.mu.Unlock()
	c.end()
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
		return fmt.Errorf("the cache is not used since it failed; %d invalidations are to be delivered", c.backlogSize())
	}
	return c.call(ctx, "ping", func(ctx context.Context) error { return c.client.Ping(ctx).Err() })
}

// Answer is what the cache knows of products.
type Answer struct {
	// Epoch must be passed to Set with the values that the caller reads from the database after this answer.
	Epoch  string
	Values map[uuid.UUID]inventoryapi.Availability
	// Missing has, for each product without a value, what Redis knows of its versions, as an opaque text. If the text is
	// the same in two answers, no change of the product was committed and invalidated between them.
	Missing map[uuid.UUID]string
}

// Get looks up distinct products in one round trip. It reports false if the cache cannot answer. Then the caller must
// not fill the cache either.
func (c *Cache) Get(ctx context.Context, products []uuid.UUID) (Answer, bool) {
	if c.state.Load() != inUse {
		c.metrics.requests.WithLabelValues("bypassed").Add(float64(len(products)))
		return Answer{}, false
	}
	var replies []any
	err := c.call(ctx, "get", func(ctx context.Context) (err error) {
		replies, err = c.get.Run(ctx, c.client, c.keysOf(products), uuid.NewString()).Slice()
		if err == nil && len(replies) != len(products)+1 {
			err = fmt.Errorf("%d replies about %d products", len(replies), len(products))
		}
		return err
	})
	if err != nil {
		c.metrics.requests.WithLabelValues("error").Add(float64(len(products)))
		c.fail(err, nil)
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

// Set stores values that the caller read from the database after Get had answered with the given epoch. It refuses
// values that are older than the versions known by now.
func (c *Cache) Set(ctx context.Context, epoch string, values []inventoryapi.Availability) {
	if len(values) == 0 || c.state.Load() != inUse {
		return
	}
	products, args := make([]uuid.UUID, 0, len(values)), []any{epoch}
	for _, v := range values {
		products = append(products, v.ProductID)
		args = append(args, ttl(v).Milliseconds(), encode(v), v.Version, len(v.Locations))
		for _, l := range v.Locations {
			args = append(args, l.Location, l.Version)
		}
	}
	err := c.call(ctx, "set", func(ctx context.Context) error {
		refused, err := c.set.Run(ctx, c.client, c.keysOf(products), args...).Int()
		c.metrics.refused.Add(float64(refused))
		return err
	})
	if err != nil {
		c.fail(err, nil)
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
// clients. The order of calls does not matter. If Redis does not take the changes, the cache remembers them, and this
// process reads nothing from the cache until Redis has them.
func (c *Cache) Invalidate(ctx context.Context, changes []Change) {
	if len(changes) == 0 {
		return
	}
	if c.remember(changes) {
		return
	}
	if err := c.send(ctx, changes); err != nil {
		c.fail(err, changes)
		return
	}
	c.metrics.invalidations.WithLabelValues("delivered").Add(float64(len(changes)))
}

// InvalidateAll removes all values. If Redis does not take that, the cache remembers it like any other change.
func (c *Cache) InvalidateAll(ctx context.Context) {
	if err := c.renewEpoch(ctx); err != nil {
		c.mu.Lock()
		c.undelivered.everything = true
		c.mu.Unlock()
		c.fail(err, nil)
	}
}

// renewEpoch makes all values unusable, those of other processes included.
func (c *Cache) renewEpoch(ctx context.Context) error {
	return c.call(ctx, "invalidate", func(ctx context.Context) error {
		return c.client.Set(ctx, c.epochKey(), uuid.NewString(), 0).Err()
	})
}

// maxKeys bounds the products of one script: Redis does nothing else while a script runs.
const maxKeys = 256

// send invalidates the values of the changed products. All changes of a product go in one step.
func (c *Cache) send(ctx context.Context, changes []Change) error {
	byProduct := make(map[uuid.UUID][]Change, len(changes))
	products := make([]uuid.UUID, 0, len(changes))
	for _, ch := range changes {
		if byProduct[ch.Product] == nil {
			products = append(products, ch.Product)
		}
		byProduct[ch.Product] = append(byProduct[ch.Product], ch)
	}
	for len(products) > 0 {
		part := products[:min(maxKeys, len(products))]
		products = products[len(part):]
		args := []any{remembered.Milliseconds()}
		for _, p := range part {
			args = append(args, len(byProduct[p]))
			for _, ch := range byProduct[p] {
				args = append(args, ch.field(), ch.Version)
			}
		}
		err := c.call(ctx, "invalidate", func(ctx context.Context) error {
			return c.invalidate.Run(ctx, c.client, c.keysOf(part), args...).Err()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (ch Change) field() string {
	if ch.Deleted {
		return "gone:" + ch.Location
	}
	return "at:" + ch.Location
}

// call runs one command with a deadline of its own, which is short. The caller's deadline does not apply, because its
// end would look like a failure of Redis.
func (c *Cache) call(ctx context.Context, operation string, command func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
	defer cancel()
	start := time.Now()
	err := command(ctx)
	c.metrics.duration.WithLabelValues(operation).Observe(time.Since(start).Seconds())
	return err
}

func (c *Cache) epochKey() string { return c.keys + "epoch" }

// keysOf returns the keys for a script: the key of the epoch, then those of the products.
func (c *Cache) keysOf(products []uuid.UUID) []string {
	keys := make([]string, 1, len(products)+1)
	keys[0] = c.epochKey()
	var key strings.Builder
	for _, p := range products {
		key.Reset()
		key.WriteString(c.keys)
		key.WriteString(p.String())
		keys = append(keys, key.String())
	}
	return keys
}
