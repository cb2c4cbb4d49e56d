package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/tests/platform"
)

// block is a block of commands in a page.
var block = regexp.MustCompile("(?s)```sh\n(.*?)```")

// The product that the pages order, by its id and its SKU.
const (
	pageProduct = "90806882-983d-5164-87bd-3b84bc6ad730"
	pageSKU     = "BAG-GRA"
)

const (
	readme         = "README.md"
	quickReference = "docs/guides/quick-reference.md"
	stockGuide     = "docs/guides/stock.md"
	dataGuide      = "docs/guides/data.md"
)

// blocks returns the blocks of commands of a page.
func blocks(t *testing.T, page string) (out []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", page))
	require.NoError(t, err)
	for _, m := range block.FindAllStringSubmatch(string(text), -1) {
		out = append(out, m[1])
	}
	return out
}

// only returns the one block of a page that has the given text.
func only(t *testing.T, page, text string) string {
	t.Helper()
	var found []string
	for _, b := range blocks(t, page) {
		if strings.Contains(b, text) {
			found = append(found, b)
		}
	}
	require.Len(t, found, 1, "blocks of %s with %s", page, text)
	return found[0]
}

// paste runs a block on the test's platform instead of that of make up, as a reader who pastes it does. Every command
// must succeed.
func paste(t *testing.T, p *platform.Platform, commands string, own map[string]string) string {
	t.Helper()
	own["http://127.0.0.1:3000"] = p.Gateway
	for old, ours := range own {
		commands = strings.ReplaceAll(commands, old, ours)
	}
	require.NotContains(t, commands, "127.0.0.1:3000/")

	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", commands)
	cmd.Dir = "../.."
	cmd.Env = append(p.Environment(), "HOME="+t.TempDir(), "PATH="+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// readmeCommands runs every command of the README. A block that this test does not know fails it.
func readmeCommands(t *testing.T, p *platform.Platform) {
	all := blocks(t, readme)
	require.Len(t, all, 2, "a block of commands in the README needs a test here")

	makefile, err := os.ReadFile("../../Makefile")
	require.NoError(t, err)
	for _, line := range strings.Split(strings.TrimSpace(all[0]), "\n") { // `make smoke` runs them
		target := strings.Fields(line)
		require.Equal(t, "make", target[0], line)
		require.Contains(t, string(makefile), "\n"+target[1]+":")
	}

	product := p.Product(5)
	customer := "reader-" + uuid.NewString()
	require.Equal(t, 5, strings.Count(all[1], "bin/holdfast order "))
	out := paste(t, p, all[1], map[string]string{
		"bin/holdfast order": "bin/holdfast order --gateway " + p.Gateway + " --sub " + customer,
		pageSKU:              product.String(),
	})
	for _, state := range []string{" is reserved (", " is confirmed (", " is cancelled (", "The stock is held until "} {
		require.Equal(t, 1, strings.Count(out, state), "%s in\n%s", state, out)
	}
	require.Eventually(t, func() bool { // the order's debts are paid after the answer
		available, reserved, _ := p.Available(product)
		return available == 5 && reserved == 0
	}, 10*time.Second, 50*time.Millisecond, "the stock is back")
}

// orderCommands: `holdfast order` finds a product by its SKU and an order by its number, and says what is wrong.
func orderCommands(t *testing.T, p *platform.Platform) {
	product := p.Product(3)
	sku := "T-" + strings.ToUpper(product.String()[:13])
	customer := "reader-" + uuid.NewString()
	run := func(args ...string) (string, error) {
		out, errs, err := p.Run(append([]string{"order", "--gateway", p.Gateway, "--sub", customer}, args...))
		return out + errs, err
	}

	out, err := run("pay")
	require.Error(t, err)
	require.Contains(t, out, "the customer has no such order")
	out, err = run("list")
	require.NoError(t, err, out)
	require.Contains(t, out, customer+" has no orders; `holdfast order place PRODUCT` places one.")
	_ = p.Product(1)
	out, err = run("products", "--limit", "1")
	require.NoError(t, err, out)
	require.Regexp(t, `(?m)^1 of (more than )?\d+; --limit N shows more`, out)
	_, err = run("products", "--limit", "201")
	require.Error(t, err)
	out, err = run("place", "NO-SUCH-SKU")
	require.Error(t, err)
	require.Contains(t, out, `no product has the SKU "NO-SUCH-SKU"`)
	out, err = run("place", sku, "4")
	require.Error(t, err)
	require.Contains(t, out, "out_of_stock")

	out, err = run("place", sku, "2")
	require.NoError(t, err, out)
	number := regexp.MustCompile(`HF-\d+`).FindString(out)
	require.NotEmpty(t, number, out)
	out, err = run("pay", number, "--card", "pm_declined")
	require.Error(t, err)
	require.Contains(t, out, "payment_declined")
	require.Contains(t, out, "Declined payments: 1. The third one ends the order.")
	out, err = run("pay", number)
	require.NoError(t, err, out)
	out, err = run("place", sku, "1", "--card", "pm_declined")
	require.Error(t, err)
	require.Contains(t, out, "Declined payments: 1. The third one ends the order.")
	out, err = run("pay")
	require.NoError(t, err, out)
	require.Regexp(t, `HF-\d+, 12\.50 EUR, is confirmed`, out)
	out, err = run("list", "--limit", "1")
	require.NoError(t, err, out)
	require.Contains(t, out, "The newest 1; --limit N shows more.")
	out, err = run("show", number)
	require.NoError(t, err, out)
	require.Contains(t, out, "payment_declined")
}

// quickReferenceCommands runs the requests of the quick reference, and compares their statuses.
func quickReferenceCommands(t *testing.T, p *platform.Platform) {
	product := p.Product(20)
	dir, customer := t.TempDir(), "reader-"+uuid.NewString()
	own := func() map[string]string {
		return map[string]string{pageProduct: product.String(), "/tmp/": dir + "/", "--sub alice": "--sub " + customer}
	}

	out := paste(t, p, only(t, quickReference, "pm_declined"), own())
	var statuses []string
	for _, line := range strings.Split(out, "\n") {
		if regexp.MustCompile(`^\d{3}$`).MatchString(line) {
			statuses = append(statuses, line)
		}
	}
	require.Equal(t, []string{"200", "201", "200", "402", "200", "200", "200", "200", "200", "201"}, statuses, out)

	out = paste(t, p, only(t, quickReference, "most-reserved"), own())
	require.NotContains(t, out, "correlation_id", "no answer is an error")
}

// stockCommands runs the requests of the guides on stock and on data.
func stockCommands(t *testing.T, p *platform.Platform) {
	product := p.Product(20)
	code := "annex-" + uuid.NewString()[:8]
	out := paste(t, p, only(t, stockGuide, "transfer"), map[string]string{
		pageProduct: product.String(),
		"annex":     code,
		"main":      "main",
	})
	require.NotContains(t, out, "correlation_id", "no answer is an error")

	out = paste(t, p, only(t, dataGuide, "products/import"), map[string]string{"MUG-NEW": "MUG-" + code})
	require.Contains(t, out, `"created"`, out)
}

// operatorCommands runs the block of the quick reference that uses Temporal's own tool. It makes an order and ends with
// it cancelled. TestOperatorsGuide has the other page.
func operatorCommands(t *testing.T, p *platform.Platform) {
	tool, err := filepath.Abs("../../bin/tools/temporal")
	require.NoError(t, err)
	require.FileExists(t, tool, "run make bin/tools/temporal")

	order := runBlock(t, p, only(t, quickReference, "temporal workflow"))
	last := p.Await("alice", order, "cancelled", 10*time.Second)
	require.Equal(t, http.StatusOK, last.Status)
	require.Subset(t, p.Events("alice", order), []string{"reserved", "cancelled"})
}

// runBlock runs a block that places one order and cancels it, and returns the order.
func runBlock(t *testing.T, p *platform.Platform, commands string) (order string) {
	product := p.Product(5)
	out := paste(t, p, commands+"\necho order=$ORDER\n", map[string]string{
		"make bin/tools/temporal":     "true",
		"TEMPORAL_NAMESPACE=holdfast": "TEMPORAL_NAMESPACE=" + p.Namespace(),
		pageProduct:                   product.String(),
	})
	require.Contains(t, out, "cancelled", "the order's end, as the last command shows it")

	m := regexp.MustCompile(`order=(\S+)`).FindStringSubmatch(out)
	require.NotNil(t, m, "%s", out)
	require.NoError(t, uuid.Validate(m[1]))
	available, reserved, _ := p.Available(product)
	require.Equal(t, []int64{5, 0}, []int64{available, reserved}, "the stock is back")
	return m[1]
}
