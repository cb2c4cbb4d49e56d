package temporalserver_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"holdfast/dev/temporalserver"
	"holdfast/internal/temporalclient"
	"holdfast/tests/testenv"
)

// The Temporal server leaves goroutines behind when it stops, for example its own system workers. A program that
// then ends does not need to care, so this package does not check for leaked goroutines.
func TestMain(m *testing.M) { os.Exit(testenv.Run(m)) }

var attributes = map[string]enumspb.IndexedValueType{
	"OrderStatus": enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	"OrderTotal":  enumspb.INDEXED_VALUE_TYPE_INT,
	"ExpiresAt":   enumspb.INDEXED_VALUE_TYPE_DATETIME,
}

var orderStatus = temporal.NewSearchAttributeKeyKeyword("OrderStatus")

// greet works like an order: it is started together with an update, and the update changes its search
// attribute.
func greet(ctx workflow.Context, name string) (string, error) {
	var greeted string
	err := workflow.SetUpdateHandler(ctx, "greet", func(ctx workflow.Context) (string, error) {
		err := workflow.UpsertTypedSearchAttributes(ctx, orderStatus.ValueSet("greeted"))
		greeted = "hello " + name
		return greeted, err
	})
	if err != nil {
		return "", err
	}
	done := func() bool { return greeted != "" && workflow.AllHandlersFinished(ctx) }
	if err := workflow.Await(ctx, done); err != nil {
		return "", err
	}
	return greeted, nil
}

func TestStartsAgainOnItsDatabase(t *testing.T) {
	t.Parallel()
	server := start(t, temporalserver.Config{Database: "again", UIPort: temporalserver.NoUI})
	cfg := temporalclient.Config{Address: server.Address(), Namespace: "orders"}
	for range 2 { // the second call finds everything there
		require.NoError(t, temporalclient.EnsureNamespace(t.Context(), cfg, temporalclient.Retention, attributes))
	}
	require.Equal(t, "hello Ada", runVersioned(t, cfg, "order-1", "Ada"))
	require.NoError(t, server.Stop())

	server = start(t, temporalserver.Config{Database: "again", UIPort: temporalserver.NoUI})
	cfg.Address = server.Address()
	c := dial(t, cfg)
	have, err := c.OperatorService().ListSearchAttributes(t.Context(),
		&operatorservice.ListSearchAttributesRequest{Namespace: "orders"})
	require.NoError(t, err)
	for name, kind := range attributes {
		require.Equal(t, kind, have.GetCustomAttributes()[name], name)
	}
	var result string
	require.NoError(t, c.GetWorkflow(t.Context(), "order-1", "").Get(t.Context(), &result))
	require.Equal(t, "hello Ada", result, "the history is still there")
	require.Equal(t, "hello Lin", runVersioned(t, cfg, "order-2", "Lin"))
}

// runVersioned makes a worker's version the current one of its deployment, as a roll-out does, and
// runs a workflow on it by update-with-start.
func runVersioned(t *testing.T, cfg temporalclient.Config, id, name string) string {
	t.Helper()
	c := dial(t, cfg)
	version := worker.WorkerDeploymentVersion{DeploymentName: "greetings", BuildID: "build-" + id}
	w := worker.New(c, "greetings", worker.Options{DeploymentOptions: worker.DeploymentOptions{
		UseVersioning:             true,
		Version:                   version,
		DefaultVersioningBehavior: workflow.VersioningBehaviorPinned,
	}})
	w.RegisterWorkflow(greet)
	require.NoError(t, w.Start())
	defer w.Stop()

	deployment := c.WorkerDeploymentClient().GetHandle(version.DeploymentName)
	require.Eventually(t, func() bool { // the version is known once its worker has polled
		_, err := deployment.SetCurrentVersion(t.Context(),
			client.WorkerDeploymentSetCurrentVersionOptions{BuildID: version.BuildID})
		return err == nil
	}, 30*time.Second, 100*time.Millisecond)

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	handle, err := c.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: c.NewWithStartWorkflowOperation(client.StartWorkflowOptions{
			ID:                       id,
			TaskQueue:                "greetings",
			WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
			TypedSearchAttributes:    temporal.NewSearchAttributes(orderStatus.ValueSet("started")),
		}, greet, name),
		UpdateOptions: client.UpdateWorkflowOptions{
			UpdateName:   "greet",
			WaitForStage: client.WorkflowUpdateStageCompleted,
		},
	})
	require.NoError(t, err)
	var greeting, result string
	require.NoError(t, handle.Get(ctx, &greeting))
	require.NoError(t, c.GetWorkflow(ctx, id, "").Get(ctx, &result))
	require.Equal(t, greeting, result)

	seen, err := c.DescribeWorkflowExecution(ctx, id, "")
	require.NoError(t, err)
	ran := seen.GetWorkflowExecutionInfo().GetVersioningInfo().GetDeploymentVersion()
	require.Equal(t, version.BuildID, ran.GetBuildId(), "the workflow ran on the version that was made current")
	return result
}

