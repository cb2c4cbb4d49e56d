package apireference

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPageIsCurrent: the page has every operation as the documents have it now.
func TestPageIsCurrent(t *testing.T) {
	t.Parallel()
	want, err := Page()
	require.NoError(t, err)
	got, err := os.ReadFile("../../docs/api-reference.md")
	require.NoError(t, err)
	require.Equal(t, want, string(got), "run make generate")

	operations := 0
	for _, d := range documents {
		operations += strings.Count(string(d.spec), "operationId:")
	}
	require.Equal(t, operations, strings.Count(want, "\n### `"))
}
