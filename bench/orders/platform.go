package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.temporal.io/sdk/client"

	"holdfast/internal/auth"
	"holdfast/internal/await"
	"holdfast/internal/database"
	"holdfast/internal/servicetoken"
	"holdfast/internal/temporalclient"
	"holdfast/inventory"
	"holdfast/inventory/stock"
	"holdfast/tests/localservice"
	"holdfast/workers"
	"holdfast/workflows/orderflow"
)

const (
	jwtSecret      = "a-secret-of-the-benchmark-with-enough-bytes"
	serviceKey     = "a-service-key-of-the-benchmark"
	internalSecret = "an-internal-secret-of-the-benchmark"
	buildID        = "bench"
	issuer         = "holdfast"
	// plenty is more stock than any run can sell.
	plenty = 1_000_000_000
)

// internal signs the tokens with which the benchmark calls inventory itself.
var internal = servicetoken.Config{Secrets: []string{internalSecret}}

// platform is the whole platform with servers of its own.
type platform struct {
	options
	dir       string
	postgres  *localservice.Postgres
	redis     *localservice.Redis
	rabbitmq  *localservice.RabbitMQ // only with -events
	admin     *pgxpool.Pool          // the database "postgres", for figures about the server
	orders    *pgxpool.Pool
	temporal  client.Client
	processes []*process // in the order of starting
	gateway   string
	api       string
	scraped   []string // the addresses whose /metrics Prometheus would read
	inventory string
	product   uuid.UUID
	token     string
	http      *http.Client
}

// process is one child process.
type process struct {
	name  string
	cmd   *exec.Cmd
	stdin io.Closer // of the Temporal server, which ends when it closes
}

func start(ctx context.Context, o options) (_ *platform, err error) {
	p := &platform{options: o, http: &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{MaxIdleConnsPerHost: 2000},
	}}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stop())
		}
	}()
	if p.dir, err = localservice.TempDir(); err != nil {
		return nil, err
	}
	p.postgres, err = localservice.StartPostgres(ctx, localservice.Options{Dir: filepath.Join(p.dir, "postgres")})
	if err != nil {
		return nil, err
	}
	if p.redis, err = localservice.StartRedis(ctx, localservice.Options{
		Dir:      filepath.Join(p.dir, "redis"),
		Volatile: true,
	}); err != nil {
		return nil, err
	}
	if p.events {
		if p.rabbitmq, err = localservice.StartRabbitMQ(ctx, localservice.Options{
			Dir: filepath.Join(p.dir, "rabbitmq"),
		}); err != nil {
			return nil, err
		}
	}
	if p.admin, err = pgxpool.New(ctx, p.postgres.URL("postgres")); err != nil {
		return nil, fmt.Errorf("open the server: %w", err)
	}
	address, err := p.startTemporal()
	if err != nil {
		return nil, err
	}
	cfg := temporalclient.Config{Address: address, Namespace: orderflow.Namespace}
	err = temporalclient.EnsureNamespace(ctx, cfg, temporalclient.Retention, orderflow.SearchAttributes())
	if err != nil {
		return nil, err
	}
	if p.temporal, err = temporalclient.Dial(ctx, cfg, nil); err != nil {
		return nil, err
	}
	if err := p.startProcesses(ctx, address); err != nil {
		return nil, err
	}
	return p, nil
}

