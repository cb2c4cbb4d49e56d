// Package platform runs the whole platform for a test: the real binary, one process of each kind, over HTTP, on
// real backing services, and on request with a fault-injecting proxy at every boundary between them.
package platform

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"holdfast/api/server"
	"holdfast/internal/auth"
	"holdfast/internal/database"
	"holdfast/internal/money"
	"holdfast/internal/orderstore"
	"holdfast/internal/payment/sandbox"
	"holdfast/internal/servicetoken"
	"holdfast/internal/temporalclient"
	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventoryclient"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
	"holdfast/tests/eventcheck"
	"holdfast/tests/fault"
	"holdfast/tests/testenv"
	"holdfast/workers"
	"holdfast/workflows/orderflow"
)

const (
	jwtSecret      = "a-secret-of-the-tests-with-enough-bytes"
	serviceKey     = "a-service-key-of-the-tests"
	internalSecret = "an-internal-secret-of-the-tests-with-enough-bytes"
	// WebhookSecret signs what the payment sandbox and a carrier send to the api.
	WebhookSecret = "whsec_dGhlLXRlc3RzLXNpZ24td2ViaG9va3Mtd2l0aC10aGlz" //nolint:gosec // of the tests alone
)

// Platform is a platform of its own: databases, a Temporal namespace and one process of each kind.
type Platform struct {
	T         testing.TB
	Faults    Faults
	Gateway   string                  // address for clients
	Inventory *inventoryclient.Client // past every proxy
	Provider  *sandbox.Client         // the payment provider's own books, past every proxy
	Orders    *pgxpool.Pool           // past every proxy
	Stock     *pgxpool.Pool           // past every proxy

	env       map[string]string
	temporal  temporalclient.Config
	token     func(subject string, role auth.Role) string // nil: tokens are signed with jwtSecret
	service   *inventory.Service
	processes map[string]*Process
}

// Faults are the proxies between the processes; all are nil on a platform without faults.
type Faults struct {
	Inventory *fault.HTTP     // before the inventory service, for worker and api
	Provider  *fault.HTTP     // before the payment provider
	OrdersDB  *fault.Postgres // for worker and api
	StockDB   *fault.Postgres // for the inventory service
	Temporal  *fault.GRPC     // for worker and api
	Redis     *fault.TCP      // for inventory and gateway
}

// Start brings a platform up. When the test ends, every process must stop in order, and the stock must
// be consistent afterwards.
func Start(t *testing.T) *Platform {
	t.Helper()
	return start(t, false)
}

// StartWith is Start with further variables of all processes, as pairs of names and values.
func StartWith(t *testing.T, pairs ...string) *Platform {
	t.Helper()
	return start(t, false, pairs...)
}

// StartWithFaults is Start with a proxy at every boundary.
func StartWithFaults(t *testing.T) *Platform {
	t.Helper()
	return start(t, true)
}

