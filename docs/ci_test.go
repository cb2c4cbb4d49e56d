package docs_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// internalTargets are targets that other targets need, and people do not.
var internalTargets = []string{"writable", "bin/holdfast", "bin/holdfast-dev"}

// TestHelpIsComplete: `make help` lists every target that people use.
func TestHelpIsComplete(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("../Makefile")
	require.NoError(t, err)
	phony := regexp.MustCompile(`(?m)^\.PHONY: (.*)$`).FindStringSubmatch(string(makefile))
	require.NotNil(t, phony)
	for _, target := range strings.Fields(phony[1]) {
		if !slices.Contains(internalTargets, target) {
			require.Regexp(t, `(?m)^`+regexp.QuoteMeta(target)+`:.*## \S`, string(makefile), "%s has no help", target)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^([a-zA-Z_-]+):.*## `).FindAllStringSubmatch(string(makefile), -1) {
		require.Contains(t, strings.Fields(phony[1]), m[1], "a file named %s would hide the target", m[1])
	}
}

// TestWorkflowOfCI: each job runs targets that exist, ends in time, and counts in the summary.
func TestWorkflowOfCI(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("../Makefile")
	require.NoError(t, err)
	raw, err := os.ReadFile("../.github/workflows/ci.yml")
	require.NoError(t, err)
	var file struct {
		Jobs map[string]struct {
			Needs   any
			Timeout int `yaml:"timeout-minutes"`
			Steps   []struct{ Run string }
		}
	}
	require.NoError(t, yaml.Unmarshal(raw, &file))

	all, ok := file.Jobs["summary"].Needs.([]any)
	require.True(t, ok)
	ran := []string{}
	for name, job := range file.Jobs {
		if name == "summary" {
			continue
		}
		require.Contains(t, all, name, "the summary does not wait for %s", name)
		for _, step := range job.Steps {
			for _, m := range regexp.MustCompile(`\bmake ([a-z-]+)`).FindAllStringSubmatch(step.Run, -1) {
				require.Contains(t, string(makefile), "\n"+m[1]+":", name)
				require.Positive(t, job.Timeout, "%s has no limit", name)
				ran = append(ran, m[1])
			}
		}
	}
	require.Subset(t, ran, []string{
		"build", "test-short", "verify", "lint", "security", "test", "smoke", "cover", "images", "test-compose",
		"test-containers",
	})
}