func TestConflictingSearchAttributeIsRefused(t *testing.T) {
	t.Parallel()
	cfg := testenv.Temporal(t, map[string]enumspb.IndexedValueType{"Size": enumspb.INDEXED_VALUE_TYPE_KEYWORD})
	err := temporalclient.EnsureNamespace(t.Context(), cfg, temporalclient.Retention,
		map[string]enumspb.IndexedValueType{"Size": enumspb.INDEXED_VALUE_TYPE_INT})
	require.ErrorContains(t, err, "search attribute Size of namespace "+cfg.Namespace+" has the type Keyword, not Int")
}

func TestWebUI(t *testing.T) {
	t.Parallel()
	server := start(t, temporalserver.Config{Database: "ui"})
	for _, path := range []string{"/", "/api/v1/cluster-info"} { // the page, and the server behind it
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.UIURL()+path, nil)
		require.NoError(t, err)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode, path)
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestWebUIOffersWhatIsRightForAnOrder reads the settings that the UI's pages read before they show a button.
func TestWebUIOffersWhatIsRightForAnOrder(t *testing.T) {
	t.Parallel()
	server := start(t, temporalserver.Config{Database: "settings"})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.UIURL()+"/api/v1/settings", nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	var settings map[string]any
	require.NoError(t, json.NewDecoder(res.Body).Decode(&settings))
	for name, hidden := range map[string]bool{
		"StartWorkflowDisabled":     true,
		"WorkflowSignalDisabled":    true,
		"WorkflowUpdateDisabled":    true,
		"WorkflowPauseDisabled":     true,
		"ActivityCommandsDisabled":  true,
		"WorkflowResetDisabled":     false,
		"WorkflowCancelDisabled":    false,
		"WorkflowTerminateDisabled": false,
		"DisableWriteActions":       false,
	} {
		require.Equal(t, hidden, settings[name], name)
	}
}

func TestTakenPortIsAnError(t *testing.T) {
	t.Parallel()
	other, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, other.Close()) }()
	port := other.Addr().(*net.TCPAddr).Port
	_, err = temporalserver.Start(t.Context(), temporalserver.Config{
		PostgresURL:  testenv.Postgres(t),
		Database:     "taken",
		FrontendPort: port,
	})
	require.ErrorContains(t, err, "port "+strconv.Itoa(port)+" is taken")
}

func start(t *testing.T, cfg temporalserver.Config) *temporalserver.Server {
	t.Helper()
	cfg.PostgresURL = testenv.Postgres(t)
	began := time.Now()
	server, err := temporalserver.Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Logf("the Temporal server started in %v", time.Since(began).Round(time.Millisecond))
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	return server
}

func dial(t *testing.T, cfg temporalclient.Config) client.Client {
	t.Helper()
	c, err := temporalclient.Dial(t.Context(), cfg, nil)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}
