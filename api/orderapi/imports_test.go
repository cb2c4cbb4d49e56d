package orderapi_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestContractLinksNoTemporal: a Go client of the REST interface needs neither Temporal's SDK nor a server's packages.
func TestContractLinksNoTemporal(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "holdfast/api/orderapi").CombinedOutput()
	require.NoError(t, err, string(out))

	for _, dep := range strings.Fields(string(out)) {
		for _, unwanted := range []string{
			"go.temporal.io/", "github.com/gin-gonic/", "github.com/jackc/", "holdfast/workflows", "holdfast/db",
		} {
			require.False(t, strings.HasPrefix(dep, unwanted), dep)
		}
	}
}
