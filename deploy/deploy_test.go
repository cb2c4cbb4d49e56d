// Package deploy_test checks the alerts and the dashboards.
package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"holdfast/tests/localservice"
)

// rulesFile is the part of a file of rules that the tests read.
type rulesFile struct {
	Groups []ruleGroup
}

type ruleGroup struct {
	Name  string
	Rules []rule
}

type rule struct {
	Record, Alert       string `yaml:",omitempty"`
	Expr                string
	Labels, Annotations map[string]string `yaml:",omitempty"`
}

func readRules(t *testing.T) (out rulesFile) {
	t.Helper()
	raw, err := os.ReadFile("prometheus/rules.yml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(raw, &out))
	return out
}

// promtool returns the path of promtool, which comes with Prometheus. It installs the package if it may; a user who may
// not install packages skips the test.
func promtool(t *testing.T) string {
	t.Helper()
	err := localservice.Install(t.Context(), func(message string) { t.Log(message) }, localservice.PrometheusPackage)
	if err != nil {
		t.Skip(err)
	}
	path, err := exec.LookPath("promtool")
	require.NoError(t, err)
	return path
}

// TestRules: promtool accepts the rules, and they fire and do not fire as the files of tests say.
func TestRules(t *testing.T) {
	t.Parallel()
	tool := promtool(t)
	for _, args := range [][]string{
		{"check", "rules", "prometheus/rules.yml"},
		{"check", "config", "--syntax-only", "prometheus/prometheus.yml"},
		{"test", "rules", "prometheus/rules_test.yml"},
		{"test", "rules", "prometheus/rules_days_test.yml"},
	} {
		out, err := exec.CommandContext(t.Context(), tool, args...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
}

// metricName matches what may be the name of a metric in a query, after the strings are taken out.
var (
	quoted     = regexp.MustCompile(`"(\\.|[^"\\])*"`)
	labelLists = regexp.MustCompile(`\{[^}]*\}|\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)|\[[^\]]*\]`)
	metricName = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`)
	suffix     = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// words of PromQL that our queries use and that are no metrics.
var promql = []string{
	"absent", "and", "avg_over_time", "bool", "histogram_quantile", "increase", "label_replace", "last_over_time", "max",
	"min", "or", "rate", "sum", "time", "topk", "unless", "vector",
}

// metricsOf returns the names of the metrics in a query.
func metricsOf(query string) []string {
	query = labelLists.ReplaceAllString(quoted.ReplaceAllString(query, ""), " ")
	var out []string
	for _, name := range metricName.FindAllString(query, -1) {
		if !slices.Contains(promql, name) && name != "le" && name != "e" {
			out = append(out, name)
		}
	}
	return out
}

// requireKnown fails if a query has a metric that docs/guides/metrics.md does not list. The rules record some, and
// Prometheus itself makes up.
func requireKnown(t *testing.T, where, query string) {
	t.Helper()
	raw, err := os.ReadFile("../docs/guides/metrics.md")
	require.NoError(t, err)
	recorded := []string{"up"}
	for _, g := range readRules(t).Groups {
		for _, r := range g.Rules {
			recorded = append(recorded, r.Record)
		}
	}

	names := metricsOf(query)
	require.NotEmpty(t, names, "%s: %s", where, query)
	for _, name := range names {
		if slices.Contains(recorded, name) {
			continue
		}
		known := strings.Contains(string(raw), "| `"+name+"`") ||
			strings.Contains(string(raw), "| `"+suffix.ReplaceAllString(name, "")+"`")
		require.True(t, known, "%s: docs/guides/metrics.md does not list %s", where, name)
	}
}

// TestAlerts: each alert has a severity, a summary, a runbook that names it, and a test in which it fires; its metrics
// exist.
func TestAlerts(t *testing.T) {
	t.Parallel()
	var tests []byte
	for _, name := range []string{"rules_test.yml", "rules_days_test.yml"} {
		file, err := os.ReadFile(filepath.Join("prometheus", name))
		require.NoError(t, err)
		tests = append(tests, file...)
	}
	alerts := 0
	for _, g := range readRules(t).Groups {
		for _, r := range g.Rules {
			requireKnown(t, r.Alert+r.Record, r.Expr)
			if r.Alert == "" {
				continue
			}
			alerts++
			require.Contains(t, []string{"page", "ticket"}, r.Labels["severity"], r.Alert)
			require.NotEmpty(t, r.Annotations["summary"], r.Alert)
			runbook := r.Annotations["runbook_url"]
			require.Regexp(t, `^docs/runbooks/[a-z-]+\.md$`, runbook, r.Alert)
			page, err := os.ReadFile(filepath.Join("..", runbook))
			require.NoError(t, err, r.Alert)
			require.Contains(t, string(page), "`"+r.Alert+"`", "%s does not name its alert", runbook)
			fires := regexp.MustCompile(`alertname: ` + r.Alert + `\n\s+exp_alerts:\n`)
			require.Regexp(t, fires, string(tests), "%s fires in no test", r.Alert)
		}
	}
	require.Greater(t, alerts, 15)
}

// TestRunbooks: the queries of the runbooks have metrics that exist, and each runbook of an alert says what it means,
// what customers notice, where to look, what to do, and when it is over.
func TestRunbooks(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../docs/runbooks/*.md")
	require.NoError(t, err)
	metric := regexp.MustCompile("`([^`\n]*[a-z]+_(total|seconds|state|bucket|open|operator|overdue|" +
		"pollers|messages|consumers|blocked|connected|connections|requests|violations)\\b[^`\n]*)`")
	found := 0
	for _, file := range pages {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		page := string(raw)
		if !strings.Contains(page, "\nAlerts: ") {
			continue
		}
		for _, part := range []string{
			"What it means", "What customers notice", "Look here", "Do this", "It is over when",
		} {
			require.Contains(t, page, "\n## "+part+"\n", file)
		}
		for _, m := range metric.FindAllStringSubmatch(page, -1) {
			if strings.HasPrefix(m[1], "process_") || strings.ContainsAny(m[1], "$/-") && !strings.Contains(m[1], "{") {
				continue
			}
			requireKnown(t, file, m[1])
			found++
		}
	}
	require.Greater(t, found, 30)
}
