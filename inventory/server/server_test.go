package server

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/auth/authtest"
	"holdfast/internal/httpx"
	"holdfast/internal/problem"
	"holdfast/internal/servicekey"
	"holdfast/internal/servicetoken"
	"holdfast/internal/telemetry"
	"holdfast/inventory/inventoryapi"
)

// refusing is a service that no malformed request may reach.
type refusing struct {
	Service
	t       *testing.T
	allowed error // the error that a call returns; if it is nil, a call fails the test
}

func (r refusing) Availability(context.Context, uuid.UUID, int64) (inventoryapi.Availability, error) {
	if r.allowed == nil {
		r.t.Error("a malformed request reached the service")
	}
	return inventoryapi.Availability{}, r.allowed
}

func newRouter(t *testing.T, api Service) http.Handler {
	t.Helper()
	router := httpx.NewRouter(httpx.Options{
		Log:      slog.New(slog.DiscardHandler),
		Registry: telemetry.NewRegistry(),
		Health:   httpx.NewHealth(),
	})
	require.NoError(t, Register(router, api, authtest.Guard(t, servicetoken.Inventory, contract(t)), contract(t)))
	return router
}

func do(h http.Handler, method, path, key, body string) (*httptest.ResponseRecorder, problem.Problem) {
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set(servicekey.Header, key)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	var p problem.Problem
	_ = json.Unmarshal(rec.Body.Bytes(), &p)
	return rec, p
}

const id = "0198c0de-0000-7000-8000-000000000001"

