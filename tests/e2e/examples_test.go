package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
	"holdfast/tests/platform"
)

// TestClientExample builds the client from the present contract, and buys with it.
func TestClientExample(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	product := p.Product(2)

	dir := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(dir, "examples/client-go"), os.DirFS("../../examples/client-go")))
	require.NoError(t, os.CopyFS(filepath.Join(dir, "api"), os.DirFS("../../api")))
	tools, err := filepath.Abs("../../bin/tools")
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "bin"), 0o755))
	require.NoError(t, os.Symlink(tools, filepath.Join(dir, "bin/tools")))
	client := func(shop, name string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = filepath.Join(dir, "examples/client-go")
		cmd.Env = append(os.Environ(), "SHOP_URL="+shop, "SHOP_TOKEN="+p.Token("alice", auth.Customer))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	run := func(name string, args ...string) string {
		out, err := client(p.Gateway, name, args...)
		require.NoError(t, err, out)
		return out
	}

	run("go", "generate", ".")
	generated, err := os.ReadFile(filepath.Join(dir, "examples/client-go/orders/orders.gen.go"))
	require.NoError(t, err)
	committed, err := os.ReadFile("../../examples/client-go/orders/orders.gen.go")
	require.NoError(t, err)
	require.Equal(t, string(committed), string(generated), "it is stale: go generate in examples/client-go")

	out := run("go", "run", ".", product.String())
	require.Regexp(t, `^HF-\d+ confirmed\n$`, out)
	available, reserved, _ := p.Available(product)
	require.Equal(t, []int64{1, 0}, []int64{available, reserved})

	out, err = client("http://127.0.0.1:1", "go", "run", ".", product.String())
	require.Error(t, err, out)
	require.Contains(t, out, "place the order: ")
	require.NotContains(t, out, "panic")
}

// TestLastUnitExample runs the script: of a hundred buyers one gets the unit.
func TestLastUnitExample(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	script, err := os.ReadFile("../../examples/last-unit.sh")
	require.NoError(t, err)
	out := paste(t, p, string(script), map[string]string{
		"SHOP=http://127.0.0.1:3000": "SHOP=" + p.Gateway,
	})
	answers := map[string]int{}
	for _, line := range regexp.MustCompile(`(?m)^ +(\d+) × (.*)$`).FindAllStringSubmatch(out, -1) {
		answers[line[2]], err = strconv.Atoi(line[1])
		require.NoError(t, err)
	}
	const waits = "202  pending" // for a buyer whom a loaded machine has not decided about within ten seconds
	require.LessOrEqual(t, answers["201  reserved"], 1, out)
	require.Equal(t, 100, answers["201  reserved"]+answers["409  out_of_stock"]+answers[waits], out)
	if answers[waits] == 0 {
		require.Equal(t, 1, answers["201  reserved"], out)
		require.Contains(t, out, "available 0, reserved 1")
	}
}

// TestLoadExample: the k6 script sends what the contract takes to a path that the contract has. If k6 is built (make
// test-load builds it), it runs, and the stock agrees with its orders.
func TestLoadExample(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("../../examples/k6/orders.js")
	require.NoError(t, err)
	contract, err := os.ReadFile("../../api/openapi.yaml")
	require.NoError(t, err)
	for _, path := range regexp.MustCompile(`\$\{shop\}(/[a-z/]+)`).FindAllStringSubmatch(string(script), -1) {
		require.Contains(t, string(contract), "\n  "+path[1]+":\n")
	}
	for _, member := range []string{"product_id", "quantity", "payment_method", "ttl_seconds"} {
		require.Contains(t, string(script), member)
		require.Contains(t, string(contract), member+":")
	}
	require.Contains(t, string(script), pageProduct)
	if node, err := exec.LookPath("node"); err == nil {
		module := filepath.Join(t.TempDir(), "orders.mjs")
		require.NoError(t, os.WriteFile(module, script, 0o600))
		out, err := exec.CommandContext(t.Context(), node, "--check", module).CombinedOutput()
		require.NoError(t, err, strings.TrimSpace(string(out)))
	}

	k6, err := filepath.Abs("../../bin/tools/k6")
	require.NoError(t, err)
	if _, err := os.Stat(k6); err != nil {
		return
	}
	const rate, seconds = 5, 4
	p := platform.StartWith(t, "RATE_LIMIT_ORDERS", "0", "RATE_LIMIT_WRITES", "0")
	stock := p.Product(1000)
	run := exec.CommandContext(t.Context(), k6, "run", "--no-color", "--no-thresholds", // a loaded machine is slow
		"-e", "SHOP_URL="+p.Gateway, "-e", "TOKEN="+p.Token("load", auth.Customer), "-e", "PRODUCT="+stock.String(),
		"-e", fmt.Sprintf("RATE=%d", rate), "-e", fmt.Sprintf("DURATION=%ds", seconds), "-")
	run.Stdin = bytes.NewReader(script)
	out, err := run.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Regexp(t, `checks_succeeded\.+: 100\.00%`, string(out))
	require.Eventually(t, func() bool {
		available, reserved, _ := p.Available(stock)
		orders := p.Count("SELECT count(*) FROM orders WHERE customer_id = 'load' AND state = 'confirmed'")
		return orders >= rate*seconds && reserved == 0 && available == int64(1000-orders)
	}, 30*time.Second, 100*time.Millisecond)
}
