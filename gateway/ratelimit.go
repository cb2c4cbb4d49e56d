package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-redis/redis_rate/v10"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"

	"holdfast/internal/auth"
	"holdfast/internal/httpx"
	"holdfast/internal/problem"
)

// class is a kind of routes whose requests a client may send at one rate.
type class struct {
	name    string
	perMin  int  // requests a minute, and as many at once after a pause
	ofOwner bool // counted by the token's subject; else by the client's address
}

// classes are the classes of routes.
type classes struct{ reads, writes, orders, admin, webhooks, pages class }

func newClasses(cfg LimitConfig) classes {
	return classes{
		reads:    class{"read", cfg.Reads, true},
		writes:   class{"write", cfg.Writes, true},
		orders:   class{"order", cfg.Orders, true},
		admin:    class{"admin", cfg.Admin, true},
		webhooks: class{"webhook", cfg.Webhooks, false},
		pages:    class{"page", cfg.Reads, false},
	}
}

// of returns the class of a route.
func (c classes) of(r route) class {
	switch {
	case !slices.Contains(r.roles, auth.Customer):
		return c.admin
	case r.method == http.MethodGet:
		return c.reads
	case r.method == http.MethodPost && (r.path == "/api/orders" || r.path == "/api/inventory/reserve"):
		return c.orders
	}
	return c.writes
}

// limiter counts the requests of each client by GCRA, the generic cell rate algorithm: a client that has used up its
// quota gets it back evenly, one request each 60/limit seconds, and not all of it at the end of a window.
//
// The counts are in Redis, one call for a request, so that all gateways together keep the limit, and Redis' clock is
// the only one. While Redis does not answer, each gateway counts by itself. Nothing is refused because of Redis.
type limiter struct {
	shared  *redis_rate.Limiter // nil without Redis
	redis   *gobreaker.CircuitBreaker[*redis_rate.Result]
	timeout time.Duration
	local   *localLimiter
	clients *clients
	metrics limitMetrics
}

type limitMetrics struct{ refused, counted *prometheus.CounterVec }

// redisPause is how long the gateway counts by itself after Redis has failed. Then one request tries Redis again.
const redisPause = time.Second

func newLimiter(
	cfg LimitConfig, client *redis.Client, known *clients, reg prometheus.Registerer, log *slog.Logger,
) *limiter {
	f := promauto.With(reg)
	l := &limiter{
		timeout: cfg.RedisTimeout,
		local:   newLocalLimiter(time.Now()),
		clients: known,
		metrics: limitMetrics{
			refused: f.NewCounterVec(prometheus.CounterOpts{
				Name: "gateway_rate_limited_total",
				Help: "Requests that were refused, because their client had sent too many.",
			}, []string{"class"}),
			counted: f.NewCounterVec(prometheus.CounterOpts{
				Name: "gateway_rate_limit_checks_total",
				Help: "Requests that were counted, by the place of the count: redis (for all gateways) or local.",
			}, []string{"place"}),
		},
	}
	if client == nil {
		return l
	}
	l.shared = redis_rate.NewLimiter(client)
	l.redis = gobreaker.NewCircuitBreaker[*redis_rate.Result](gobreaker.Settings{
		Timeout:     redisPause,
		ReadyToTrip: func(gobreaker.Counts) bool { return true }, // after one failure
		OnStateChange: func(_ string, _, to gobreaker.State) {
			switch to {
			case gobreaker.StateOpen:
				log.Warn("Redis does not answer: this gateway counts requests by itself")
			case gobreaker.StateClosed:
				log.Info("Redis answers again: the gateways count requests together")
			case gobreaker.StateHalfOpen:
			}
		},
	})
	return l
}

// quota is what a client may still send.
type quota struct {
	allowed   bool
	remaining int
	reset     time.Duration // until the whole quota is there again
	retry     time.Duration // until the next request is allowed
}

// limit is a middleware that counts the request and refuses it with 429 if its client has sent too many. Our own
// services, which have a key, and a shop, which orders for many customers, have no limit.
func (l *limiter) limit(of class) gin.HandlerFunc {
	if of.perMin == 0 {
		return func(c *gin.Context) { c.Next() }
	}
	policy := fmt.Sprintf("%q;q=%d;w=60", of.name, of.perMin)
	most := strconv.Itoa(of.perMin)
	refused := l.metrics.refused.WithLabelValues(of.name)
	return func(c *gin.Context) {
		if l.clients.isService(c.Request) || of.ofOwner && auth.From(c).Role == auth.Shop {
			c.Next()
			return
		}
		q := l.take(c.Request.Context(), l.key(c, of), of.perMin)
		h := c.Writer.Header()
		h.Set("RateLimit-Policy", policy)
		h.Set("RateLimit", fmt.Sprintf("%q;r=%d;t=%s", of.name, q.remaining, seconds(q.reset)))
		h.Set("X-RateLimit-Limit", most)
		h.Set("X-RateLimit-Remaining", strconv.Itoa(q.remaining))
		h.Set("X-RateLimit-Reset", seconds(q.reset))
		if !q.allowed {
			refused.Inc()
			h.Set("Retry-After", seconds(q.retry))
			httpx.Fail(c, problem.Common.New(problem.RateLimited,
				"%d requests of the class %q are allowed in a minute; send the same request again after %s seconds",
				of.perMin, of.name, seconds(q.retry)))
			return
		}
		c.Next()
	}
}

// key names the client in the counts. It is a hash, because subjects may be names of people. An IPv6 client usually has
// a whole /64 network of addresses, which counts as one.
func (l *limiter) key(c *gin.Context, of class) string {
	who := network(clientOf(c).address)
	if of.ofOwner {
		id := auth.From(c)
		who = strconv.Itoa(len(id.Issuer)) + ":" + id.Issuer + id.Subject
	}
	sum := sha256.Sum256([]byte(who))
	return of.name + ":" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

func network(address netip.Addr) string {
	if address.Is6() {
		if prefix, err := address.Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return address.String()
}

// take counts one request, in Redis if it answers in time.
func (l *limiter) take(ctx context.Context, key string, perMinute int) quota {
	if l.shared != nil {
		result, err := l.redis.Execute(func() (*redis_rate.Result, error) {
			// The client may leave meanwhile, which must not look like a failure of Redis.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.timeout)
			defer cancel()
			return l.shared.Allow(ctx, key, redis_rate.PerMinute(perMinute))
		})
		if err == nil {
			l.metrics.counted.WithLabelValues("redis").Inc()
			return quota{
				allowed:   result.Allowed > 0,
				remaining: result.Remaining,
				reset:     result.ResetAfter,
				retry:     result.RetryAfter,
			}
		}
	}
	l.metrics.counted.WithLabelValues("local").Inc()
	return l.local.take(key, perMinute, time.Now())
}

// wait returns the time in which a limiter of the given rate gets the missing part of a request back.
func wait(missing, perSecond float64) time.Duration {
	return time.Duration(math.Max(0, missing) / perSecond * float64(time.Second))
}
