package deploy_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// dashboard is the part of a dashboard that the tests read.
type dashboard struct {
	UID, Title string
	Templating struct {
		List []struct{ Name, Type string }
	}
	Panels []struct {
		ID          int
		Type, Title string
		Datasource  struct{ UID string }
		Targets     []struct {
			RefID, Expr string
			Datasource  struct{ UID string }
		}
		GridPos struct{ X, Y, W, H int }
	}
}

// TestDashboards: each dashboard can be provisioned and takes its data source from a variable. Each of its queries is
// valid, and about metrics that exist.
func TestDashboards(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("grafana/dashboards/*.json")
	require.NoError(t, err)
	want := []string{"inventory", "messaging", "orders", "overview", "services", "temporal-workers"}
	variable := regexp.MustCompile(`\$\w+`)
	ids, all := map[string]string{}, rulesFile{}
	all.Groups = append(all.Groups, ruleGroup{Name: "queries"})
	for i, file := range files {
		require.Equal(t, want[i]+".json", filepath.Base(file))
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		var d dashboard
		require.NoError(t, json.Unmarshal(raw, &d), file)
		require.NotEmpty(t, d.Title, file)
		require.NotEmpty(t, d.UID, file)
		require.Empty(t, ids[d.UID], "%s and %s have the same uid", file, ids[d.UID])
		ids[d.UID] = file
		require.Equal(t, "datasource", d.Templating.List[0].Type, file)

		queries := 0
		panels := map[int]bool{}
		for _, p := range d.Panels {
			require.False(t, panels[p.ID], "%s: %s has the id of another panel", file, p.Title)
			panels[p.ID] = true
			require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
			if p.Type == "row" {
				continue
			}
			require.Equal(t, "${datasource}", p.Datasource.UID, p.Title)
			require.NotEmpty(t, p.Targets, p.Title)
			for _, q := range p.Targets {
				queries++
				require.Equal(t, "${datasource}", q.Datasource.UID, p.Title)
				query := variable.ReplaceAllString(q.Expr, "")
				if strings.HasPrefix(query, "vector(") { // a line that marks a threshold
					continue
				}
				requireKnown(t, file+": "+p.Title, query)
				expr := strings.NewReplacer("$__rate_interval", "5m", "$service", ".*").Replace(q.Expr)
				all.Groups[0].Rules = append(all.Groups[0].Rules, rule{
					Record: fmt.Sprintf("query_%d", len(all.Groups[0].Rules)),
					Expr:   expr,
				})
			}
		}
		require.Greater(t, queries, 8, file)
	}
	require.Len(t, files, len(want))

	// promtool reads each query as the expression of a rule.
	raw, err := yaml.Marshal(all)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "queries.yml")
	require.NoError(t, os.WriteFile(file, raw, 0o600))
	out, err := exec.CommandContext(t.Context(), promtool(t), "check", "rules", "--lint=none", file).CombinedOutput()
	require.NoError(t, err, string(out))
}
