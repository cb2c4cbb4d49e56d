package stack

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"holdfast/dev/temporalserver"
	"holdfast/internal/database"
	"holdfast/internal/orderstore"
	"holdfast/internal/seed"
	"holdfast/internal/telemetry"
	"holdfast/internal/temporalclient"
	"holdfast/inventory"
	"holdfast/tests/localservice"
	"holdfast/workers"
	"holdfast/workflows/orderflow"
)

// install installs the missing packages. Only PostgreSQL has to be there in the end: the platform runs without
// Redis and RabbitMQ.
func (s *Stack) install(ctx context.Context) error {
	err := localservice.Install(ctx, func(m string) { s.say("%s", m) })
	missing := localservice.Missing()
	tried := !errors.Is(err, localservice.ErrMayNotInstall)
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	case slices.Contains(missing, localservice.PostgresPackage) && tried:
		return fmt.Errorf("%w; PostgreSQL is needed: correct that and try again, or %s",
			err, localservice.HowToInstall(localservice.PostgresPackage))
	case slices.Contains(missing, localservice.PostgresPackage):
		return err
	case tried:
		s.say("%v", err)
	}
	for _, line := range goOnWithout(missing) {
		s.say("%s", line)
	}
	return nil
}

// goOnWithout returns one line for each missing service, with how to get it.
func goOnWithout(missing []localservice.Package) []string {
	lines := make([]string, len(missing))
	for i, p := range missing {
		lines[i] = fmt.Sprintf("%s is not installed: the platform runs without it; to have it, %s",
			p.Title, localservice.HowToInstall(p))
	}
	return lines
}

// startBacking starts the backing services side by side: RabbitMQ alone takes as long as all others together.
// The first failure stops the other starts.
func (s *Stack) startBacking(ctx context.Context) error {
	// The services of an earlier run may be missing this time.
	delete(s.vars, "REDIS_URL")
	delete(s.vars, "AMQP_URL")
	all, ctx := errgroup.WithContext(ctx)
	if len(localservice.Missing(localservice.RedisPackage)) == 0 {
		all.Go(func() error { return s.startRedis(ctx) })
	}
	if len(localservice.Missing(localservice.RabbitMQPackage)) == 0 {
		all.Go(func() error { return s.startRabbitMQ(ctx) })
	}
	all.Go(func() error {
		postgres, err := s.startPostgres(ctx)
		if err != nil {
			return err
		}
		all.Go(func() error { return s.prepareDatabases(ctx, postgres) })
		return s.startTemporal(ctx, postgres)
	})
	return all.Wait()
}

func (s *Stack) startRedis(ctx context.Context) error {
	redis, err := localservice.StartRedis(ctx, localservice.Options{
		Dir:  filepath.Join(s.dir, "redis"),
		Port: s.ports.redis,
		Log:  s.log,
	})
	if err != nil {
		return err
	}
	s.onStop(closer{name: "Redis", stop: redis.Stop, beside: true})
	s.setVar("REDIS_URL", redis.URL())
	s.say("Redis is up: %s", redis.URL())
	return nil
}

func (s *Stack) startRabbitMQ(ctx context.Context) error {
	rabbit, err := localservice.StartRabbitMQ(ctx, localservice.Options{
		Dir:            filepath.Join(s.dir, "rabbitmq"),
		Port:           s.ports.rabbitMQ,
		ManagementPort: s.ports.rabbitMQUI,
		Log:            s.log,
	})
	if err != nil {
		return err
	}
	s.onStop(closer{name: "RabbitMQ", stop: rabbit.Stop, beside: true})
	s.setVar("AMQP_URL", rabbit.URL())
	s.rabbitUI, s.rabbitMetrics = rabbit.ManagementURL(), rabbit.MetricsAddress()
	s.say("RabbitMQ is up: %s", rabbit.URL())
	return nil
}

func (s *Stack) startPostgres(ctx context.Context) (*localservice.Postgres, error) {
	p, err := localservice.StartPostgres(ctx, localservice.Options{
		Dir:  filepath.Join(s.dir, "postgres"),
		Port: s.ports.postgres,
		Log:  s.log,
	})
	if err != nil {
		return nil, err
	}
	s.onStop(closer{name: "PostgreSQL", stop: p.Stop})
	s.setVar("ORDERS_DATABASE_URL", p.URL(string(database.Orders)))
	s.setVar("INVENTORY_DATABASE_URL", p.URL(string(database.Inventory)))
	s.setVar("SANDBOX_DATABASE_URL", p.URL(string(database.Sandbox)))
	s.say("PostgreSQL is up: %s", p.URL("postgres"))
	return p, nil
}

// prepareDatabases migrates and seeds.
func (s *Stack) prepareDatabases(ctx context.Context, p *localservice.Postgres) error {
	for _, name := range database.Names() {
		url := p.URL(string(name))
		if _, err := database.EnsureDatabase(ctx, url); err != nil {
			return err
		}
		if _, err := database.Migrate(ctx, url, name); err != nil {
			return err
		}
	}

	orders, err := pgxpool.New(ctx, p.URL(string(database.Orders)))
	if err != nil {
		return fmt.Errorf("open the orders database: %w", err)
	}
	defer orders.Close()
	stock, err := pgxpool.New(ctx, p.URL(string(database.Inventory)))
	if err != nil {
		return fmt.Errorf("open the inventory database: %w", err)
	}
	defer stock.Close()
	sum, err := seed.Run(ctx, "dev", orderstore.New(orders), inventory.New(inventory.Options{Pool: stock}))
	if err != nil {
		return err
	}
	s.say("databases are current, %d products (%d new)", sum.Products, sum.New)
	return nil
}

func (s *Stack) startTemporal(ctx context.Context, p *localservice.Postgres) error {
	log := s.logFile("temporal")
	server, err := temporalserver.Start(ctx, temporalserver.Config{
		PostgresURL:      p.URL("postgres"),
		FrontendPort:     s.ports.temporal,
		UIPort:           s.ports.temporalUI,
		DefaultNamespace: orderflow.Namespace,
		CodecEndpoint:    s.codecURL(),
		Log:              telemetry.NewLogger(log, "temporal", s.logLevel),
	})
	if err != nil {
		return errors.Join(err, log.Close())
	}
	s.onStop(closer{name: "Temporal", stop: func(ctx context.Context) error {
		// The server's own stop has no deadline; this process ends soon, also if the stop does not return.
		stopped := make(chan error, 1)
		go func() { stopped <- server.Stop() }()
		select {
		case err := <-stopped:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}})

	s.temporalUI = server.UIURL()
	s.setVar("TEMPORAL_ADDRESS", server.Address())
	cfg := temporalclient.Config{Address: server.Address(), Namespace: orderflow.Namespace}
	attributes := orderflow.SearchAttributes()
	if err := temporalclient.EnsureNamespace(ctx, cfg, temporalclient.Retention, attributes); err != nil {
		return err
	}
	c, err := temporalclient.Dial(ctx, cfg, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := workers.ScheduleAdoption(ctx, c); err != nil {
		return err
	}
	s.say("Temporal is up: %s, Web UI %s", server.Address(), server.UIURL())
	return nil
}
