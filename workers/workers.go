// Package workers registers workflows and activities and runs the process that polls for them. No other package
// registers any.
package workers

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"holdfast/activities"
	"holdfast/internal/await"
	"holdfast/internal/database"
	"holdfast/internal/httpx"
	"holdfast/internal/orderstore"
	"holdfast/internal/payment/provider"
	"holdfast/internal/promise"
	"holdfast/internal/service"
	"holdfast/internal/servicetoken"
	"holdfast/internal/temporalclient"
	"holdfast/inventory/inventoryclient"
	"holdfast/workflows"
	"holdfast/workflows/orderclient"
	"holdfast/workflows/orderflow"
)

// Config is the worker's configuration.
type Config struct {
	DatabaseURL    string   `env:"ORDERS_DATABASE_URL,required,notEmpty"`
	ServiceKeys    []string `env:"SERVICE_API_KEYS,required,notEmpty"` // for the payment sandbox
	Listen         string   `env:"WORKER_LISTEN" envDefault:":9090"`
	DeploymentName string   `env:"TEMPORAL_DEPLOYMENT_NAME" envDefault:"holdfast-orders"`
	// BuildID names this worker's version; open orders stay on the version that started them.
	BuildID   string `env:"TEMPORAL_WORKER_BUILD_ID,required,notEmpty"`
	Internal  servicetoken.Config
	Inventory inventoryclient.Config
	Payment   provider.Config
	Promise   promise.Config
	Temporal  temporalclient.Config
	Pool      database.Pool
	Polling   Polling
}

// Polling says how many tasks the worker asks for and carries out at once.
type Polling struct {
	// Pollers for workflow tasks, and as many for activities: the SDK adapts between these bounds to the tasks that
	// wait.
	MinPollers int `env:"WORKER_MIN_POLLERS" envDefault:"5"`
	MaxPollers int `env:"WORKER_MAX_POLLERS" envDefault:"50"`
	// WorkflowTasks and Activities are how many are carried out at once, regular and local activities counted apart.
	WorkflowTasks int `env:"WORKER_WORKFLOW_TASKS" envDefault:"200"`
	Activities    int `env:"WORKER_ACTIVITIES" envDefault:"200"`
	// CachedWorkflows is how many open orders the process keeps in memory. Any other is replayed from its history when it
	// has something to do. A paid order that waits for the warehouse takes some 140 KB (make bench-orders ARGS='-only
	// memory').
	CachedWorkflows int `env:"WORKER_CACHED_WORKFLOWS" envDefault:"2000"`
}

// Validate refuses bounds that the SDK cannot work within.
func (p Polling) Validate() error {
	switch {
	case p.MinPollers < 1 || p.MaxPollers < p.MinPollers:
		return fmt.Errorf("WORKER_MIN_POLLERS is %d and WORKER_MAX_POLLERS %d: at least 1, and not above the maximum",
			p.MinPollers, p.MaxPollers)
	case p.WorkflowTasks < 2:
		return fmt.Errorf("WORKER_WORKFLOW_TASKS is %d: at least 2", p.WorkflowTasks)
	case p.Activities < 1:
		return fmt.Errorf("WORKER_ACTIVITIES is %d: at least 1", p.Activities)
	case p.CachedWorkflows < 0:
		return fmt.Errorf("WORKER_CACHED_WORKFLOWS is %d: at least 0", p.CachedWorkflows)
	}
	return nil
}

func (p Polling) behavior() worker.PollerBehavior {
	return worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{
		InitialNumberOfPollers: p.MinPollers,
		MinimumNumberOfPollers: p.MinPollers,
		MaximumNumberOfPollers: p.MaxPollers,
	})
}

// stopTimeout is how long a stopping worker waits for activities that are under way. Another worker retries the
// activities that do not finish.
const stopTimeout = 8 * time.Second

// Registrations are the activities of a worker; the replayer and the tests use the same.
type Registrations struct {
	Inventory *activities.InventoryActivities
	Payment   *activities.PaymentActivities
	Record    *activities.RecordActivities
	Adoption  *activities.AdoptionActivities
}

// RegisterWorkflows registers every workflow under its contract name, pinned to the version that started it.
func RegisterWorkflows(r worker.WorkflowRegistry) {
	r.RegisterWorkflowWithOptions(workflows.Order, workflow.RegisterOptions{
		Name: orderflow.OrderWorkflow, VersioningBehavior: workflow.VersioningBehaviorPinned,
	})
	r.RegisterWorkflowWithOptions(workflows.Reservation, workflow.RegisterOptions{
		Name: orderflow.ReservationWorkflow, VersioningBehavior: workflow.VersioningBehaviorPinned,
	})
	r.RegisterWorkflowWithOptions(workflows.Adoption, workflow.RegisterOptions{
		Name: orderflow.AdoptionWorkflow, VersioningBehavior: workflow.VersioningBehaviorPinned,
	})
}

