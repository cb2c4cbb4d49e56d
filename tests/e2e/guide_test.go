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

// operatorCommands runs the blocks of our pages that use Temporal's own tool, as a reader who pastes them does. Each
// makes an order of its own and ends with it cancelled.
func operatorCommands(t *testing.T, p *platform.Platform) {
	tool, err := filepath.Abs("../../bin/tools/temporal")
	require.NoError(t, err)
	require.FileExists(t, tool, "run make bin/tools/temporal")
	for page, events := range map[string][]string{
		"README.md": {"reserved", "cancelled"}, // TestOperatorsGuide has the other page
	} {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			p := p.For(t)
			text, err := os.ReadFile(filepath.Join("../..", page))
			require.NoError(t, err)
			ran := 0
			for _, m := range block.FindAllStringSubmatch(string(text), -1) {
				if !strings.Contains(m[1], "temporal workflow") {
					continue
				}
				ran++
				order := runBlock(t, p, m[1])
				last := p.Await("alice", order, "cancelled", 10*time.Second)
				require.Equal(t, http.StatusOK, last.Status)
				require.Subset(t, p.Events("alice", order), events)
			}
			require.Equal(t, 1, ran, "blocks with the tool's commands")
		})
	}
}

// runBlock runs a block on the test's platform instead of that of make up, and returns the order that it made. Every
// command must succeed.
func runBlock(t *testing.T, p *platform.Platform, commands string) (order string) {
	product := p.Product(5)
	for old, own := range map[string]string{
		"make bin/tools/temporal":              "true",
		"TEMPORAL_NAMESPACE=holdfast":          "TEMPORAL_NAMESPACE=" + p.Namespace(),
		"http://127.0.0.1:3000":                p.Gateway,
		"90806882-983d-5164-87bd-3b84bc6ad730": product.String(),
	} {
		require.Contains(t, commands, old)
		commands = strings.ReplaceAll(commands, old, own)
	}

	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", commands+"\necho order=$ORDER\n")
	cmd.Dir = "../.."
	cmd.Env = append(p.Environment(), "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "cancelled", "the order's end, as the last command shows it")

	m := regexp.MustCompile(`order=(\S+)`).FindStringSubmatch(string(out))
	require.NotNil(t, m, "%s", out)
	require.NoError(t, uuid.Validate(m[1]))
	available, reserved, _ := p.Available(product)
	require.Equal(t, []int64{5, 0}, []int64{available, reserved}, "the stock is back")
	return m[1]
}