func start(t *testing.T, faults bool, pairs ...string) *Platform {
	t.Helper()
	p := &Platform{T: t, processes: map[string]*Process{}, temporal: temporalclient.Config{
		Address:   testenv.Temporal(t, nil).Address,
		Namespace: "e2e-" + strings.ToLower(rand.Text()[:10]),
	}}
	require.NoError(t,
		temporalclient.EnsureNamespace(t.Context(), p.temporal, 24*time.Hour, orderflow.SearchAttributes()))
	p.env = map[string]string{
		"ORDERS_DATABASE_URL":      testenv.Database(t),
		"INVENTORY_DATABASE_URL":   testenv.Database(t),
		"SANDBOX_DATABASE_URL":     testenv.Database(t),
		"TEMPORAL_ADDRESS":         p.temporal.Address,
		"TEMPORAL_NAMESPACE":       p.temporal.Namespace,
		"TEMPORAL_WORKER_BUILD_ID": "e2e",
		"REDIS_URL":                testenv.Redis(t),
		"JWT_SECRET":               jwtSecret,
		"SERVICE_API_KEYS":         serviceKey,
		"INTERNAL_TOKEN_SECRETS":   internalSecret,
		"API_MAX_OPEN_ORDERS":      "0",
		"DATABASE_MIN_CONNS":       "1",           // tests run many platforms side by side
		"REVIEW_AMOUNTS":           "EUR:1000000", // 800 units of a test product
		"PROMISE_CUTOFFS":          "*:12:00,second:18:00 America/New_York",
		"PROMISE_CARRIER_DAYS":     "*:5,AT:1",
		"PAYMENT_WEBHOOK_SECRETS":  WebhookSecret,
		"CARRIER_WEBHOOK_SECRETS":  WebhookSecret,
		"SANDBOX_WEBHOOK_SECRETS":  WebhookSecret,
		"GATEWAY_PRIVATE_LISTEN":   "127.0.0.1:0",
		"PATH":                     os.Getenv("PATH"),
	}
	for _, limit := range []string{"READS", "WRITES", "ORDERS", "ADMIN", "WEBHOOKS", "UNAUTHENTICATED"} {
		p.env["RATE_LIMIT_"+limit] = "0" // a test sends more than a person; limits have their own tests
	}
	for _, variable := range listen {
		p.env[variable] = "127.0.0.1:0"
	}
	p.Configure(pairs...)
	out, err := p.command(t.Context(), "migrate").CombinedOutput()
	require.NoError(t, err, string(out))

	p.Orders, p.Stock = pool(t, p.env["ORDERS_DATABASE_URL"]), pool(t, p.env["INVENTORY_DATABASE_URL"])
	t.Cleanup(func() { inventorytest.RequireConsistent(t, p.Stock) }) // runs after every process has stopped
	eventcheck.AtEnd(t, p.Orders, "orders")
	eventcheck.AtEnd(t, p.Stock, "inventory")
	p.service = inventory.New(inventory.Options{Pool: p.Stock})
	require.NoError(t, p.service.PutLocations(t.Context(), store.Location{Code: "main", Name: "Main", Priority: 1}))
	p.startProcesses(t, faults)
	return p
}

func (p *Platform) startProcesses(t *testing.T, faults bool) {
	t.Helper()
	if faults {
		p.Faults.OrdersDB = fault.NewPostgres(t, p.env["ORDERS_DATABASE_URL"])
		p.Faults.StockDB = fault.NewPostgres(t, p.env["INVENTORY_DATABASE_URL"])
		p.Faults.Temporal = fault.NewGRPC(t, p.env["TEMPORAL_ADDRESS"])
		// A test that loses answers one after the other makes every second call fail, which opens a breaker. It would
		// wait for half a minute each time.
		p.env["BREAKER_OPEN"] = "1s"
		p.env["ORDERS_DATABASE_URL"], p.env["INVENTORY_DATABASE_URL"] = p.Faults.OrdersDB.URL(), p.Faults.StockDB.URL()
		p.env["TEMPORAL_ADDRESS"] = p.Faults.Temporal.Address()
		server, err := url.Parse(p.env["REDIS_URL"])
		require.NoError(t, err)
		p.Faults.Redis = fault.NewTCP(t, server.Host)
		server.Host = p.Faults.Redis.Address()
		p.env["REDIS_URL"] = server.String()
	}
	inventoryURL := "http://" + p.Start("inventory").address
	providerURL := "http://" + p.Start("payment-sandbox").address
	p.env["INVENTORY_URL"], p.env["PAYMENT_SANDBOX_URL"] = inventoryURL, providerURL
	if faults {
		p.Faults.Inventory, p.Faults.Provider = fault.NewHTTP(t, inventoryURL), fault.NewHTTP(t, providerURL)
		p.env["INVENTORY_URL"], p.env["PAYMENT_SANDBOX_URL"] = p.Faults.Inventory.URL(), p.Faults.Provider.URL()
	}
	p.Start("worker")
	p.env["API_URL"] = "http://" + p.Start("api").address
	p.Gateway = "http://" + p.Start("gateway").address

	inner := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	t.Cleanup(inner.CloseIdleConnections)
	signer := servicetoken.NewSigner(servicetoken.Config{Secrets: []string{internalSecret}}, "tests")
	p.Inventory = inventoryclient.New(inventoryURL, signer, inner)
	p.Provider = sandbox.New(providerURL, serviceKey, inner)
	p.WithTemporal(func(c client.Client) {
		require.NoError(t, workers.MakeCurrent(t.Context(), c, orderflow.DeploymentName, "e2e"))
	})
}

