// Package e2e tests the platform as its users meet it: the real binary, one process each, over HTTP,
// on real backing services.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/encoding/protojson"

	"holdfast/internal/auth"
	"holdfast/internal/database"
	"holdfast/internal/money"
	"holdfast/internal/orderstore"
	"holdfast/internal/payment"
	"holdfast/internal/payment/sandbox"
	"holdfast/internal/temporalclient"
	"holdfast/internal/testenv"
	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
	"holdfast/inventory/stock"
	"holdfast/inventory/store"
	"holdfast/workers"
	"holdfast/workflows/orderflow"
)

const (
	jwtSecret  = "a-secret-of-the-tests-with-enough-bytes"
	serviceKey = "a-service-key-of-the-tests"
)

// operator is the one subject whose tokens have that role; all others are customers.
const operator = "oscar"

func TestMain(m *testing.M) { testenv.Main(m) }

// stack is a platform of its own: databases, a Temporal namespace and one process of each kind.
type stack struct {
	t         *testing.T
	env       map[string]string
	temporal  temporalclient.Config
	gateway   string
	api       string
	inventory *inventoryapi.Client
	sandbox   *sandbox.Client
	worker    *child
	orders    *pgxpool.Pool
	stock     *pgxpool.Pool
	service   *inventory.Service
}

// child is a running process.
type child struct {
	cmd     *exec.Cmd
	address string
	logs    *logBuffer
}

// startStack brings a platform up. proxyInventory, where given, returns the address that the worker
// reaches inventory by.
func startStack(t *testing.T, proxyInventory func(target string) string) *stack {
	t.Helper()
	s := &stack{t: t, temporal: temporalclient.Config{
		Address:   testenv.Temporal(t, nil).Address,
		Namespace: "e2e-" + strings.ToLower(rand.Text()[:10]),
	}}
	require.NoError(t, temporalclient.EnsureNamespace(t.Context(), s.temporal, 24*time.Hour, orderflow.SearchAttributes()))
	s.env = map[string]string{
		"ORDERS_DATABASE_URL": testenv.Database(t), "INVENTORY_DATABASE_URL": testenv.Database(t), "SANDBOX_DATABASE_URL": testenv.Database(t),
		"TEMPORAL_ADDRESS": s.temporal.Address, "TEMPORAL_NAMESPACE": s.temporal.Namespace, "TEMPORAL_WORKER_BUILD_ID": "e2e",
		"JWT_SECRET": jwtSecret, "SERVICE_API_KEYS": serviceKey, "PATH": os.Getenv("PATH"),
		"INVENTORY_LISTEN": "127.0.0.1:0", "API_LISTEN": "127.0.0.1:0", "GATEWAY_LISTEN": "127.0.0.1:0", "WORKER_LISTEN": "127.0.0.1:0", "SANDBOX_LISTEN": "127.0.0.1:0",
	}
	out, err := s.command(t.Context(), "migrate").CombinedOutput()
	require.NoError(t, err, string(out))
	s.orders, s.stock = pool(t, s.env["ORDERS_DATABASE_URL"]), pool(t, s.env["INVENTORY_DATABASE_URL"])
	t.Cleanup(func() { inventorytest.RequireConsistent(t, s.stock) }) // once every process has stopped
	s.service = inventory.New(inventory.Options{Pool: s.stock})
	require.NoError(t, s.service.PutLocations(t.Context(), store.Location{Code: "main", Name: "Main", Priority: 1}))

	inv := s.start("inventory")
	s.env["INVENTORY_URL"] = "http://" + inv.address
	if proxyInventory != nil {
		s.env["INVENTORY_URL"] = proxyInventory("http://" + inv.address)
	}
	s.env["PAYMENT_SANDBOX_URL"] = "http://" + s.start("payment-sandbox").address
	s.worker = s.start("worker")
	s.api = "http://" + s.start("api").address
	s.env["API_URL"], s.env["INVENTORY_URL"] = s.api, "http://"+inv.address
	s.gateway = "http://" + s.start("gateway").address
	if proxyInventory != nil {
		s.env["INVENTORY_URL"] = proxyInventory("http://" + inv.address)
	}

	inner := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	t.Cleanup(inner.CloseIdleConnections)
	s.inventory = inventoryapi.New("http://"+inv.address, serviceKey, inner)
	s.sandbox = sandbox.New(s.env["PAYMENT_SANDBOX_URL"], serviceKey, inner)
	s.withTemporal(func(c client.Client) {
		require.NoError(t, workers.MakeCurrent(t.Context(), c, orderflow.DeploymentName, "e2e"))
	})
	return s
}

