// Package gateway is the only entry point for clients. It verifies tokens, drops the headers that clients must not set,
// and forwards each request to the service that it belongs to.
package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"holdfast/internal/auth"
	"holdfast/internal/correlation"
	"holdfast/internal/httpx"
	"holdfast/internal/problem"
	"holdfast/internal/service"
	"holdfast/internal/servicekey"
	"holdfast/internal/servicetoken"
)

// Config is the gateway's configuration, from the environment.
type Config struct {
	Listen       string   `env:"GATEWAY_LISTEN" envDefault:":3000"`
	APIURL       string   `env:"API_URL" envDefault:"http://127.0.0.1:3001"`
	InventoryURL string   `env:"INVENTORY_URL" envDefault:"http://127.0.0.1:8080"`
	EventsURL    string   `env:"EVENTS_URL" envDefault:"http://127.0.0.1:9091"`
	ServiceKeys  []string `env:"SERVICE_API_KEYS,required,notEmpty"`
	Internal     servicetoken.Config
	Auth         auth.Config
}

// Validate checks the rules that the tags cannot express, and reports all faults together.
func (c *Config) Validate() error {
	var faults []error
	for name, raw := range map[string]string{
		"API_URL": c.APIURL, "INVENTORY_URL": c.InventoryURL, "EVENTS_URL": c.EventsURL,
	} {
		if u, err := url.Parse(raw); err != nil || u.Host == "" {
			faults = append(faults, fmt.Errorf("%s must be an address as in http://127.0.0.1:3001", name))
		}
	}
	return errors.Join(faults...)
}

// Contracts are the OpenAPI documents of the services behind the gateway. They say which operations the gateway
// offers, to which roles, and within which limits (routes).
type Contracts struct{ API, Inventory, DeadMessages, Webhooks, Notifications []byte }

// Run returns the process: it serves clients until ctx ends, then fails readiness and waits for requests under way.
func Run(contracts Contracts) func(context.Context, Config, service.Env) error {
	return func(ctx context.Context, cfg Config, env service.Env) error {
		transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // documented type
		transport.MaxIdleConnsPerHost = 128
		transport.DialContext = (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 30 * time.Second}).DialContext
		defer transport.CloseIdleConnections()

		router, health, err := newRouter(ctx, cfg, env, transport, contracts)
		if err != nil {
			return err
		}
		server := httpx.Server{
			Addr:     cfg.Listen,
			Handler:  router,
			Health:   health,
			Log:      env.Log,
			OnListen: env.OnListen,
		}
		return server.Serve(ctx)
	}
}

// webhookTimeout is how long the api may take to process an event of the payment provider.
const webhookTimeout = 15 * time.Second

// docsTimeout is how long the api may take to answer with a page of its documentation.
const docsTimeout = 5 * time.Second

