// Package ratelimit counts the requests of each client by GCRA, the generic cell rate algorithm: a client that has used
// up its quota gets it back evenly, one request each 60/limit seconds, and not all of it at the end of a window.
package ratelimit

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-redis/redis_rate/v10"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"

	"holdfast/internal/httpx"
	"holdfast/internal/problem"
)

// Config says how many requests a client may send in a minute, from the environment. 0 means no limit.
type Config struct {
	Reads  int `env:"RATE_LIMIT_READS" envDefault:"200"`
	Writes int `env:"RATE_LIMIT_WRITES" envDefault:"100"`
	// RedisTimeout is the longest that a request waits for Redis. Then the process counts by itself.
	RedisTimeout time.Duration `env:"RATE_LIMIT_REDIS_TIMEOUT" envDefault:"50ms"`
}

// Validate reports every fault.
func (c Config) Validate() error {
	faults := []error{CheckLimit("RATE_LIMIT_READS", c.Reads), CheckLimit("RATE_LIMIT_WRITES", c.Writes)}
	if c.RedisTimeout <= 0 {
		faults = append(faults, errors.New("RATE_LIMIT_REDIS_TIMEOUT must be more than 0"))
	}
	return errors.Join(faults...)
}

// CheckLimit refuses a limit below 0.
func CheckLimit(variable string, limit int) error {
	if limit < 0 {
		return fmt.Errorf("%s must be a number of requests a minute, or 0 for no limit", variable)
	}
	return nil
}

// Class is a kind of requests that a client may send at one rate.
type Class struct {
	Name      string
	PerMinute int // requests a minute, and as many at once after a pause; 0 means no limit
}

// Limiter counts the requests of each client. The counts are in Redis, one call for a request, so that all processes of
// a service together keep the limit, and Redis' clock is the only one. While Redis does not answer, each process counts
// by itself. Nothing is refused because of Redis.
type Limiter struct {
	service string
	shared  *redis_rate.Limiter // nil without Redis
	redis   *gobreaker.CircuitBreaker[*redis_rate.Result]
	timeout time.Duration
	local   *localLimiter
	refused *prometheus.CounterVec
	counted *prometheus.CounterVec
}

// Options are what a limiter needs.
type Options struct {
	Service  string        // whose limits these are; it begins the names of the counts and of the metrics
	Redis    *redis.Client // nil: the process counts by itself
	Timeout  time.Duration // the longest that a request waits for Redis
	Log      *slog.Logger
	Registry prometheus.Registerer
}

// redisPause is how long the process counts by itself after Redis has failed. Then one request tries Redis again.
const redisPause = time.Second

// New returns a limiter.
func New(o Options) *Limiter {
	f := promauto.With(o.Registry)
	l := &Limiter{
		service: o.Service,
		timeout: o.Timeout,
		local:   newLocalLimiter(time.Now()),
		refused: f.NewCounterVec(prometheus.CounterOpts{
			Name: o.Service + "_rate_limited_total",
			Help: "Requests that were refused, because their client had sent too many.",
		}, []string{"class"}),
		counted: f.NewCounterVec(prometheus.CounterOpts{
			Name: o.Service + "_rate_limit_checks_total",
			Help: "Requests that were counted, by the place of the count: redis (for all processes) or local.",
		}, []string{"place"}),
	}
	if o.Redis == nil {
		return l
	}
	l.shared = redis_rate.NewLimiter(o.Redis)
	l.redis = gobreaker.NewCircuitBreaker[*redis_rate.Result](gobreaker.Settings{
		Timeout:     redisPause,
		ReadyToTrip: func(gobreaker.Counts) bool { return true }, // after one failure
		OnStateChange: func(_ string, _, to gobreaker.State) {
			switch to {
			case gobreaker.StateOpen:
				o.Log.Warn("Redis does not answer: this process counts requests by itself")
			case gobreaker.StateClosed:
				o.Log.Info("Redis answers again: the processes count requests together")
			case gobreaker.StateHalfOpen:
			}
		},
	})
	return l
}

// Quota is what a client may still send.
type Quota struct {
	Allowed   bool
	Remaining int
	Reset     time.Duration // until the whole quota is there again
	Retry     time.Duration // until the next request is allowed; 0 if this one is
}

// Limit is a middleware that counts the request and refuses it with 429 if its client has sent too many. client names
// the client; a request for which it returns "" is not limited.
func (l *Limiter) Limit(of Class, client func(*gin.Context) string) gin.HandlerFunc {
	if of.PerMinute == 0 {
		return func(*gin.Context) {}
	}
	policy := fmt.Sprintf("%q;q=%d;w=60", of.Name, of.PerMinute)
	most := strconv.Itoa(of.PerMinute)
	refused := l.refused.WithLabelValues(of.Name)
	return func(c *gin.Context) {
		who := client(c)
		if who == "" {
			return
		}
		q := l.Take(c.Request.Context(), l.key(of, who), of.PerMinute)
		h := c.Writer.Header()
		h.Set("RateLimit-Policy", policy)
		h.Set("RateLimit", fmt.Sprintf("%q;r=%d;t=%s", of.Name, q.Remaining, httpx.Seconds(q.Reset)))
		h.Set("X-RateLimit-Limit", most)
		h.Set("X-RateLimit-Remaining", strconv.Itoa(q.Remaining))
		h.Set("X-RateLimit-Reset", httpx.Seconds(q.Reset))
		if !q.Allowed {
			refused.Inc()
			h.Set("Retry-After", httpx.Seconds(q.Retry))
			httpx.Fail(c, problem.Common.New(problem.RateLimited,
				"%d requests of the class %q are allowed in a minute; send the same request again after %s seconds",
				of.PerMinute, of.Name, httpx.Seconds(q.Retry)))
		}
	}
}

// key names the client in the counts. It is a hash, because subjects may be names of people.
func (l *Limiter) key(of Class, client string) string {
	sum := sha256.Sum256([]byte(client))
	return l.service + ":" + of.Name + ":" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Address names a client by its address. An IPv6 client usually has a whole /64 network of addresses, which counts as
// one.
func Address(address netip.Addr) string {
	if address.Is6() {
		if prefix, err := address.Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return address.String()
}

// Take counts one request under a key, in Redis if it answers in time.
func (l *Limiter) Take(ctx context.Context, key string, perMinute int) Quota {
	if l.shared != nil {
		result, err := l.redis.Execute(func() (*redis_rate.Result, error) {
			// The client may leave meanwhile, which must not look like a failure of Redis.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.timeout)
			defer cancel()
			return l.shared.Allow(ctx, key, redis_rate.PerMinute(perMinute))
		})
		if err == nil {
			l.counted.WithLabelValues("redis").Inc()
			return Quota{
				Allowed:   result.Allowed > 0,
				Remaining: result.Remaining,
				Reset:     result.ResetAfter,
				Retry:     max(0, result.RetryAfter),
			}
		}
	}
	l.counted.WithLabelValues("local").Inc()
	return l.local.take(key, perMinute, time.Now())
}

// wait returns the time in which a limiter of the given rate gets the missing part of a request back.
func wait(missing, perSecond float64) time.Duration {
	return time.Duration(math.Max(0, missing) / perSecond * float64(time.Second))
}
