package gateway

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"holdfast/api"
	"holdfast/internal/auth"
	"holdfast/internal/deadletter"
	"holdfast/internal/merchantwebhook"
	"holdfast/internal/notification"
	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
)

// TestEveryOperationDeclaresItsRoles: every operation that is not inventory's has x-gateway, without which no client
// could reach it, and the gateway refuses a role that the operation does not declare.
func TestEveryOperationDeclaresItsRoles(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string][]byte{
		"orders":        api.Spec,
		"dead messages": deadletter.OpenAPI,
		"webhooks":      merchantwebhook.OpenAPI,
		"notifications": notification.OpenAPI,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireRoles(t, spec)
		})
	}
}

var pathParameter = regexp.MustCompile(`:\w+`)

func requireRoles(t *testing.T, spec []byte) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(spec)
	require.NoError(t, err)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			require.Contains(t, op.Extensions, "x-gateway", "%s %s", method, path)
		}
	}

	edge := startSaying(t)
	offered, err := routes(spec)
	require.NoError(t, err)
	for _, r := range offered {
		at := pathParameter.ReplaceAllString(r.path, "1")
		for _, role := range auth.Roles() {
			by, status, _ := reached(t, edge, role, r.method, at)
			if slices.Contains(r.roles, role) {
				require.Equal(t, "other", by, "%s: %s %s", role, r.method, at)
				continue
			}
			require.Equal(t, http.StatusForbidden, status, "%s: %s %s", role, r.method, at)
		}
	}
}

// TestLimitsAreTheServices compares the limits of imports in the documents with the limits of the services.
func TestLimitsAreTheServices(t *testing.T) {
	t.Parallel()
	stock, err := routes(inventory.OpenAPI)
	require.NoError(t, err)
	at := slices.IndexFunc(stock, func(r route) bool { return r.path == inventoryapi.ImportPath })
	large, err := largeBodies(contracts)
	require.NoError(t, err)
	require.EqualValues(t, inventoryapi.MaxImportBytes, large[inventoryapi.ImportPath])
	require.Equal(t, inventoryapi.ImportTimeout, stock[at].timeout)
	require.True(t, stock[at].namesActor)

	orders, err := routes(api.Spec)
	require.NoError(t, err)
	for path, timeout := range map[string]time.Duration{
		"GET /api/orders":                5 * time.Second,
		"POST /api/products":             10 * time.Second,
		"POST /api/orders":               15 * time.Second,
		"POST /api/orders/:order_id/pay": 15 * time.Second,
	} {
		at := slices.IndexFunc(orders, func(r route) bool { return r.method+" "+r.path == path })
		require.Equal(t, timeout, orders[at].timeout, path)
	}
}

// TestDocumentThatCannotBeRead: a document that the gateway cannot read stops it at its start.
func TestDocumentThatCannotBeRead(t *testing.T) {
	t.Parallel()
	const document = `{"openapi":"3.0.3","info":{"title":"t","version":"1"},
		"paths":{"/a":{"get":{%s"responses":{"200":{"description":"ok"}}}}}}`
	for _, c := range []struct{ says, fault string }{
		{``, ""},
		{`"x-gateway":["customer"],`, ""},
		{`"x-gateway":["owner"],`, `there is no role "owner"`},
		{`"x-gateway":"customer",`, "the roles are a list"},
		{`"x-gateway":["customer"],"x-timeout":"soon",`, `x-timeout is "soon"`},
	} {
		_, err := routes([]byte(strings.Replace(document, "%s", c.says, 1)))
		if c.fault == "" {
			require.NoError(t, err, c.says)
			continue
		}
		require.ErrorContains(t, err, c.fault)
	}
}
