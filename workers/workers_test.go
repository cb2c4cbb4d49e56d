package workers

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/auth/authtest"
	"holdfast/internal/database"
	"holdfast/internal/payment/provider"
	"holdfast/internal/service"
	"holdfast/internal/telemetry"
	"holdfast/internal/temporalclient"
	"holdfast/inventory/inventoryclient"
	"holdfast/tests/testenv"
	"holdfast/workflows/orderflow"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// TestReadinessNamesWhatIsMissing: a worker that starts before `deploy prepare` says so until it was run, and polls
// afterwards without a restart. Then it says until `deploy set-current` was run that no version is current.
func TestReadinessNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	inventory := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"status":"ready"}`))
	}))
	defer inventory.Close()
	cfg := Config{
		DatabaseURL:    testenv.Database(t),
		Inventory:      inventoryclient.Config{URLs: []string{inventory.URL}},
		Payment:        provider.Config{Name: provider.Sandbox, SandboxURL: inventory.URL},
		ServiceKeys:    []string{"a-key"},
		Internal:       authtest.Internal,
		Listen:         "127.0.0.1:0",
		DeploymentName: orderflow.DeploymentName,
		BuildID:        "ready",
		Temporal: temporalclient.Config{
			Address:   testenv.Temporal(t, nil).Address,
			Namespace: "ready-" + strings.ToLower(uuid.NewString()),
		},
		Pool:    database.Pool{MaxConns: 2, ConnectTimeout: 5 * time.Second},
		Polling: Polling{MinPollers: 1, MaxPollers: 2, WorkflowTasks: 2, Activities: 2, CachedWorkflows: 10},
	}
	_, err := database.Migrate(t.Context(), cfg.DatabaseURL, database.Orders)
	require.NoError(t, err)

	address := make(chan string, 1)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, cfg, service.Env{
			Log:      slog.New(slog.DiscardHandler),
			Registry: telemetry.NewRegistry(),
			OnListen: func(a net.Addr) { address <- a.String() },
		})
	}()
	defer func() {
		stop()
		require.NoError(t, <-ended)
	}()
	url := "http://" + <-address + "/ready"
	ready := func() (status int, failing map[string]string) {
		res, err := http.Get(url)
		require.NoError(t, err)
		defer func() { _ = res.Body.Close() }()
		var body struct {
			Checks []struct{ Name, Error string }
		}
		require.NoError(t, json.NewDecoder(res.Body).Decode(&body))
		failing = map[string]string{}
		for _, c := range body.Checks {
			if c.Error != "" {
				failing[c.Name] = c.Error
			}
		}
		return res.StatusCode, failing
	}

	status, failing := ready()
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "namespace "+cfg.Temporal.Namespace+" does not exist; run `holdfast deploy prepare`",
		failing["temporal"])

	require.NoError(t,
		temporalclient.EnsureNamespace(t.Context(), cfg.Temporal, 24*time.Hour, orderflow.SearchAttributes()))
	status, failing = ready()
	require.Equal(t, http.StatusOK, status, failing)
	require.Contains(t, failing["worker_version"], "run `holdfast deploy set-current BUILD_ID`")

	c, err := temporalclient.Dial(t.Context(), cfg.Temporal, nil)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, MakeCurrent(t.Context(), c, cfg.DeploymentName, cfg.BuildID), "the worker polls now")
	status, failing = ready()
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, failing)
	http.DefaultClient.CloseIdleConnections()
}
