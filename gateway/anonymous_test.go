package gateway

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"holdfast/api"
	"holdfast/internal/auth"
	"holdfast/internal/auth/authtest"
	"holdfast/internal/deadletter"
	"holdfast/internal/httpx"
	"holdfast/internal/merchantwebhook"
	"holdfast/internal/notification"
	"holdfast/internal/servicekey"
	"holdfast/internal/servicetoken"
	"holdfast/inventory"
)

// documents are the OpenAPI documents of the platform, and the services that serve them.
var documents = []struct {
	name, service string
	spec          []byte
}{
	{"orders", servicetoken.API, api.Spec},
	{"inventory", servicetoken.Inventory, inventory.OpenAPI},
	{"dead messages", servicetoken.Events, deadletter.OpenAPI},
	{"webhooks", servicetoken.Events, merchantwebhook.OpenAPI},
	{"notifications", servicetoken.Events, notification.OpenAPI},
}

// TestNothingWithoutAToken: without a token, the gateway forwards none of the operations of any document.
func TestNothingWithoutAToken(t *testing.T) {
	t.Parallel()
	forwarded := 0
	edge := start(t, func(http.ResponseWriter, *http.Request) { forwarded++ })
	asked := 0
	for _, d := range documents {
		doc, err := openapi3.NewLoader().LoadFromData(d.spec)
		require.NoError(t, err)
		for path, item := range doc.Paths.Map() {
			for method, op := range item.Operations() {
				at := pathParameter.ReplaceAllString(httpx.Route(path), "1")
				status := request(t, edge, method+" "+at, "", "", "", nil).StatusCode
				asked++
				if op.Extensions["x-gateway"] != nil {
					require.Equal(t, http.StatusUnauthorized, status, "%s %s", method, at)
				}
				require.GreaterOrEqual(t, status, http.StatusUnauthorized, "%s %s", method, at)
			}
		}
	}
	require.Greater(t, asked, 80)
	require.Zero(t, forwarded)
}

// TestServicesHoldEveryRouteInEveryRole: behind the gateway, each service admits each role to the operations that
// declare it and to no others, and a service key and a token without a user only where our own services may act.
func TestServicesHoldEveryRouteInEveryRole(t *testing.T) {
	t.Parallel()
	for _, d := range documents {
		doc, err := openapi3.NewLoader().LoadFromData(d.spec)
		require.NoError(t, err)
		router := gin.New()
		guarded := router.Group("", authtest.Guard(t, d.service, d.spec).Require)
		for path, item := range doc.Paths.Map() {
			for method := range item.Operations() {
				guarded.Handle(method, httpx.Route(path), func(c *gin.Context) { c.Status(http.StatusOK) })
			}
		}

		for path, item := range doc.Paths.Map() {
			for method, op := range item.Operations() {
				at := pathParameter.ReplaceAllString(httpx.Route(path), "1")
				status := func(header, value string) int {
					req := httptest.NewRequest(method, at, nil)
					req.Header.Set(header, value)
					rec := httptest.NewRecorder()
					router.ServeHTTP(rec, req)
					return rec.Code
				}
				roles, err := auth.ReadRoles(op.Extensions["x-gateway"])
				require.NoError(t, err)
				for _, role := range auth.Roles() {
					want := http.StatusForbidden
					if slices.Contains(roles, role) {
						want = http.StatusOK
					}
					token := authtest.Token(t, d.service, "somebody", role)
					require.Equal(t, want, status(servicetoken.Header, token), "%s: %s %s", role, method, at)
				}

				want := http.StatusForbidden
				if d.service == servicetoken.Inventory {
					want = http.StatusOK
				}
				require.Equal(t, want, status(servicekey.Header, authtest.ServiceKey), "a service: %s %s", method, at)
				require.Equal(t, http.StatusUnauthorized, status("X-User-Role", "admin"), "nobody: %s %s", method, at)
			}
		}
	}
}