// withTemporal lends a client of the stack's namespace.
func (s *stack) withTemporal(do func(client.Client)) {
	s.t.Helper()
	c, err := temporalclient.Dial(s.t.Context(), s.temporal, nil)
	require.NoError(s.t, err)
	defer c.Close()
	do(c)
}

func pool(t *testing.T, url string) *pgxpool.Pool {
	p, err := database.Open(t.Context(), url, database.Pool{MaxConns: 4, ConnectTimeout: 5 * time.Second}, "e2e", nil)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

func (s *stack) command(ctx context.Context, args ...string) *exec.Cmd {
	binary, err := filepath.Abs("../../bin/holdfast")
	require.NoError(s.t, err)
	require.FileExists(s.t, binary, "run make build")
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = []string{}
	for k, v := range s.env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	return cmd
}

// start runs one process and returns once it listens; it is stopped by SIGTERM when the test ends and
// must then exit with status 0.
func (s *stack) start(name string) *child {
	s.t.Helper()
	// Not the test's context: that one ends before the cleanup that stops the process in order.
	c := &child{cmd: s.command(context.Background(), name), logs: &logBuffer{}}
	out, err := c.cmd.StdoutPipe()
	require.NoError(s.t, err)
	c.cmd.Stderr = c.logs
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(s.t, c.cmd.Start())
	listening := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(listening)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			_, _ = c.logs.Write(append(lines.Bytes(), '\n'))
			var l struct{ Msg, Address string }
			if json.Unmarshal(lines.Bytes(), &l) == nil && l.Msg == "listening" {
				listening <- l.Address
			}
		}
	}()
	s.t.Cleanup(func() {
		if c.cmd.ProcessState == nil {
			require.NoError(s.t, c.cmd.Process.Signal(syscall.SIGTERM))
			<-read
			require.NoError(s.t, c.cmd.Wait(), "%s must stop cleanly on SIGTERM:\n%s", name, c.logs)
		}
		if s.t.Failed() {
			s.t.Logf("log of %s:\n%s", name, c.logs)
		}
	})
	select {
	case address, ok := <-listening:
		require.True(s.t, ok, "%s ended at its start:\n%s", name, c.logs)
		c.address = address
	case <-time.After(30 * time.Second):
		require.Fail(s.t, "process does not listen", "%s:\n%s", name, c.logs)
	}
	return c
}

// kill ends the process as a crash would.
func (c *child) kill(t *testing.T) {
	require.NoError(t, c.cmd.Process.Kill())
	_ = c.cmd.Wait()
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// product puts a product with the given stock into catalogue and inventory.
func (s *stack) product(quantity int64) uuid.UUID {
	s.t.Helper()
	id := uuid.New()
	_, err := orderstore.New(s.orders).AddProducts(s.t.Context(), []orderstore.NewProduct{{
		ProductID: id, SKU: "T-" + strings.ToUpper(id.String()[:13]), Name: "Test product", Prices: []money.Amount{{Minor: 1250, Currency: "EUR"}},
	}}, time.Now())
	require.NoError(s.t, err)
	s.receive(id, quantity)
	return id
}

// receive takes in stock of a product.
func (s *stack) receive(product uuid.UUID, quantity int64) {
	s.t.Helper()
	_, err := s.service.Receive(s.t.Context(), stock.Receive{OperationID: uuid.New(), ProductID: product, Location: "main", Quantity: quantity, Actor: "test", Reason: "stock of a test"})
	require.NoError(s.t, err)
}

func (s *stack) token(subject string, role auth.Role) string {
	token, err := auth.Sign(auth.Config{Secret: jwtSecret, Issuer: "holdfast", Audience: "holdfast"}, subject, role, time.Hour)
	require.NoError(s.t, err)
	return token
}

// answer is what came back over HTTP.
type answer struct {
	Status int
	Header http.Header
	Body   map[string]any
	Raw    string
}

func (a answer) str(key string) string { v, _ := a.Body[key].(string); return v }

var httpClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 200, DisableKeepAlives: true}, Timeout: 30 * time.Second}

