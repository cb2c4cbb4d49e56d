// Package gateway is the only entry point for clients. It verifies tokens, drops the headers that clients must not set,
// limits how much each client sends, and forwards each request to an instance of the service that it belongs to.
//
// A request passes these files in this order: client.go (who sends it), answer.go (headers of the answer), cors.go,
// strict.go (requests with two meanings), ratelimit.go, access.go (roles), proxy.go or stream.go, retry.go, breaker.go,
// balance.go. Its answer passes readahead.go and compress.go.
package gateway

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast/internal/httpx"
	"holdfast/internal/service"
)

// Contracts are the OpenAPI documents of the services behind the gateway. They say which operations the gateway
// offers, to which roles, and within which limits (routes).
type Contracts struct{ API, Inventory, DeadMessages, Webhooks, Notifications []byte }

// Run returns the process: it serves clients until ctx ends, then fails readiness and waits for requests under way.
func Run(contracts Contracts) func(context.Context, Config, service.Env) error {
	return func(ctx context.Context, cfg Config, env service.Env) (err error) {
		transport := newTransport()
		defer transport.CloseIdleConnections()
		g, err := newGateway(ctx, cfg, env, env.Tracing.Transport(transport), contracts)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, g.close()) }()

		parts := []service.Part{{Name: "listeners", Run: func(ctx context.Context) error {
			return g.serve(ctx, env.OnListen)
		}}}
		for _, u := range []*upstream{g.api, g.inventory, g.events} {
			parts = append(parts, service.Part{Name: "health of " + u.name, Run: func(ctx context.Context) error {
				u.watch(ctx)
				return nil
			}})
		}
		return service.Run(ctx, parts...)
	}
}

// newTransport returns how the gateway connects to services. It uses no proxy of the environment, because the services
// are in our own network.
func newTransport() *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    2 * time.Second,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        90 * time.Second, // less than a service's own
		MaxResponseHeaderBytes: 256 << 10,
		DisableCompression:     true, // the gateway passes on what the client accepts
	}
}

// serve serves clients and operators until ctx ends. Operators are served until the last client's request has ended, so
// that /ready tells a load balancer meanwhile that the gateway is stopping.
func (g *gateway) serve(ctx context.Context, onListen func(net.Addr)) error {
	both, public := errgroup.WithContext(ctx)
	private, stop := context.WithCancel(context.WithoutCancel(ctx))
	both.Go(func() error {
		defer stop()
		return httpx.Server{
			Addr:     g.cfg.Listen,
			Handler:  g.router,
			Health:   g.health,
			Log:      g.log,
			OnListen: onListen,
		}.Serve(public)
	})
	both.Go(func() error {
		return httpx.Server{
			Addr:    g.cfg.PrivateListen,
			Handler: httpx.OperatorHandler(g.health, g.metrics),
			Health:  g.health,
			Log:     g.log,
			Says:    "listening for operators",
		}.Serve(private)
	})
	return both.Wait()
}
