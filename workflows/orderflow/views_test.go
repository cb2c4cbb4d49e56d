package orderflow_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/workflows/orderflow"
)

// TestViews: the guide has the queries and the columns of the views, and a customer's id cannot change a query.
func TestViews(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/guides/operators.md")
	require.NoError(t, err)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, v := range orderflow.ListViews(now, "alice") {
		query := strings.ReplaceAll(v.Query, "2026-01-02T04:04:05Z", "…")
		require.Contains(t, string(guide), "`"+query+"`", v.Name)
	}
	columns := []string{}
	for _, c := range orderflow.ListColumns() {
		columns = append(columns, `{"label":"`+c+`"}`)
	}
	require.Contains(t, string(guide), "["+strings.Join(columns, ",")+"]")

	views := orderflow.ListViews(now, `x' OR 'a'='a`)
	last := views[len(views)-1]
	require.Equal(t, `CustomerId = 'x\' OR \'a\'=\'a'`, last.Query)
	require.Equal(t, "http://ui/namespaces/holdfast/workflows?query="+
		"CustomerId%20%3D%20%27x%5C%27%20OR%20%5C%27a%5C%27%3D%5C%27a%27", last.URL("http://ui/", "holdfast"))
}