// startTemporal runs the embedded Temporal server as a process of its own and returns its address.
func (p *platform) startTemporal() (string, error) {
	cmd := exec.Command(filepath.Join(p.bin, "holdfast-dev"), "temporal", "--postgres-url", p.postgres.URL("postgres"),
		"--port", "0", "--ui-port", "-1", "--exit-on-stdin-close") //nolint:noctx // it is stopped by its standard input
	log, err := os.Create(filepath.Join(p.dir, "temporal.log"))
	if err != nil {
		return "", fmt.Errorf("make Temporal's log: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd.Stderr = log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", fmt.Errorf("start Temporal: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", fmt.Errorf("start Temporal: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("start %s (make build makes it): %w", cmd.Path, err)
	}
	p.processes = append(p.processes, &process{name: "temporal", cmd: cmd, stdin: stdin})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("wait for Temporal's address: %w", err)
	}
	return strings.TrimSpace(line), nil
}

// startProcesses migrates the databases, stocks the one product that is sold, and starts the platform's processes.
func (p *platform) startProcesses(ctx context.Context, temporal string) error {
	env := append(os.Environ(),
		"ORDERS_DATABASE_URL="+p.postgres.URL(string(database.Orders)),
		"INVENTORY_DATABASE_URL="+p.postgres.URL(string(database.Inventory)),
		"SANDBOX_DATABASE_URL="+p.postgres.URL(string(database.Sandbox)),
		"REDIS_URL="+p.redis.URL(), "TEMPORAL_ADDRESS="+temporal, "TEMPORAL_NAMESPACE="+orderflow.Namespace,
		"TEMPORAL_WORKER_BUILD_ID="+buildID, "JWT_SECRET="+jwtSecret, "SERVICE_API_KEYS="+serviceKey,
		"INTERNAL_TOKEN_SECRETS="+internalSecret,
		"API_MAX_OPEN_ORDERS=0", // all orders are one customer's
		"LOG_LEVEL=error",
	)
	for setting := range strings.SplitSeq(p.settings, ",") {
		if setting != "" {
			env = append(env, setting)
		}
	}
	for _, limit := range []string{"READS", "WRITES", "ORDERS", "ADMIN"} {
		env = append(env, "RATE_LIMIT_"+limit+"=0") // one customer sends all the load
	}
	address := map[string]string{}
	for name, variable := range map[string]string{
		"payment-sandbox": "SANDBOX_LISTEN", "inventory": "INVENTORY_LISTEN", "worker": "WORKER_LISTEN",
		"api": "API_LISTEN", "gateway": "GATEWAY_LISTEN", "gateway-private": "GATEWAY_PRIVATE_LISTEN",
		"events": "EVENTS_LISTEN",
	} {
		free, err := freeAddress(ctx)
		if err != nil {
			return err
		}
		address[name] = "http://" + free
		env = append(env, variable+"="+free)
	}
	env = append(env, "API_URL="+address["api"], "INVENTORY_URL="+address["inventory"],
		"PAYMENT_SANDBOX_URL="+address["payment-sandbox"])
	for _, command := range [][]string{{"migrate"}, {"seed"}} {
		cmd := exec.CommandContext(ctx, filepath.Join(p.bin, "holdfast"), command...)
		cmd.Env = env
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", command, err, out)
		}
	}
	if err := p.fillShelf(ctx); err != nil {
		return err
	}
	names := []string{"payment-sandbox", "inventory", "worker", "api", "gateway"}
	if p.rabbitmq != nil {
		names, env = append(names, "events"), append(env, "AMQP_URL="+p.rabbitmq.URL())
	}
	for _, name := range names {
		cmd := exec.Command(filepath.Join(p.bin, "holdfast"), name) //nolint:noctx // it is stopped in order
		cmd.Env = env
		cmd.Stderr = os.Stderr
		if p.logFiles {
			log, err := os.Create(filepath.Join(p.dir, name+".log"))
			if err != nil {
				return fmt.Errorf("make the log of the %s: %w", name, err)
			}
			cmd.Stdout = log
			defer func() { _ = log.Close() }() // the process has its own descriptor
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("start the %s: %w", name, err)
		}
		p.processes = append(p.processes, &process{name: name, cmd: cmd})
	}
	for _, name := range []string{"payment-sandbox", "inventory", "worker", "api", "gateway-private"} {
		p.scraped = append(p.scraped, address[name])
	}
	if p.rabbitmq != nil {
		p.scraped = append(p.scraped, address["events"])
	}
	p.gateway, p.api, p.inventory = address["gateway"], address["api"], address["inventory"]
	if err := workers.MakeCurrent(ctx, p.temporal, orderflow.DeploymentName, buildID); err != nil { // the api waits for it
		return err
	}
	for _, name := range []string{"inventory", "api", "gateway-private"} {
		if err := p.awaitReady(ctx, address[name]+"/ready"); err != nil {
			return err
		}
	}
	var err error
	if p.token, err = sign("bench"); err != nil {
		return err
	}
	p.orders, err = pgxpool.New(ctx, p.postgres.URL(string(database.Orders)))
	return err
}

// sign returns a customer's token.
func sign(customer string) (string, error) {
	cfg := auth.Config{Secret: jwtSecret, Issuer: issuer, Audience: "holdfast"}
	return auth.Sign(cfg, customer, auth.Customer, 6*time.Hour)
}

// fillShelf receives stock of the product that every order buys.
func (p *platform) fillShelf(ctx context.Context) error {
	return p.withInventory(ctx, func(pool *pgxpool.Pool, warehouse *inventory.Service) error {
		if err := pool.QueryRow(ctx, "SELECT product_id FROM items LIMIT 1").Scan(&p.product); err != nil {
			return fmt.Errorf("find a product: %w", err)
		}
		return receive(ctx, pool, warehouse, p.product, plenty)
	})
}

// withInventory opens the inventory database, and the service on it.
func (p *platform) withInventory(ctx context.Context, do func(*pgxpool.Pool, *inventory.Service) error) error {
	pool, err := pgxpool.New(ctx, p.postgres.URL(string(database.Inventory)))
	if err != nil {
		return fmt.Errorf("open the inventory database: %w", err)
	}
	defer pool.Close()
	warehouse := inventory.New(inventory.Options{Pool: pool})
	defer warehouse.Close()
	return do(pool, warehouse)
}

// receive puts stock of a product on the shelf of the first location.
func receive(
	ctx context.Context, pool *pgxpool.Pool, warehouse *inventory.Service, product uuid.UUID, quantity int64,
) error {
	var location string
	if err := pool.QueryRow(ctx, "SELECT code FROM locations ORDER BY priority LIMIT 1").Scan(&location); err != nil {
		return fmt.Errorf("find a location: %w", err)
	}
	_, err := warehouse.Receive(ctx, stock.Receive{
		OperationID: uuid.New(),
		ProductID:   product,
		Location:    location,
		Quantity:    quantity,
		Actor:       "bench",
	})
	return err
}

func (p *platform) awaitReady(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := await.Until(ctx, 50*time.Millisecond, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		res, err := p.http.Do(req)
		if err != nil {
			return err
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("it answers %s", res.Status)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s is not ready: %w", url, err)
	}
	return nil
}

// stop ends everything, the last first.
func (p *platform) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var faults []error
	p.http.CloseIdleConnections()
	if p.temporal != nil {
		p.temporal.Close()
	}
	for i := len(p.processes) - 1; i >= 0; i-- {
		faults = append(faults, p.processes[i].stop())
	}
	for _, pool := range []*pgxpool.Pool{p.orders, p.admin} {
		if pool != nil {
			pool.Close()
		}
	}
	if p.rabbitmq != nil {
		faults = append(faults, p.rabbitmq.Stop(ctx))
	}
	if p.redis != nil {
		faults = append(faults, p.redis.Stop(ctx))
	}
	if p.postgres != nil {
		faults = append(faults, p.postgres.Stop(ctx))
	}
	return errors.Join(append(faults, os.RemoveAll(p.dir))...)
}

func (c *process) stop() error {
	if c.stdin != nil {
		_ = c.stdin.Close()
	} else if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the %s: %w", c.name, err)
	}
	kill := time.AfterFunc(30*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("the %s did not stop cleanly: %w", c.name, err)
	}
	return nil
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a port: %w", err)
	}
	return l.Addr().String(), l.Close()
}