// RegisterOrderActivities registers the activities of the orders queue.
func (g Registrations) RegisterOrderActivities(r worker.ActivityRegistry) {
	for name, fn := range map[string]any{
		orderflow.ReserveStock:       g.Inventory.ReserveStock,
		orderflow.ReserveOrWait:      g.Inventory.ReserveOrWait,
		orderflow.ReplaceReservation: g.Inventory.ReplaceReservation,
		orderflow.ExtendReservation:  g.Inventory.ExtendReservation,
		orderflow.ConfirmReservation: g.Inventory.ConfirmReservation,
		orderflow.ReleaseStock:       g.Inventory.ReleaseStock,
		orderflow.ExpireReservation:  g.Inventory.ExpireReservation,
		orderflow.ReturnStock:        g.Inventory.ReturnStock,
		orderflow.ReturnUnits:        g.Inventory.ReturnUnits,
		orderflow.WriteOffStock:      g.Inventory.WriteOffStock,
		orderflow.RecordOrder:        g.Record.RecordOrder,
		orderflow.FindOrder:          g.Record.FindOrder,
		orderflow.AdoptStopped:       g.Adoption.AdoptStopped,
		orderflow.AdoptUnended:       g.Adoption.AdoptUnended,
		orderflow.AdoptReservations:  g.Adoption.AdoptReservations,
	} {
		r.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: name})
	}
}

// RegisterPaymentActivities registers the activities of the payments queue.
func (g Registrations) RegisterPaymentActivities(r worker.ActivityRegistry) {
	for name, fn := range map[string]any{
		orderflow.AuthorisePayment: g.Payment.AuthorisePayment,
		orderflow.CapturePayment:   g.Payment.CapturePayment,
		orderflow.VoidPayment:      g.Payment.VoidPayment,
		orderflow.RefundPayment:    g.Payment.RefundPayment,
		orderflow.FindPayment:      g.Payment.FindPayment,
		orderflow.FindRefund:       g.Payment.FindRefund,
	} {
		r.RegisterActivityWithOptions(fn, activity.RegisterOptions{Name: name})
	}
}

// Run polls both queues until ctx ends, then waits for tasks that are under way.
func Run(ctx context.Context, cfg Config, env service.Env) error {
	cfg.Pool.Holds, cfg.Pool.Log = database.Orders, env.Log
	cfg.Pool.Tracer = env.Tracing.QueryTracer()
	pool, err := database.Open(ctx, cfg.DatabaseURL, cfg.Pool, "worker", env.Registry)
	if err != nil {
		return err
	}
	defer pool.Close()

	httpClient := newHTTPClient()
	defer httpClient.CloseIdleConnections()
	inventory, err := inventoryclient.NewGuarded(
		cfg.Inventory, servicetoken.NewSigner(cfg.Internal, "worker"), httpClient, env)
	if err != nil {
		return err
	}
	toProvider := &http.Client{Transport: env.Tracing.Transport(httpClient.Transport)}
	takesMoney, err := provider.New(cfg.Payment, "worker", cfg.ServiceKeys[0], toProvider)
	if err != nil {
		return err
	}
	takesMoney = provider.Guard(takesMoney, cfg.Payment, env)

	if cfg.Temporal.Interceptors, err = env.Tracing.Temporal(); err != nil {
		return err
	}
	if cfg.Temporal.Metrics, err = temporalclient.NewMetrics(env.Registry, env.Log); err != nil {
		return err
	}
	temporal, err := temporalclient.Dial(ctx, cfg.Temporal, env.Log)
	if err != nil {
		return fmt.Errorf("connect to Temporal: %w", err)
	}
	defer temporal.Close()

	store := orderstore.New(pool)
	calendar, err := promise.NewCalendar(cfg.Promise)
	if err != nil {
		return err
	}
	store.Promise(calendar)
	adopted := promauto.With(env.Registry).NewCounterVec(prometheus.CounterOpts{
		Name: "orders_adopted_total",
		Help: "Orders and reservations that were taken up, or expired, because no workflow ran for them.",
	}, []string{"kind"})
	g := Registrations{
		Inventory: activities.NewInventory(inventory),
		Payment:   activities.NewPayment(takesMoney, store),
		Record:    activities.NewRecord(newCounted(store, env.Registry)),
		Adoption: activities.NewAdoption(store, inventory, orderclient.New(temporal, cfg.Temporal.DataConverter()),
			func(kind string) { adopted.WithLabelValues(kind).Inc() }),
	}

	namespaceReady := temporalclient.ProbeNamespace(temporal, cfg.Temporal.Namespace, orderflow.SearchAttributes())
	health := httpx.NewHealth(
		httpx.Check{Name: "temporal", Required: true, Probe: namespaceReady},
		// A worker is ready before its version is current: only then may an operator make it current.
		httpx.Check{Name: "worker_version", Probe: temporalclient.ProbeCurrentVersion(temporal, cfg.DeploymentName)},
		httpx.Check{Name: "database", Required: true, Probe: database.Migrated(pool, database.Orders)},
		httpx.Check{Name: "inventory", Required: true, Probe: inventory.Ping},
	)
	router := httpx.NewRouter(httpx.Options{
		Log: env.Log, Registry: env.Registry, Health: health, Tracing: env.Tracing,
	})
	router.GET("/version", func(c *gin.Context) {
		c.JSON(http.StatusOK, gin.H{"deployment": cfg.DeploymentName, "build_id": cfg.BuildID})
	})

	metrics := httpx.Server{
		Addr:     cfg.Listen,
		Handler:  router,
		Health:   health,
		Log:      env.Log,
		OnListen: env.OnListen,
	}
	return service.Run(ctx,
		service.Part{Name: "metrics", Run: metrics.Serve},
		service.Part{Name: "polling", Run: func(ctx context.Context) error {
			if err := awaitNamespace(ctx, namespaceReady, env.Log); err != nil {
				return nil //nolint:nilerr // ctx ended: the process was told to stop
			}
			return poll(ctx, temporal, cfg, g, env.Log)
		}},
	)
}