// TellOfPayments makes the payment sandbox send its events to the api.
func (p *Platform) TellOfPayments() {
	p.T.Helper()
	p.env["SANDBOX_WEBHOOK_URL"] = p.env["API_URL"] + server.PaymentWebhookPath
	p.processes["payment-sandbox"].Stop()
	p.Start("payment-sandbox")
}

// For returns the same platform for a subtest.
func (p *Platform) For(t *testing.T) *Platform {
	t.Helper()
	own := *p
	own.T = t
	return &own
}

// Namespace is the platform's own namespace in Temporal.
func (p *Platform) Namespace() string { return p.temporal.Namespace }

// WithTemporal lends a client of the platform's namespace.
func (p *Platform) WithTemporal(do func(client.Client)) {
	p.T.Helper()
	c, err := temporalclient.Dial(p.T.Context(), p.temporal, nil)
	require.NoError(p.T, err)
	defer c.Close()
	do(c)
}

func pool(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	p, err := database.Open(t.Context(), url, database.Pool{MaxConns: 4, ConnectTimeout: 5 * time.Second}, "e2e", nil)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

// Price is what one unit of every test product costs.
var Price = money.Amount{Minor: 1250, Currency: "EUR"}

// Product puts a product with the given stock into catalogue and inventory. One unit costs Price, or each of the given
// prices.
func (p *Platform) Product(quantity int64, prices ...money.Amount) uuid.UUID {
	p.T.Helper()
	id := uuid.New()
	if len(prices) == 0 {
		prices = []money.Amount{Price}
	}
	_, err := orderstore.New(p.Orders).AddProducts(p.T.Context(), []orderstore.NewProduct{{
		ProductID: id,
		SKU:       "T-" + strings.ToUpper(id.String()[:13]),
		Name:      "Test product",
		Prices:    prices,
	}}, time.Now())
	require.NoError(p.T, err)
	p.Receive(id, quantity)
	return id
}

// Receive takes in stock of a product.
func (p *Platform) Receive(product uuid.UUID, quantity int64) {
	p.T.Helper()
	p.ReceiveAt(product, "main", quantity)
}

// ReceiveAt takes in stock of a product at a location, which it creates if there is none.
func (p *Platform) ReceiveAt(product uuid.UUID, location string, quantity int64) {
	p.T.Helper()
	if location != "main" {
		last := 200
		_, err := p.service.PutLocation(p.T.Context(), location, inventoryapi.LocationRequest{
			Name: location, Priority: &last,
		}, inventoryapi.WriteOptions{Actor: "test"})
		require.NoError(p.T, err)
	}
	_, err := p.service.Receive(p.T.Context(), stock.Receive{
		OperationID: uuid.New(),
		ProductID:   product,
		Location:    location,
		Quantity:    quantity,
		Actor:       "test",
		Reason:      "stock of a test",
	})
	require.NoError(p.T, err)
}

// Available returns the quantities of a product that are available and reserved, and their sum.
func (p *Platform) Available(product uuid.UUID) (available, reserved, total int64) {
	p.T.Helper()
	a, err := p.Inventory.Availability(p.T.Context(), product, 1)
	require.NoError(p.T, err)
	return a.AvailableQuantity, a.ReservedQuantity, a.TotalStock
}