// TestBadInput sends every endpoint malformed JSON and URLs.
func TestBadInput(t *testing.T) {
	t.Parallel()
	h := newRouter(t, refusing{t: t})
	reserve, one := "/api/inventory/reserve", "/api/inventory/reserve/"+id
	admin := administrationBodies()
	bodies := []string{
		http.MethodPost + " " + reserve,
		http.MethodDelete + " " + one,
		http.MethodPost + " " + one + "/expire",
		http.MethodPost + " " + one + "/extend",
		http.MethodPost + " " + one + "/return",
		http.MethodPost + " /api/inventory/confirm/" + id,
	}

	type bad struct {
		method, path, body string
		status             int
		field              string
	}
	cases := []bad{
		{"GET", "/api/inventory/no-uuid", "", 400, "product_id"},
		{"GET", "/api/inventory/" + id + "?quantity=x", "", 400, "quantity"},
		{"GET", "/api/inventory/" + id + "?quantity=1.5", "", 400, "quantity"},
		{"GET", "/api/inventory/" + id + "?quantity=99999999999999999999", "", 400, "quantity"},
		{"GET", "/api/inventory?product_ids=", "", 400, "product_ids"},
		{"GET", "/api/inventory?product_ids=x", "", 400, "product_ids"},
		{"GET", "/api/inventory?product_ids=" + id + ",x", "", 400, "product_ids"},
		{"GET", "/api/inventory?product_ids=" + id + "&product_ids=" + id, "", 400, "product_ids"},
		{"GET", "/api/inventory?product_ids=" + id + "&cursor=x", "", 400, "cursor"},
		{"GET", "/api/inventory?product_ids=" + id + "&limit=5", "", 400, "limit"},
		{"GET", "/api/inventory?product_ids=%zz", "", 400, "product_ids"},
		{"GET", "/api/inventory?productids=" + id, "", 400, "productids"},
		{"GET", "/api/inventory?product_ids=" + id + ";", "", 400, "product_ids"},
		{"GET", "/api/inventory/low-stock?location=a;b", "", 400, "location"},
		{"GET", "/api/inventory?limit=0", "", 400, "limit"},
		{"GET", "/api/inventory?limit=x", "", 400, "limit"},
		{"GET", "/api/inventory?limit=1.5", "", 400, "limit"},
		{"GET", "/api/inventory?limit=99999999999999999999", "", 400, "limit"},
		{"GET", "/api/inventory?limit=5&limit=6", "", 400, "limit"},
		{"GET", "/api/inventory?cursor=a&cursor=b", "", 400, "cursor"},
		{"GET", "/api/inventory/most-reserved?limit=0", "", 400, "limit"},
		{"GET", "/api/inventory/most-reserved?limit=ten", "", 400, "limit"},
		{"GET", "/api/inventory/low-stock?limit=0", "", 400, "limit"},
		{"GET", "/api/inventory/low-stock?limit=x", "", 400, "limit"},
		{"GET", "/api/inventory/low-stock?location=a&location=b", "", 400, "location"},
		{"GET", "/api/inventory/no-uuid/holds", "", 400, "product_id"},
		{"GET", "/api/inventory/" + id + "/holds?limit=0", "", 400, "limit"},
		{"GET", "/api/inventory/" + id + "/holds?limit=-", "", 400, "limit"},
		{"GET", "/api/inventory/no-uuid/ledger", "", 400, "product_id"},
		{"GET", "/api/inventory/" + id + "/ledger?limit=0", "", 400, "limit"},
		{"GET", "/api/inventory/" + id + "/ledger?limit=x", "", 400, "limit"},
		{"GET", "/api/inventory/reserve/x", "", 400, "reservation_id"},
		{"DELETE", "/api/inventory/reserve/x", "{}", 400, "reservation_id"},
		{"POST", "/api/inventory/confirm/x", "{}", 400, "reservation_id"},
		{"POST", "/api/inventory/reserve/x/expire", "{}", 400, "reservation_id"},
		{"POST", "/api/inventory/reserve/x/extend", "{}", 400, "reservation_id"},
		{"POST", "/api/inventory/reserve/x/return", "{}", 400, "reservation_id"},
		{"POST", reserve, `{"reservation_id":"x"}`, 400, "reservation_id"},
		{"POST", reserve, `{"reservation_id":5}`, 400, "reservation_id"},
		{"POST", reserve, `{"owner_kind":7}`, 400, "owner_kind"},
		{"POST", reserve, `{"ttl_seconds":"1"}`, 400, "ttl_seconds"},
		{"POST", reserve, `{"number":1e30}`, 400, "number"},
		{"POST", reserve, `{"lines":{}}`, 400, "lines"},
		{"POST", reserve, `{"lines":[7]}`, 400, "lines[0]"},
		{"POST", reserve, `{"lines":[{"quantity":1},{"quantity":1.5}]}`, 400, "lines[1].quantity"},
		{"POST", reserve, `{"lines":[{"quantity":"1"}]}`, 400, "lines[0].quantity"},
		{"POST", reserve, `{"lines":[{"quantity":99999999999999999999}]}`, 400, "lines[0].quantity"},
		{"POST", reserve, `{"lines":[{"product_id":"123"}]}`, 400, "lines[0].product_id"},
		{"POST", reserve, `{"lines":[{"price":1}]}`, 400, "lines[0].price"},
		{"POST", one + "/extend", `{"expires_at":"tomorrow"}`, 400, "expires_at"},
		{"POST", one + "/extend", `{"expires_at":1}`, 400, "expires_at"},
		{"POST", one + "/return", `{"lines":[{"line_no":"1"}]}`, 400, "lines[0].line_no"},
		{"DELETE", one, `{"owner_id":"x"}`, 400, "owner_id"},
	}
	for _, a := range badAdministration {
		cases = append(cases, bad{a.method, a.path, a.body, http.StatusBadRequest, a.field})
	}
	for _, b := range append(bodies, admin...) {
		method, path, _ := strings.Cut(b, " ")
		cases = append(cases,
			bad{method, path, `{"operation_id":"x"}`, 400, "operation_id"},
			bad{method, path, `{"actor":1}`, 400, "actor"},
			bad{method, path, `{"no_such_field":1}`, 400, "no_such_field"},
			bad{method, path, `{`, 400, ""},
			bad{method, path, `[]`, 400, ""},
			bad{method, path, `null x`, 400, ""},
			bad{method, path, `{}{}`, 400, ""},
			bad{method, path, `"x"`, 400, ""},
			bad{method, path, `{"actor":"` + strings.Repeat("a", 2<<20) + `"}`, 413, ""})
		if method != http.MethodDelete {
			cases = append(cases, bad{method, path, "", 400, ""})
		}
	}

	for _, c := range cases {
		if c.path == one+"/extend" && strings.Contains(c.body, "operation_id") {
			c.status, c.field = 400, "operation_id" // an unknown field of extend
		}
		if method, path, _ := strings.Cut(admin[0], " "); c.method == method && c.path == path && c.body == "" {
			continue // the body may be absent
		}
		name := c.method + " " + c.path + " " + c.body[:min(len(c.body), 60)]
		rec, p := do(h, c.method, c.path, authtest.ServiceKey, c.body)
		require.Equal(t, c.status, rec.Code, "%s: %s", name, rec.Body)
		require.Equal(t, problem.ContentType, rec.Header().Get("Content-Type"), name)
		require.Equal(t, c.field, p.Field, "%s: %s", name, rec.Body)
		require.NotEmpty(t, p.Code, name)
		require.NotEmpty(t, p.CorrelationID, name)
	}

	req := httptest.NewRequest(http.MethodPost, reserve, bytes.NewBufferString("a=b"))
	req.Header.Set(servicekey.Header, authtest.ServiceKey)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	require.Equal(t, http.StatusUnsupportedMediaType, rec.Code)
}

// TestServiceKey: every route except health, readiness and metrics needs a service key or an internal token.
func TestServiceKey(t *testing.T) {
	t.Parallel()
	h := newRouter(t, refusing{t: t})
	params := strings.NewReplacer(":reservation_id", id, ":product_id", id, ":location", "near", ":code", "near")
	for _, key := range []string{"", "wrong"} {
		for _, r := range specRoutes(t) {
			method, path, _ := strings.Cut(r, " ")
			rec, p := do(h, method, params.Replace(path), key, "{}")
			require.Equal(t, http.StatusUnauthorized, rec.Code, r)
			require.Equal(t, problem.Unauthenticated, p.Code)
		}
	}

	for _, path := range []string{"/health", "/startup", "/ready", "/metrics"} {
		rec, _ := do(h, http.MethodGet, path, "", "")
		require.Equal(t, http.StatusOK, rec.Code, path)
	}

	rec, p := do(h, http.MethodGet, "/nowhere", authtest.ServiceKey, "")
	require.Equal(t, http.StatusNotFound, rec.Code)
	require.Equal(t, problem.RouteNotFound, p.Code)
	rec, p = do(h, http.MethodPut, "/api/inventory/reserve", authtest.ServiceKey, "")
	require.Equal(t, http.StatusMethodNotAllowed, rec.Code)
	require.Equal(t, problem.MethodNotAllowed, p.Code)
}

