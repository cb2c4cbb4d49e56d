package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"holdfast/internal/auth"
	"holdfast/internal/httpx"
	"holdfast/internal/ratelimit"
	"holdfast/internal/redisclient"
	"holdfast/internal/service"
	"holdfast/internal/servicetoken"
)

// webhookTimeout is how long the api may take to process an event of the payment provider.
const webhookTimeout = 15 * time.Second

// docsTimeout is how long the api may take to answer with a page of its documentation.
const docsTimeout = 5 * time.Second

// gateway is the wired process.
type gateway struct {
	cfg       Config
	log       *slog.Logger
	metrics   *prometheus.Registry
	router    *httpx.Router
	health    *httpx.Health
	redis     *redis.Client // nil if none is configured
	clients   *clients
	verifier  *auth.Verifier
	limits    *ratelimit.Limiter
	api       *upstream
	inventory *upstream
	events    *upstream
}

// newGateway wires a gateway. When ctx ends, it ends the streams that it forwards. The caller closes it.
func newGateway(
	ctx context.Context, cfg Config, env service.Env, transport http.RoundTripper, contracts Contracts,
) (_ *gateway, err error) {
	g := &gateway{cfg: cfg, log: env.Log, metrics: env.Registry}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	if g.clients, err = newClients(cfg); err != nil {
		return nil, fmt.Errorf("TRUSTED_PROXIES: %w", err)
	}
	if g.verifier, err = auth.NewVerifier(ctx, cfg.Auth, env.Log); err != nil {
		return nil, err
	}
	if cfg.Redis.Given() {
		if g.redis, err = redisclient.Open(cfg.Redis, "gateway", env.Log, env.Registry); err != nil {
			return nil, err
		}
		if err = env.Tracing.Redis(g.redis); err != nil {
			return nil, err
		}
	}
	g.limits = ratelimit.New(ratelimit.Options{
		Service:  "gateway",
		Redis:    g.redis,
		Timeout:  cfg.Limits.RedisTimeout,
		Log:      env.Log,
		Registry: env.Registry,
	})
	g.verifier.LimitRefusals(g.limit(newClasses(cfg.Limits).unknown))

	metrics := newUpstreamMetrics(env.Registry)
	for _, s := range []struct {
		name      string
		addresses []string
		into      **upstream
	}{
		{"api", cfg.APIURL, &g.api},
		{"inventory", cfg.InventoryURL, &g.inventory},
		{"events", cfg.EventsURL, &g.events},
	} {
		if *s.into, err = newUpstream(s.name, s.addresses, cfg.Upstream, transport, metrics, env.Log); err != nil {
			return nil, err
		}
	}

	large, err := largeBodies(contracts)
	if err != nil {
		return nil, err
	}
	g.health = g.checks()
	g.router = httpx.NewRouter(httpx.Options{
		Log:         env.Log,
		Registry:    env.Registry,
		Health:      g.health,
		LargeBodies: large,
		Public:      true,
		Tracing:     env.Tracing,
		Edge:        g.edge(),
	})
	return g, g.route(ctx, contracts)
}

// close gives up what the gateway has opened.
func (g *gateway) close() error {
	if g.redis == nil {
		return nil
	}
	return g.redis.Close()
}

// edge returns the middleware that runs before all others, for every request.
func (g *gateway) edge() []gin.HandlerFunc {
	out := []gin.HandlerFunc{g.clients.identify, secure}
	if cross := crossOrigin(g.cfg.CORS); cross != nil {
		out = append(out, cross)
	}
	return append(out, strict)
}

// checks are what /ready asks.
func (g *gateway) checks() *httpx.Health {
	all := []httpx.Check{
		{Name: "token_keys", Required: true, Probe: g.verifier.Ready},
		{Name: "api", Required: true, Probe: g.api.alive},
		{Name: "inventory", Required: true, Probe: g.inventory.alive},
		// Orders work without it: events wait in the outbox.
		{Name: "events", Probe: g.events.alive},
	}
	if g.redis != nil {
		// Without it, each gateway counts requests by itself.
		ping := func(ctx context.Context) error { return g.redis.Ping(ctx).Err() }
		all = append(all, httpx.Check{Name: "redis", Probe: ping})
	}
	return httpx.NewHealth(all...)
}

// route adds the public routes, and the routes of the contracts.
func (g *gateway) route(ctx context.Context, contracts Contracts) error {
	api, err := newProxy(g.api, g.log)
	if err != nil {
		return err
	}
	inventory, err := newProxy(g.inventory, g.log)
	if err != nil {
		return err
	}
	events, err := newProxy(g.events, g.log)
	if err != nil {
		return err
	}

	classes := newClasses(g.cfg.Limits)
	public := g.router.Group("")
	public.GET("/docs", g.limit(classes.pages), forward(api, docsTimeout))
	public.GET("/docs/*file", g.limit(classes.pages), forward(api, docsTimeout))
	// Signed by the payment provider, and by carriers.
	public.POST("/webhooks/payments", g.limit(classes.webhooks), forward(api, webhookTimeout))
	public.POST("/webhooks/carriers", g.limit(classes.webhooks), forward(api, webhookTimeout))

	private, vouch := g.router.Group("", g.verifier.Require), newVoucher(g.cfg.Internal)
	for _, c := range []struct {
		name    string
		spec    []byte
		to      *proxy
		service string // for which the gateway vouches
	}{
		{"api", contracts.API, api, servicetoken.API},
		{"inventory", contracts.Inventory, inventory, servicetoken.Inventory},
		{"dead messages", contracts.DeadMessages, events, servicetoken.Events},
		{"webhooks", contracts.Webhooks, events, servicetoken.Events},
		{"notifications", contracts.Notifications, events, servicetoken.Events},
	} {
		offered, err := routes(c.spec)
		if err != nil {
			return fmt.Errorf("the contract of %s: %w", c.name, err)
		}
		for _, r := range offered {
			handler := forward(c.to, r.timeout)
			if r.streamed {
				handler = forwardStream(ctx, c.to, r.timeout)
			}
			private.Handle(r.method, r.path, g.limit(classes.of(r)), r.allow, vouch.to(c.service), handler)
		}
	}
	return nil
}

// largeBodies returns the body limits of the routes in all contracts whose bodies may be larger than others.
func largeBodies(contracts Contracts) (map[string]int64, error) {
	out := map[string]int64{}
	for _, spec := range [][]byte{
		contracts.API, contracts.Inventory, contracts.DeadMessages, contracts.Webhooks, contracts.Notifications,
	} {
		contract, err := httpx.ReadContract(spec)
		if err != nil {
			return nil, err
		}
		maps.Copy(out, contract.LargeBodies())
	}
	return out, nil
}
