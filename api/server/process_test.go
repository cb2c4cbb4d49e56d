package server

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/temporalclient"
	"holdfast/tests/testenv"
	"holdfast/workflows/orderflow"
)

// TestReadinessNamesWhatIsMissing probes a Temporal server on which `deploy prepare` has not run.
func TestReadinessNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	cfg := temporalclient.Config{
		Address:   testenv.Temporal(t, nil).Address,
		Namespace: "ready-" + strings.ToLower(uuid.NewString()),
	}
	c, err := temporalclient.Lazy(cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer c.Close()
	probe := temporalclient.ProbeNamespace(c, cfg.Namespace, orderflow.SearchAttributes())
	require.EqualError(t, probe(t.Context()), "namespace "+cfg.Namespace+" does not exist; run `holdfast deploy prepare`")

	some := orderflow.SearchAttributes()
	delete(some, orderflow.AttrExpiresAt.GetName())
	delete(some, orderflow.AttrCustomerID.GetName())
	require.NoError(t, temporalclient.EnsureNamespace(t.Context(), cfg, 24*time.Hour, some))
	require.EqualError(t, probe(t.Context()), "namespace "+cfg.Namespace+
		" lacks the search attributes CustomerId, ExpiresAt; run `holdfast deploy prepare`")

	require.NoError(t, temporalclient.EnsureNamespace(t.Context(), cfg, 24*time.Hour, orderflow.SearchAttributes()))
	require.NoError(t, probe(t.Context()))
	require.NoError(t, probe(t.Context()), "and it stays so")

	current := temporalclient.ProbeCurrentVersion(c, orderflow.DeploymentName)
	require.EqualError(t, current(t.Context()), "no worker of the deployment "+orderflow.DeploymentName+
		" has polled yet; start one, then run `holdfast deploy set-current BUILD_ID`")
}
