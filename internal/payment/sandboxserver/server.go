// Package sandboxserver is the payment sandbox: a payment provider with its own database. It decides by the test method
// of a request and never moves real money.
package sandboxserver

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"holdfast/db/sandboxdb"
	"holdfast/internal/database"
	"holdfast/internal/httpx"
	"holdfast/internal/payment/sandbox"
	"holdfast/internal/service"
	"holdfast/internal/webhook"
)

// Config is the sandbox's configuration.
type Config struct {
	DatabaseURL string   `env:"SANDBOX_DATABASE_URL,required,notEmpty"`
	Listen      string   `env:"SANDBOX_LISTEN" envDefault:"127.0.0.1:3003"`
	ServiceKeys []string `env:"SERVICE_API_KEYS,required,notEmpty"`
	// PublicURL is the address at which a customer's browser reaches the sandbox; empty: the one of the request.
	PublicURL string `env:"SANDBOX_PUBLIC_URL"`
	// AuthorisedFor is how long the sandbox keeps money set aside. The default is what card schemes commonly do.
	AuthorisedFor time.Duration `env:"SANDBOX_AUTHORISED_FOR" envDefault:"168h"`
	// WebhookURL is where webhooks go; empty: the sandbox sends none. They are signed with each secret.
	WebhookURL     string   `env:"SANDBOX_WEBHOOK_URL"`
	WebhookSecrets []string `env:"SANDBOX_WEBHOOK_SECRETS"`
	Pool           database.Pool
}

// Validate refuses addresses that cannot be reached, and webhooks without a secret.
func (c Config) Validate() error {
	var faults []error
	for name, address := range map[string]string{
		"SANDBOX_PUBLIC_URL":  c.PublicURL,
		"SANDBOX_WEBHOOK_URL": c.WebhookURL,
	} {
		if address != "" && !isHTTP(address) {
			faults = append(faults, errors.New(name+" is not an address that begins with http:// or https://"))
		}
	}
	if c.AuthorisedFor <= 0 {
		faults = append(faults, errors.New("SANDBOX_AUTHORISED_FOR is not above 0"))
	}
	if c.WebhookURL != "" {
		if _, err := webhook.ParseKeys(c.WebhookSecrets); err != nil {
			faults = append(faults, errors.New("SANDBOX_WEBHOOK_SECRETS: "+err.Error()))
		}
	}
	return errors.Join(faults...)
}

// isHTTP reports whether an address is absolute and of HTTP.
func isHTTP(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// Run serves the sandbox until ctx ends.
func Run(ctx context.Context, cfg Config, env service.Env) error {
	cfg.Pool.Holds, cfg.Pool.Log = database.Sandbox, env.Log
	cfg.Pool.Tracer = env.Tracing.QueryTracer()
	pool, err := database.Open(ctx, cfg.DatabaseURL, cfg.Pool, "payment-sandbox", env.Registry)
	if err != nil {
		return err
	}
	defer pool.Close()
	s, err := newServer(pool, cfg)
	if err != nil {
		return err
	}

	health := httpx.NewHealth(
		httpx.Check{Name: "database", Required: true, Probe: database.Migrated(pool, database.Sandbox)},
	)
	router := httpx.NewRouter(httpx.Options{
		Log: env.Log, Registry: env.Registry, Health: health, Tracing: env.Tracing,
	})
	s.register(router, cfg.ServiceKeys)
	server := httpx.Server{
		Addr:     cfg.Listen,
		Handler:  router,
		Health:   health,
		Log:      env.Log,
		OnListen: env.OnListen,
	}
	parts := []service.Part{{Name: "http", Run: server.Serve}}
	if s.tells() {
		defer s.sender.HTTP.CloseIdleConnections()
		parts = append(parts, service.Part{Name: "webhooks", Run: func(ctx context.Context) error {
			return s.deliver(ctx, env.Log)
		}})
	}
	return service.Run(ctx, parts...)
}

type server struct {
	pool          *pgxpool.Pool
	q             *sandboxdb.Queries
	publicURL     string // without a slash at the end; may be empty
	authorisedFor time.Duration
	faults        *faults

	webhookURL string // empty: no webhooks
	sender     webhook.Sender
	wake       chan struct{} // told after a webhook is committed
}

func newServer(pool *pgxpool.Pool, cfg Config) (*server, error) {
	s := &server{
		pool:          pool,
		q:             sandboxdb.New(),
		publicURL:     strings.TrimRight(cfg.PublicURL, "/"),
		authorisedFor: cfg.AuthorisedFor,
		faults:        &faults{},
		webhookURL:    cfg.WebhookURL,
		wake:          make(chan struct{}, 1),
	}
	if s.tells() {
		keys, err := webhook.ParseKeys(cfg.WebhookSecrets)
		if err != nil {
			return nil, err
		}
		s.sender = webhook.Sender{HTTP: &http.Client{Transport: newTransport()}, Keys: keys}
	}
	return s, nil
}

// register adds the sandbox's routes. All but the customer's are behind the service keys.
func (s *server) register(router gin.IRouter, serviceKeys []string) {
	v1 := router.Group("/v1", httpx.RequireServiceKey(serviceKeys))
	v1.POST("/payments", s.spoil(sandbox.OperationAuthorise), s.authorise)
	v1.GET("/payments/:key", s.spoil(sandbox.OperationLookUp), s.get)
	v1.POST("/payments/:key/capture", s.spoil(sandbox.OperationCapture), s.capture)
	v1.POST("/payments/:key/void", s.spoil(sandbox.OperationVoid), s.void)
	v1.POST("/payments/:key/refund", s.spoil(sandbox.OperationRefund), s.refund)
	v1.GET("/payments/:key/refunds/:refund_key", s.spoil(sandbox.OperationLookUp), s.getRefund)

	v1.GET("/books/:reference", s.books)
	v1.GET("/faults", s.listFaults)
	v1.POST("/faults", s.addFault)
	v1.DELETE("/faults", s.clearFaults)

	router.GET("/action/:token", s.showAction)
	router.POST("/action/:token", s.spoil(sandbox.OperationComplete), s.completeAction)
}

// change runs f on the database: in a transaction if webhooks are sent, so that each commits with the change that it
// tells of, else without one. f makes at most one change besides the webhooks.
func (s *server) change(ctx context.Context, f func(db sandboxdb.DBTX) error) error {
	if !s.tells() {
		return f(s.pool)
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return f(tx) })
	if err == nil {
		s.wakeUp()
	}
	return err
}
