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
	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"holdfast/tests/platform"
)

const operatorsGuide = "../../docs/guides/operators.md"

// inline is a command within a sentence or a table of a page.
var inline = regexp.MustCompile("`(temporal [^`]+)`")

// shell runs commands as the operators' guide tells a reader to.
type shell struct {
	*platform.Platform
	dir string
	job string // the last batch job that a command has started
}

// TestOperatorsGuide runs every `temporal` command of the operators' guide as it is written, each for an order of its
// own, and the block of commands of its section on resets.
func TestOperatorsGuide(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	_, errs, err := p.Run([]string{"deploy", "prepare", "--retention", "24h"}) // the adoption's schedule
	require.NoError(t, err, errs)
	text, err := os.ReadFile(operatorsGuide)
	require.NoError(t, err)
	s := &shell{Platform: p, dir: t.TempDir()}
	commands := inline.FindAllStringSubmatch(string(text), -1)
	require.Greater(t, len(commands), 50)
	for _, m := range commands {
		s.runCommand(t, m[1])
	}

	blocks := block.FindAllStringSubmatch(string(text), -1)
	require.Len(t, blocks, 4, "the set-up, a reset, and the audit once and by a Schedule, which have their own tests")
	versions := s.run(t, blocks[0][1], "")
	require.Contains(t, versions, "temporal version "+module(t, "tools/temporal", "github.com/temporalio/cli"))
	require.Contains(t, versions, module(t, "dev", "go.temporal.io/server"), "the server that the guide speaks of")
	s.resetBlock(t, blocks[1][1])
	s.tctlHabits(t)
}

// module is the version of a module that another module of this repository requires.
func module(t *testing.T, dir, name string) string {
	t.Helper()
	mod, err := os.ReadFile(filepath.Join("../..", dir, "go.mod"))
	require.NoError(t, err)
	m := regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(name) + ` v(\S+)`).FindSubmatch(mod)
	require.NotNil(t, m, name)
	return string(m[1])
}

// runCommand runs a command of the guide for an order of its own.
func (s *shell) runCommand(t *testing.T, command string) {
	t.Helper()
	order := s.Place("alice", http.StatusCreated, platform.OneLine(s.Product(2), 1)).Str("order_id")
	switch {
	case strings.Contains(command, "--follow"), strings.Contains(command, "trace"), strings.Contains(command, "delete"):
		s.Act("alice", order, "cancel", nil)
		s.Await("alice", order, "cancelled", 10*time.Second)
	case strings.Contains(command, "--archived"):
		out, err := s.try(t, command, order)
		require.Error(t, err, "the server has no archive: %s", out)
		return
	case strings.Contains(command, "$JOB"):
		require.NotEmpty(t, s.job, "a command above has started a job")
	}
	if strings.Contains(command, "batch terminate") { // the job has done its few orders already
		out, err := s.try(t, command, order)
		if err != nil {
			require.Contains(t, out, "already completed", "%s", command)
		}
		return
	}
	out := s.run(t, command, order)
	if strings.Contains(command, "task-queue describe") {
		require.Regexp(t, `(?m)^ +\d+@\S+ +\S`, out, "it lists the worker")
	}
}

// run runs commands, which must succeed, and returns their output.
func (s *shell) run(t *testing.T, commands, order string) string {
	t.Helper()
	out, err := s.try(t, commands, order)
	require.NoError(t, err, "%s\n%s", commands, out)
	if m := regexp.MustCompile(`(?i)batch.*job.*: *(\S+)`).FindStringSubmatch(out); m != nil {
		s.job = m[1]
	}
	return out
}

// try runs commands on the test's platform instead of that of make up.
func (s *shell) try(t *testing.T, commands, order string) (string, error) {
	t.Helper()
	tools, err := filepath.Abs("../../bin/tools")
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(tools, "temporal"), "run make bin/tools/temporal")
	commands = strings.NewReplacer("make bin/tools/temporal\n", "", "TEMPORAL_NAMESPACE=holdfast", "").Replace(commands)
	cmd := exec.CommandContext(t.Context(), "timeout", "60", "bash", "-euo", "pipefail", "-c", commands)
	cmd.Dir = s.dir
	cmd.Env = append(s.Environment(), "HOME="+t.TempDir(), "PATH="+tools+":"+os.Getenv("PATH"),
		"ORDER="+order, "JOB="+s.job, "BUILD_ID="+buildA)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// resetBlock places an order, terminates it as if by mistake, and continues it.
func (s *shell) resetBlock(t *testing.T, commands string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	product := s.Product(5)
	for old, own := range map[string]string{
		"http://127.0.0.1:3000":                s.Gateway,
		"90806882-983d-5164-87bd-3b84bc6ad730": product.String(),
		"bin/holdfast":                         filepath.Join(root, "bin", "holdfast"),
	} {
		require.Contains(t, commands, old)
		commands = strings.ReplaceAll(commands, old, own)
	}
	out := s.run(t, commands+"\necho order=$ORDER\n", "")

	m := regexp.MustCompile(`order=(\S+)`).FindStringSubmatch(out)
	require.NotNil(t, m, out)
	require.NoError(t, uuid.Validate(m[1]))
	s.Await("alice", m[1], "cancelled", 10*time.Second)
	require.Subset(t, s.Events("alice", m[1]), []string{"reserved", "cancelled"})
	available, reserved, _ := s.Available(product)
	require.Equal(t, []int64{5, 0}, []int64{available, reserved}, "the stock is back")
}

// tctlHabits checks what the guide says of tctl's commands that do not work.
func (s *shell) tctlHabits(t *testing.T) {
	t.Helper()
	const batcherQueue = "temporal-sys-batcher-taskqueue" // of tctl's batch jobs
	s.WithTemporal(func(c client.Client) {
		queue, err := c.WorkflowService().DescribeTaskQueue(t.Context(), &workflowservice.DescribeTaskQueueRequest{
			Namespace:     "temporal-system",
			TaskQueue:     &taskqueuepb.TaskQueue{Name: batcherQueue},
			TaskQueueType: enumspb.TASK_QUEUE_TYPE_WORKFLOW,
		})
		require.NoError(t, err)
		require.Empty(t, queue.GetPollers())
	})

	out, err := s.try(t, `temporal workflow list --query 'OrderStatus="reserved" ORDER BY StartTime'`, "")
	require.Error(t, err)
	require.Contains(t, out, "'ORDER BY' clause")
}