// newRouter returns the gateway's routes. When ctx ends, they end the streams that they forward.
func newRouter(
	ctx context.Context, cfg Config, env service.Env, transport http.RoundTripper, contracts Contracts,
) (*httpx.Router, *httpx.Health, error) {
	api, err := url.Parse(cfg.APIURL)
	if err != nil {
		return nil, nil, fmt.Errorf("parse API_URL: %w", err)
	}
	inventory, err := url.Parse(cfg.InventoryURL)
	if err != nil {
		return nil, nil, fmt.Errorf("parse INVENTORY_URL: %w", err)
	}
	events, err := url.Parse(cfg.EventsURL)
	if err != nil {
		return nil, nil, fmt.Errorf("parse EVENTS_URL: %w", err)
	}

	toAPI, err := routes(contracts.API)
	if err != nil {
		return nil, nil, fmt.Errorf("the contract of api: %w", err)
	}
	toInventory, err := routes(contracts.Inventory)
	if err != nil {
		return nil, nil, fmt.Errorf("the contract of inventory: %w", err)
	}
	toEvents, err := routes(contracts.DeadMessages)
	if err != nil {
		return nil, nil, fmt.Errorf("the contract of dead messages: %w", err)
	}
	toWebhooks, err := routes(contracts.Webhooks) // the same process
	if err != nil {
		return nil, nil, fmt.Errorf("the contract of webhooks: %w", err)
	}
	ofNotifications, err := routes(contracts.Notifications)
	if err != nil {
		return nil, nil, fmt.Errorf("the contract of notifications: %w", err)
	}
	toEvents = append(toEvents, ofNotifications...)
	large, err := largeBodies(contracts)
	if err != nil {
		return nil, nil, err
	}

	verifier, err := auth.NewVerifier(ctx, cfg.Auth, env.Log)
	if err != nil {
		return nil, nil, err
	}
	health := httpx.NewHealth(
		httpx.Check{Name: "token_keys", Required: true, Probe: verifier.Ready},
		httpx.Check{Name: "api", Required: true, Probe: alive(transport, api)},
		httpx.Check{Name: "inventory", Required: true, Probe: alive(transport, inventory)},
		// Orders work without it: events wait in the outbox.
		httpx.Check{Name: "events", Probe: alive(transport, events)},
	)
	router := httpx.NewRouter(httpx.Options{
		Log: env.Log, Registry: env.Registry, Health: health, LargeBodies: large,
	})

	apiProxy := proxy(api, transport, env.Log)
	eventsProxy := proxy(events, transport, env.Log)
	inventoryProxy := proxy(inventory, transport, env.Log)

	public := router.Group("")
	public.GET("/docs", forward(apiProxy, docsTimeout))
	public.GET("/docs/*file", forward(apiProxy, docsTimeout))
	public.POST("/webhooks/payments", forward(apiProxy, webhookTimeout)) // signed by the payment provider
	public.POST("/webhooks/carriers", forward(apiProxy, webhookTimeout)) // signed by the carriers

	private := router.Group("", verifier.Require)
	vouch := newVoucher(cfg.Internal)
	for _, r := range toAPI {
		handler := forward(apiProxy, r.timeout)
		if r.streamed {
			handler = forwardStream(ctx, apiProxy, r.timeout)
		}
		private.Handle(r.method, r.path, r.allow, vouch.to(servicetoken.API), handler)
	}
	for _, r := range toInventory {
		private.Handle(r.method, r.path, r.allow, vouch.to(servicetoken.Inventory), forward(inventoryProxy, r.timeout))
	}
	for _, r := range slices.Concat(toEvents, toWebhooks) {
		private.Handle(r.method, r.path, r.allow, vouch.to(servicetoken.Events), forward(eventsProxy, r.timeout))
	}
	return router, health, nil
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

// identityHeaders are the headers that only our own services may set. The gateway removes them from clients' requests,
// and the client's own token, which is for the gateway only.
var identityHeaders = []string{
	"Authorization", servicetoken.Header, servicekey.Header, servicekey.SourceHeader,
	"X-User-Id", "X-User-Role", "X-Forwarded-User", "X-Internal", actorHeader,
}

// proxy returns a proxy for one service. It sends along for whom the gateway vouches (voucher).
//
// Headers are set in Rewrite, because ReverseProxy removes the headers that a client lists in Connection before it
// calls Rewrite. So a client cannot remove one of our headers.
func proxy(target *url.URL, transport http.RoundTripper, log *slog.Logger) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
			for _, name := range identityHeaders {
				r.Out.Header.Del(name)
			}
			r.Out.Header.Set(correlation.Header, correlation.From(r.In.Context()))
			nameUser(r)
		},
		// The gateway has already set this header on the response. Without this, the client would get it twice.
		ModifyResponse: func(res *http.Response) error {
			res.Header.Del(correlation.Header)
			return nil
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// forward sends the request to the service and waits for the answer until timeout. It reads the whole body first, so
// that a client that sends slowly does not use up the service's time.
func forward(p *httputil.ReverseProxy, timeout time.Duration) gin.HandlerFunc {
	return func(c *gin.Context) {
		body, err := httpx.ReadBody(c)
		if err != nil {
			httpx.Fail(c, err)
			return
		}

		ctx, cancel := context.WithTimeout(c.Request.Context(), timeout)
		defer cancel()

		out := c.Request.WithContext(ctx)
		out.Body = http.NoBody
		if len(body) > 0 {
			out.Body = io.NopCloser(bytes.NewReader(body))
		}
		out.ContentLength = int64(len(body))
		out.TransferEncoding = nil

		requestProxy := *p // a copy, because the error handler needs this request's c
		requestProxy.ErrorHandler = func(_ http.ResponseWriter, _ *http.Request, err error) {
			httpx.Fail(c, upstreamProblem(ctx, err, timeout))
		}
		requestProxy.ServeHTTP(c.Writer, out)
	}
}

func upstreamProblem(ctx context.Context, err error, timeout time.Duration) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return problem.Common.New(problem.UpstreamTimeout, "the service did not answer within %s; "+
			"send the same request again, with its Idempotency-Key if it has one", timeout)
	case errors.Is(ctx.Err(), context.Canceled):
		return err // the client has left: httpx.Fail says so
	}
	return problem.Common.New(problem.Unavailable, "the service cannot be reached; "+
		"send the same request again, with its Idempotency-Key if it has one")
}

// alive asks a service's /health. It does not ask about the service's dependencies: the service reports those itself.
func alive(transport http.RoundTripper, target *url.URL) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.JoinPath("/health").String(), nil)
		if err != nil {
			return err
		}
		res, err := transport.RoundTrip(req)
		if err != nil {
			return err
		}
		defer res.Body.Close() //nolint:errcheck // nothing was written
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("it answers %s", res.Status)
		}
		return nil
	}
}