// namespaceRetry is how often a worker that cannot poll yet looks whether its namespace is prepared.
const namespaceRetry = time.Second

// awaitNamespace waits until the namespace is prepared, because the SDK ends a worker whose namespace does not exist.
// Meanwhile /ready says what is missing. Its only error is that of ctx.
func awaitNamespace(ctx context.Context, ready func(context.Context) error, log *slog.Logger) error {
	told := ""
	return await.Until(ctx, namespaceRetry, func() error {
		err := ready(ctx)
		if err != nil && err.Error() != told && ctx.Err() == nil {
			told = err.Error()
			log.WarnContext(ctx, "waiting to poll", "error", told)
		}
		return err
	})
}

// poll starts on the payments queue before the orders queue, so that a version that gets orders can already take their
// payments.
func poll(ctx context.Context, c client.Client, cfg Config, g Registrations, log *slog.Logger) error {
	worker.SetStickyWorkflowCacheSize(cfg.Polling.CachedWorkflows)
	fatal := make(chan error, 2)
	options := worker.Options{
		WorkerStopTimeout: stopTimeout,
		OnFatalError:      func(err error) { fatal <- err },
		Interceptors:      []interceptor.WorkerInterceptor{&stepLog{log: log}},

		WorkflowTaskPollerBehavior:              cfg.Polling.behavior(),
		ActivityTaskPollerBehavior:              cfg.Polling.behavior(),
		MaxConcurrentWorkflowTaskExecutionSize:  cfg.Polling.WorkflowTasks,
		MaxConcurrentActivityExecutionSize:      cfg.Polling.Activities,
		MaxConcurrentLocalActivityExecutionSize: cfg.Polling.Activities,

		DeploymentOptions: worker.DeploymentOptions{
			UseVersioning:             true,
			Version:                   worker.WorkerDeploymentVersion{DeploymentName: cfg.DeploymentName, BuildID: cfg.BuildID},
			DefaultVersioningBehavior: workflow.VersioningBehaviorPinned,
		},
	}

	payments := worker.New(c, orderflow.PaymentsQueue, options)
	g.RegisterPaymentActivities(payments)
	if err := payments.Start(); err != nil {
		return fmt.Errorf("poll the %s queue: %w", orderflow.PaymentsQueue, err)
	}

	orders := worker.New(c, orderflow.OrdersQueue, options)
	RegisterWorkflows(orders)
	g.RegisterOrderActivities(orders)
	g.RegisterPaymentActivities(orders) // a payment's steps are local activities first
	if err := orders.Start(); err != nil {
		payments.Stop()
		return fmt.Errorf("poll the %s queue: %w", orderflow.OrdersQueue, err)
	}

	// Both stop at once: an activity that hangs on one queue must not use up the other queue's time to stop.
	defer func() {
		var stopping sync.WaitGroup
		stopping.Go(payments.Stop)
		stopping.Go(orders.Stop)
		stopping.Wait()
	}()

	select {
	case <-ctx.Done():
		return nil
	case err := <-fatal:
		return fmt.Errorf("polling stopped: %w", err)
	}
}

// newHTTPClient returns a client whose connections can be closed when the worker stops.
func newHTTPClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // documented type
	t.MaxIdleConnsPerHost = 64
	return &http.Client{Transport: t}
}