// do sends a request through the gateway. body is sent as it is when it is a string, else as JSON.
func (s *stack) do(subject, method, path string, body any, headers ...string) answer {
	s.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		require.NoError(s.t, err)
		r = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.gateway+path, r)
	require.NoError(s.t, err)
	if subject != "" {
		role := auth.Customer
		if subject == operator {
			role = auth.Operator
		}
		req.Header.Set("Authorization", "Bearer "+s.token(subject, role))
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := httpClient.Do(req)
	require.NoError(s.t, err)
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	a := answer{Status: res.StatusCode, Header: res.Header, Raw: string(raw)}
	_ = json.Unmarshal(raw, &a.Body)
	return a
}

func oneLine(product uuid.UUID, quantity int, more ...any) map[string]any {
	body := map[string]any{"lines": []map[string]any{{"product_id": product, "quantity": quantity}}}
	for i := 0; i+1 < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	return body
}

// await reads the order until it has the given status.
func (s *stack) await(subject, order, status string, within time.Duration) answer {
	s.t.Helper()
	var last answer
	require.Eventually(s.t, func() bool {
		last = s.do(subject, http.MethodGet, "/api/orders/"+order, nil)
		return last.str("status") == status
	}, within, 20*time.Millisecond, "order %s does not become %s; last: %s", order, status, &last)
	return last
}

func (s *stack) events(subject, order string) []string {
	s.t.Helper()
	a := s.do(subject, http.MethodGet, "/api/orders/"+order+"/timeline", nil)
	require.Equal(s.t, http.StatusOK, a.Status, a.Raw)
	names := []string{}
	for _, e := range a.Body["items"].([]any) {
		names = append(names, e.(map[string]any)["event"].(string))
	}
	return names
}

// available returns what is left of a product, and what is reserved of it.
func (s *stack) available(product uuid.UUID) (available, reserved, total int64) {
	s.t.Helper()
	a, err := s.inventory.Availability(s.t.Context(), product, 1)
	require.NoError(s.t, err)
	return a.AvailableQuantity, a.ReservedQuantity, a.TotalStock
}

// charge returns what the payment provider's own books say of an attempt.
func (s *stack) charge(order string, attempt int) (payment.Payment, error) {
	return s.sandbox.Get(s.t.Context(), orderflow.PaymentKey(uuid.MustParse(order), attempt))
}

// history returns the history of an order's workflow as Temporal's own tools write it.
func (s *stack) history(order string) []byte {
	s.t.Helper()
	events := &historypb.History{}
	s.withTemporal(func(c client.Client) {
		for it := c.GetWorkflowHistory(s.t.Context(), orderflow.OrderWorkflowID(uuid.MustParse(order)), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); it.HasNext(); {
			e, err := it.Next()
			require.NoError(s.t, err)
			events.Events = append(events.Events, e)
		}
	})
	raw, err := protojson.MarshalOptions{Indent: " "}.Marshal(events)
	require.NoError(s.t, err)
	return machine.ReplaceAll(raw, []byte(`"$1": "recorded"`))
}

// machine is which process on which machine did something, or its own queue: of no use in a record.
var machine = regexp.MustCompile(`"(identity|name)":\s*"[^":]*[@:][^"]*"`)
