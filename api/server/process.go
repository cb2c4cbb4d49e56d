// Package server is the HTTP side of the orders interface: routes generated from api/openapi.yaml, and handlers that
// start and update order workflows and read the orders database. Reads need neither Temporal nor a worker.
package server

import (
	"context"
	"fmt"
	"regexp"
	"sync"

	"github.com/gin-gonic/gin"

	"holdfast/api"
	"holdfast/api/follow"
	"holdfast/api/review"
	"holdfast/api/starter"
	"holdfast/internal/auth"
	"holdfast/internal/database"
	"holdfast/internal/httpx"
	"holdfast/internal/linequantity"
	"holdfast/internal/orderstore"
	"holdfast/internal/payment/provider"
	"holdfast/internal/problem"
	"holdfast/internal/service"
	"holdfast/internal/servicetoken"
	"holdfast/internal/temporalclient"
	"holdfast/internal/webhook"
	"holdfast/inventory/inventoryclient"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

// Config is the configuration of the api process, from the environment.
type Config struct {
	DatabaseURL string   `env:"ORDERS_DATABASE_URL,required,notEmpty"`
	Listen      string   `env:"API_LISTEN" envDefault:":3001"`
	ServiceKeys []string `env:"SERVICE_API_KEYS,required,notEmpty"`
	// DeploymentName is the deployment of the workers that carry out the orders; it needs a current version.
	DeploymentName string `env:"TEMPORAL_DEPLOYMENT_NAME" envDefault:"holdfast-orders"`
	Internal       servicetoken.Config
	Inventory      inventoryclient.Config
	Lines          linequantity.Config
	Temporal       temporalclient.Config
	Pool           database.Pool
	Starts         starter.Config
	Webhooks       provider.WebhookConfig // of the payment provider
	Carriers       CarrierConfig
	Review         review.Config
	Returns        ReturnConfig
	// OpenOrders and OpenUnits are how many orders, and units in them, one customer may have open and unpaid. 0 orders:
	// any number.
	OpenOrders int64 `env:"API_MAX_OPEN_ORDERS" envDefault:"100"`
	OpenUnits  int64 `env:"API_MAX_OPEN_UNITS" envDefault:"10000"`
	Follow     follow.Config
}

// Run returns the process: it serves the orders interface until ctx ends, then fails readiness and waits for requests
// under way. Its documentation offers the given documents as well.
func Run(more ...Document) func(context.Context, Config, service.Env) error {
	return func(ctx context.Context, cfg Config, env service.Env) error { return run(ctx, cfg, env, more) }
}

func run(ctx context.Context, cfg Config, env service.Env, more []Document) error {
	cfg.Pool.Holds, cfg.Pool.Log = database.Orders, env.Log
	cfg.Pool.Tracer = env.Tracing.QueryTracer()
	pool, err := database.Open(ctx, cfg.DatabaseURL, cfg.Pool, "api", env.Registry)
	if err != nil {
		return err
	}
	defer pool.Close()

	if cfg.Temporal.Interceptors, err = env.Tracing.Temporal(); err != nil {
		return err
	}
	if cfg.Temporal.Metrics, err = temporalclient.NewMetrics(env.Registry, env.Log); err != nil {
		return err
	}
	temporal, err := temporalclient.Lazy(cfg.Temporal, env.Log)
	if err != nil {
		return err
	}
	defer temporal.Close()
	inventory, err := inventoryclient.NewGuarded(
		cfg.Inventory, servicetoken.NewSigner(cfg.Internal, "api"), nil, env)
	if err != nil {
		return err
	}
	defer inventory.Close()

	health := httpx.NewHealth(
		httpx.Check{Name: "database", Required: true, Probe: database.Migrated(pool, database.Orders)},
		// While Temporal is down, orders are accepted and wait. A Temporal server that is not prepared is a mistake of the
		// deployment, and the orders would wait for ever.
		httpx.Check{Name: "temporal", Required: false, Probe: temporalclient.ProbeServer(temporal)},
		httpx.Check{Name: "temporal_namespace", Required: true, Probe: temporalclient.UnlessDown(
			temporalclient.ProbeNamespace(temporal, cfg.Temporal.Namespace, orderflow.SearchAttributes()))},
		httpx.Check{Name: "worker_version", Required: true, Probe: temporalclient.UnlessDown(
			temporalclient.ProbeCurrentVersion(temporal, cfg.DeploymentName))},
		// Orders work without inventory. The api only reads reservations without an order there, and tells it what is sold.
		httpx.Check{Name: "inventory", Required: false, Probe: inventory.Ping},
	)

	contract, err := httpx.ReadContract(api.Spec)
	if err != nil {
		return fmt.Errorf("api: %w", err)
	}
	router := httpx.NewRouter(httpx.Options{
		Log: env.Log, Registry: env.Registry, Health: health, LargeBodies: contract.LargeBodies(), Tracing: env.Tracing,
	})

	store := orderstore.New(pool)
	store.LimitOpen(orderstore.OpenLimits{Orders: cfg.OpenOrders, Units: cfg.OpenUnits})
	h := &handlers{
		store:     store,
		workflows: orderclient.New(temporal, cfg.Temporal.DataConverter()),
		inventory: inventory,
		log:       env.Log,
		sellable:  newSellableSync(store, inventory, env.Log),
		review:    cfg.Review,
		returns:   cfg.Returns,
		hub:       follow.New(cfg.Follow, store, env.Log, env.Registry),
		pace:      usualPace,
		namespace: cfg.Temporal.Namespace,
	}
	h.starter = starter.New(cfg.Starts, store, h.workflows, env.Log)
	defer context.AfterFunc(ctx, h.hub.Stop)() // a stream would keep the server from stopping
	// These run until the last request is answered, not only until ctx ends.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { h.sellable.run(background) })
	running.Go(func() { h.starter.Run(background) })
	running.Go(func() { h.hub.Run(background) })
	defer running.Wait()
	defer stop()

	guard, err := auth.NewGuard(cfg.Internal, cfg.ServiceKeys, servicetoken.API, api.Spec)
	if err != nil {
		return fmt.Errorf("api: %w", err)
	}
	for i := range more {
		more[i].Spec = cfg.Lines.Apply(more[i].Spec)
	}
	if err := register(router, h, guard, cfg.Lines.Apply(api.Spec), more); err != nil {
		return err
	}
	payments := newPaymentWebhooks(h, env.Registry)
	if cfg.Webhooks.Configured() {
		if payments.provider, err = provider.NewWebhooks(cfg.Webhooks); err != nil {
			return err
		}
		router.POST(PaymentWebhookPath, payments.receive)
	}
	if len(cfg.Carriers.Secrets) > 0 {
		keys, err := webhook.ParseKeys(cfg.Carriers.Secrets)
		if err != nil {
			return fmt.Errorf("CARRIER_WEBHOOK_SECRETS: %w", err)
		}
		router.POST(CarrierWebhookPath, (&carrierWebhooks{h, keys, cfg.Carriers.LostRemedy}).receive)
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

// Register adds the contract's routes, which need a caller that guard admits, and the public documentation of this and
// of more interfaces.
func Register(router gin.IRouter, h ServerInterface, guard *auth.Guard, more ...Document) error {
	return register(router, h, guard, api.Spec, more)
}

// register is Register for a contract with other limits.
func register(router gin.IRouter, h ServerInterface, guard *auth.Guard, spec []byte, more []Document) error {
	contract, err := httpx.ReadContract(spec)
	if err != nil {
		return fmt.Errorf("api: %w", err)
	}
	if err := serveDocs(router, spec, more); err != nil {
		return err
	}
	private := router.Group("", guard.Require, contract.Validate)
	RegisterHandlersWithOptions(private, h, GinServerOptions{ErrorHandler: failParameter})
	return nil
}

// parameter finds the parameter's name in the generated code's message. The generated code gives it nowhere else.
var parameter = regexp.MustCompile(`parameter ([\w-]+)|for ([\w-]+), got`)

func failParameter(c *gin.Context, err error, _ int) {
	field := ""
	if m := parameter.FindStringSubmatch(err.Error()); m != nil {
		field = m[1] + m[2]
	}
	httpx.Fail(c, problem.Invalid(field, "%s is missing or malformed; see /docs for its format", field))
}
