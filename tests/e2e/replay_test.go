package e2e

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/tests/platform"
	"holdfast/workflows/orderflow"
)

// exitStatus is the status of a command that has ended.
func exitStatus(t testing.TB, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	return exit.ExitCode()
}

// replayCommand replays orders of the server and files, good ones and a changed one.
func replayCommand(t *testing.T, p *platform.Platform) {
	product := p.Product(5)
	open := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")
	paid := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")
	require.Equal(t, http.StatusOK, p.Pay("alice", paid, "pm_ok").Status)
	workflows := []string{
		orderflow.OrderWorkflowID(uuid.MustParse(open)),
		orderflow.OrderWorkflowID(uuid.MustParse(paid)),
	}

	for _, w := range workflows {
		out, errs, err := p.Run([]string{"replay", "--workflow-id", w})
		require.Equal(t, 0, exitStatus(t, err), errs)
		require.Contains(t, out, "ok        "+w)
	}

	query := "CustomerId IS NOT NULL AND WorkflowId IN ('" + strings.Join(workflows, "', '") + "')"
	require.Eventually(t, func() bool { // Temporal's list of workflows is behind
		out, errs, err := p.Run([]string{"replay", "--query", query, "--limit", "10"})
		require.Equal(t, 0, exitStatus(t, err), errs)
		return strings.Contains(out, "2 replayed: 2 ok, 0 diverge, 0 not read") && strings.Contains(errs, "replayed: 2 of 2")
	}, 30*time.Second, 100*time.Millisecond)
	out, errs, err := p.Run([]string{"replay", "--query", query, "--limit", "1"})
	require.Equal(t, 0, exitStatus(t, err), errs)
	require.Contains(t, out, "1 replayed")
	require.Contains(t, errs, "--limit 0 replays all")
	out, errs, err = p.Run([]string{"replay", "--open", "--limit", "5"})
	require.Equal(t, 0, exitStatus(t, err), "%s%s", out, errs)

	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.json"), filepath.Join(dir, "bad.json")
	history := p.History(workflows[1])
	require.NoError(t, os.WriteFile(good, history, 0o644))
	changed := bytes.Replace(history, []byte(`"EVENT_TYPE_TIMER_STARTED"`), []byte(`"EVENT_TYPE_TIMER_CANCELED"`), 1)
	require.NotEqual(t, history, changed)
	require.NoError(t, os.WriteFile(bad, changed, 0o644))
	out, errs, err = p.Run([]string{"replay", "--file", good, bad})
	require.Equal(t, 1, exitStatus(t, err), "%s%s", out, errs)
	require.Contains(t, out, "ok        "+good)
	require.Regexp(t, "diverges  "+bad+` \(\d+ events\)\n +at event \d+, Timer`, out)
	require.Contains(t, out, "2 replayed: 1 ok, 1 diverge, 0 not read")
}

// replayCommandFails says by status 2 that it has replayed nothing.
func replayCommandFails(t *testing.T, p *platform.Platform) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{}, "by one of --workflow-id, --file, --open and --query"},
		{[]string{"--open", "--query", "x"}, "by one of --workflow-id, --file, --open and --query"},
		{[]string{"--open", "--run-id", "x"}, "--run-id needs --workflow-id"},
		{[]string{"--open", "--limit", "-1"}, "--limit is -1: at least 0"},
		{[]string{"a.json"}, `"a.json" follows no --file`},
		{[]string{"--no-such-flag"}, "unknown flag"},
		{[]string{"--workflow-id", "order-" + uuid.NewString()}, "1 histories were not read"},
		{[]string{"--file", "/does/not/exist"}, "1 histories were not read"},
		{[]string{"--query", "NoSuchAttribute = 1"}, "NoSuchAttribute"},
	} {
		out, errs, err := p.Run(append([]string{"replay"}, c.args...))
		require.Equal(t, 2, exitStatus(t, err), "%v: %s%s", c.args, out, errs)
		require.Contains(t, errs, c.says)
	}
	_, errs, err := p.Run([]string{"replay", "--open"}, "TEMPORAL_ADDRESS", "127.0.0.1:1")
	require.Equal(t, 2, exitStatus(t, err), errs)
	require.Contains(t, errs, "nothing answers at 127.0.0.1:1; ")
}
