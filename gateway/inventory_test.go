package gateway

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
	"holdfast/internal/problem"
	"holdfast/internal/servicetoken"
)

// reached returns which service answered. The audience of the token that the gateway sent along tells "inventory" and
// "other" apart; "gateway" means that the gateway refused the request itself.
func reached(
	t *testing.T, edge string, role auth.Role, method, path string,
) (by string, status int, p problem.Problem) {
	t.Helper()
	token, err := auth.Sign(testAuth, "somebody", role, time.Minute)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), method, edge+path, strings.NewReader(""))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	require.NoError(t, err)
	defer res.Body.Close() //nolint:errcheck // nothing was written

	_ = json.NewDecoder(res.Body).Decode(&p)
	if by = res.Header.Get("X-Reached"); by == "" {
		by = "gateway"
	}
	return by, res.StatusCode, p
}

func startSaying(t *testing.T) string {
	t.Helper()
	return start(t, func(w http.ResponseWriter, r *http.Request) {
		by := "other"
		if _, ok := vouched(r.Header, servicetoken.Inventory); ok {
			by = "inventory"
		}
		w.Header().Set("X-Reached", by)
	})
}

// TestInventoryReachableAsPublished checks the gateway and the descriptions in inventory's contract against x-gateway,
// which names the roles that may use an operation from outside. No role reaches an operation without x-gateway.
func TestInventoryReachableAsPublished(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromFile("../inventory/openapi.yaml")
	require.NoError(t, err)
	edge := startSaying(t)
	roles := func(extension any) (out []auth.Role) {
		list, _ := extension.([]any)
		for _, r := range list {
			out = append(out, auth.Role(r.(string)))
		}
		return out
	}

	for path, item := range doc.Paths.Map() {
		at := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(path, uuid.NewString())
		for method, op := range item.Operations() {
			check := func(at string, published []auth.Role) {
				for _, role := range auth.Roles() {
					by, status, p := reached(t, edge, role, method, at)
					name := string(role) + ": " + method + " " + at
					switch {
					case slices.Contains(published, role):
						require.Equal(t, "inventory", by, name)
					case len(published) > 0:
						require.Equal(t, "gateway", by, name)
						require.Equal(t, http.StatusForbidden, status, name)
						require.Equal(t, problem.Forbidden, p.Code, name)
					default:
						require.NotEqual(t, "inventory", by, "%s is for our own services, or its x-gateway is missing", name)
					}
				}
			}
			if unnamed := roles(op.Extensions["x-gateway-without-product-ids"]); unnamed != nil {
				check(at, unnamed)
				at += "?product_ids=" + uuid.NewString()
			}

			published := roles(op.Extensions["x-gateway"])
			check(at, published)
			switch len(published) {
			case 0:
				require.NotContains(t, op.Description, "Through the gateway", op.OperationID)
			case len(auth.Roles()):
				require.Contains(t, op.Description, "Through the gateway: everybody with a token", op.OperationID)
			default:
				require.Equal(t, []auth.Role{auth.Operator, auth.Admin}, published, op.OperationID)
				require.Contains(t, op.Description, "Through the gateway: operators and admins.", op.OperationID)
			}
		}
	}
}

// TestCustomersNameProducts: the gateway refuses each way to write the query by which a customer would get the whole
// list.
func TestCustomersNameProducts(t *testing.T) {
	t.Parallel()
	edge := startSaying(t)
	for _, query := range []string{"", "?product_ids=", "?product_ids", "?limit=5", "?PRODUCT_IDS=x"} {
		by, status, p := reached(t, edge, auth.Customer, http.MethodGet, "/api/inventory"+query)
		require.Equal(t, "gateway", by, query)
		require.Equal(t, http.StatusForbidden, status, query)
		require.Equal(t, problem.Forbidden, p.Code, query)

		by, _, _ = reached(t, edge, auth.Operator, http.MethodGet, "/api/inventory"+query)
		require.Equal(t, "inventory", by, query)
	}
}

// TestQueriesHaveOneMeaning: on every route, also the public ones, the gateway refuses a query of which ReverseProxy
// would drop a part.
func TestQueriesHaveOneMeaning(t *testing.T) {
	t.Parallel()
	edge := startSaying(t)
	for _, route := range []string{
		"GET /api/inventory",
		"GET /api/orders",
		"POST /api/products/import",
		"POST /api/inventory/import",
		"GET /docs",
		"GET /docs/openapi.yaml",
		"GET /health",
		"GET /nowhere",
	} {
		method, path, _ := strings.Cut(route, " ")
		for query, field := range map[string]string{
			"?product_ids;=x":             "product_ids;",
			"?dry_run=true;":              "dry_run",
			"?status=confirmed;limit=1":   "status",
			"?limit=%zz":                  "limit",
			"?product_ids=&product_ids=x": "product_ids",
			"?limit=%ff":                  "limit",
			"?x=%00":                      "x",
		} {
			by, status, p := reached(t, edge, auth.Admin, method, path+query)
			require.Equal(t, "gateway", by, route+query)
			require.Equal(t, http.StatusBadRequest, status, route+query)
			require.Equal(t, []string{string(problem.InvalidInput), field}, []string{string(p.Code), p.Field}, route+query)
		}
	}
}