// TestErrorsTravel: each error of the contract reaches the client as the service raised it, with the status of the
// table. The cause of an error does not leave the service.
func TestErrorsTravel(t *testing.T) {
	t.Parallel()
	for _, code := range []inventoryapi.Code{
		inventoryapi.InvalidInput,
		inventoryapi.InvalidQuantity,
		inventoryapi.NegativeQuantity,
		inventoryapi.PreconditionFailed,
		inventoryapi.InvalidDuration,
		inventoryapi.ProductNotFound,
		inventoryapi.ItemNotFound,
		inventoryapi.ReservationNotFound,
		inventoryapi.AlreadyExists,
		inventoryapi.VersionConflict,
		inventoryapi.InvalidRelease,
		inventoryapi.InvalidConfirm,
		inventoryapi.InvalidReturn,
	} {
		raised := inventoryapi.Errorf(code, "lines[0]", "why")
		rec, p := getFailing(t, raised)
		require.Equal(t, inventoryapi.Table[problem.Code(code)].Status, rec.Code)
		require.Equal(t, raised, inventoryapi.FromProblem(&p, uuid.Nil))
		require.Equal(t, code == inventoryapi.VersionConflict, inventoryapi.Retryable(raised))
		require.NotEmpty(t, code.Category())
	}

	rec, p := getFailing(t, &inventoryapi.UnavailableError{Cause: http.ErrServerClosed})
	require.Equal(t, http.StatusServiceUnavailable, rec.Code)
	require.NotEmpty(t, rec.Header().Get("Retry-After"))
	require.NotContains(t, rec.Body.String(), "Server closed")
	require.ErrorIs(t, inventoryapi.FromProblem(&p, uuid.Nil), inventoryapi.Unavailable)

	rec, p = getFailing(t, http.ErrBodyNotAllowed)
	require.Equal(t, http.StatusInternalServerError, rec.Code)
	require.True(t, inventoryapi.Retryable(inventoryapi.FromProblem(&p, uuid.Nil)))
}

// getFailing reads a product from a service that returns err.
func getFailing(t *testing.T, err error) (*httptest.ResponseRecorder, problem.Problem) {
	t.Helper()
	h := newRouter(t, refusing{t: t, allowed: err})
	return do(h, http.MethodGet, "/api/inventory/"+id, authtest.ServiceKey, "")
}

// TestRoutesMatchContract: the server has exactly the routes of openapi.yaml.
func TestRoutesMatchContract(t *testing.T) {
	t.Parallel()
	router := httpx.NewRouter(httpx.Options{
		Log:      slog.New(slog.DiscardHandler),
		Registry: telemetry.NewRegistry(),
		Health:   httpx.NewHealth(),
	})
	guard := authtest.Guard(t, servicetoken.Inventory, contract(t))
	require.NoError(t, Register(router, refusing{t: t}, guard, contract(t)))
	var served []string
	for _, r := range router.Routes() {
		if !slices.Contains([]string{"/health", "/startup", "/ready", "/metrics"}, r.Path) {
			served = append(served, r.Method+" "+r.Path)
		}
	}
	require.ElementsMatch(t, specRoutes(t), served)
}

// TestCodesMatchContract: the contract lists exactly the codes that the table has or this service uses.
func TestCodesMatchContract(t *testing.T) {
	t.Parallel()
	listed := spec(t).Components.Schemas["Problem"].Value.Properties["code"].Value.Enum
	for _, c := range listed {
		require.Contains(t, inventoryapi.Table, problem.Code(c.(string)))
	}
	for code := range inventoryapi.Table {
		if inventoryapi.Code(code).Category() != "" {
			require.Contains(t, listed, any(string(code)))
		}
	}
}

func spec(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile("../openapi.yaml")
	require.NoError(t, err)
	require.NoError(t, doc.Validate(t.Context()))
	return doc
}

func specRoutes(t *testing.T) []string {
	t.Helper()
	var routes []string
	param := regexp.MustCompile(`\{(\w+)\}`)
	for path, item := range spec(t).Paths.Map() {
		for method := range item.Operations() {
			routes = append(routes, method+" "+param.ReplaceAllString(path, ":$1"))
		}
	}
	return routes
}

// contract returns the document that the process uses.
func contract(t *testing.T) []byte {
	t.Helper()
	spec, err := os.ReadFile("../openapi.yaml")
	require.NoError(t, err)
	return spec
}
