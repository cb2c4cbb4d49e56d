package server

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
	"holdfast/internal/auth/authtest"
	"holdfast/internal/problem"
	"holdfast/internal/servicekey"
	"holdfast/internal/servicetoken"
	"holdfast/inventory/inventoryapi"
)

// administrationBodies are the operations that take a JSON body. In the first operation the body is optional.
func administrationBodies() []string {
	p := " /api/inventory/" + id
	return []string{
		http.MethodPut + p + "/locations/near",
		http.MethodDelete + p + "/locations/near",
		http.MethodPost + p + "/receive",
		http.MethodPost + p + "/adjust",
		http.MethodPost + p + "/transfer",
		http.MethodPut + p + "/threshold",
		http.MethodPut + " /api/inventory/locations/near",
	}
}

// badAdministration lists faults in the path and the JSON of a change. The server refuses each before the service sees
// it.
var badAdministration = []struct{ method, path, body, field string }{
	{"POST", "/api/inventory/x/receive", "{}", "product_id"},
	{"POST", "/api/inventory/x/adjust", "{}", "product_id"},
	{"POST", "/api/inventory/x/transfer", "{}", "product_id"},
	{"PUT", "/api/inventory/x/threshold", "{}", "product_id"},
	{"PUT", "/api/inventory/x/locations/near", "{}", "product_id"},
	{"DELETE", "/api/inventory/x/locations/near", "{}", "product_id"},
	{"POST", "/api/inventory/" + id + "/receive", `{"quantity":1.5}`, "quantity"},
	{"POST", "/api/inventory/" + id + "/receive", `{"quantity":"1"}`, "quantity"},
	{"POST", "/api/inventory/" + id + "/receive", `{"quantity":99999999999999999999}`, "quantity"},
	{"POST", "/api/inventory/" + id + "/receive", `{"location":1}`, "location"},
	{"POST", "/api/inventory/" + id + "/receive", `{"reason":"a\u0000b"}`, "reason"},
	{"POST", "/api/inventory/" + id + "/receive", `{"expected_version":"1"}`, "expected_version"},
	{"POST", "/api/inventory/" + id + "/adjust", `{"delta":1e40}`, "delta"},
	{"POST", "/api/inventory/" + id + "/adjust", `{"delta":-99999999999999999999}`, "delta"},
	{"POST", "/api/inventory/" + id + "/adjust", `{"delta":[1]}`, "delta"},
	{"POST", "/api/inventory/" + id + "/adjust", `{"quantity":0.5}`, "quantity"},
	{"POST", "/api/inventory/" + id + "/adjust", `{"reason":{}}`, "reason"},
	{"POST", "/api/inventory/" + id + "/transfer", `{"from":true}`, "from"},
	{"POST", "/api/inventory/" + id + "/transfer", `{"to":"\u0000"}`, "to"},
	{"POST", "/api/inventory/" + id + "/transfer", `{"quantity":null,"lines":[]}`, "quantity"},
	{"PUT", "/api/inventory/" + id + "/threshold", `{"low_stock_threshold":"5"}`, "low_stock_threshold"},
	{
		"PUT", "/api/inventory/" + id + "/threshold",
		`{"low_stock_threshold":99999999999999999999}`, "low_stock_threshold",
	},
	{"PUT", "/api/inventory/" + id + "/locations/near", `{"quantity":1}`, "quantity"},
	{"DELETE", "/api/inventory/" + id + "/locations/near", `{"reason":1}`, "reason"},
	{"PUT", "/api/inventory/locations/near", `{"priority":"1"}`, "priority"},
	{"PUT", "/api/inventory/locations/near", `{"name":1}`, "name"},
	{"POST", "/api/inventory/import?dry_run=maybe", "", "dry_run"},
}

// send sends a request with the given pairs of header and value. It sends a header twice that is given twice.
func send(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(servicekey.Header, authtest.ServiceKey)
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Content-Type" {
			req.Header.Del(headers[i])
		}
		switch headers[i] {
		case servicetoken.Header:
			req.Header.Set(headers[i], headers[i+1])
		case "X-Actor":
			req.Header.Set(servicetoken.Header, tokenFor(headers[i+1]))
			fallthrough
		default:
			req.Header.Add(headers[i], headers[i+1])
		}
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec
}

// tokenFor returns a token with which another service acts for the actor.
func tokenFor(actor string) string {
	signer := servicetoken.NewSigner(authtest.Internal, "worker")
	token, err := signer.Sign(servicetoken.Inventory, servicetoken.Caller{Subject: actor})
	if err != nil {
		panic(err)
	}
	return token
}

// TestActorIsVerified: no request is carried out for an actor for whom its caller does not act, whether it names the
// actor in the header or in the body.
func TestActorIsVerified(t *testing.T) {
	t.Parallel()
	s := &recordingService{}
	h := newRouter(t, s)
	adjust := "/api/inventory/" + id + "/adjust"
	user := func(role auth.Role) []string {
		return []string{servicetoken.Header, authtest.Token(t, servicetoken.Inventory, "olga", role)}
	}
	service := func(actor string) []string { return []string{servicetoken.Header, tokenFor(actor)} }
	header := func(actor string, credentials []string) []string {
		return append([]string{"X-Actor", actor}, credentials...)
	}

	for _, c := range []struct {
		name    string
		headers []string
		body    string
		status  int
	}{
		{"an operator", user(auth.Operator), `{"actor":"olga"}`, http.StatusOK},
		{"an operator as another", user(auth.Operator), `{"actor":"oscar"}`, http.StatusForbidden},
		{"an operator as the platform", user(auth.Operator), `{"actor":"system"}`, http.StatusForbidden},
		{"a customer", user(auth.Customer), `{"actor":"olga"}`, http.StatusForbidden},
		{"a service for an operator", service("olga"), `{"actor":"olga"}`, http.StatusOK},
		{"a service for another", service("olga"), `{"actor":"oscar"}`, http.StatusForbidden},
		{"a service for nobody", service(""), `{"actor":"olga"}`, http.StatusForbidden},
		{"a service for the platform", service("system"), `{"actor":"system"}`, http.StatusOK},
		{"a key as the platform", nil, `{"actor":"system"}`, http.StatusOK},
		{"a key as an operator", nil, `{"actor":"olga"}`, http.StatusForbidden},
		{"no actor", nil, `{}`, http.StatusOK}, // the service refuses it

		{"a header", header("olga", user(auth.Operator)), `{}`, http.StatusOK},
		{"a header beside a body", header("olga", user(auth.Operator)), `{"actor":"oscar"}`, http.StatusOK},
		{"another's header", header("oscar", user(auth.Operator)), `{}`, http.StatusForbidden},
		{"a service's header", header("oscar", service("olga")), `{"actor":"olga"}`, http.StatusForbidden},
	} {
		s.options = inventoryapi.WriteOptions{}
		rec := send(h, http.MethodPost, adjust, c.body, c.headers...)
		require.Equal(t, c.status, rec.Code, "%s: %s", c.name, rec.Body)
		if c.status == http.StatusForbidden {
			require.Empty(t, s.options, c.name)
		}
	}

	req := httptest.NewRequest(http.MethodPost, adjust, strings.NewReader(`{}`))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(servicekey.Header, authtest.ServiceKey)
	req.Header.Set("X-Actor", "olga")
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	require.Equal(t, http.StatusForbidden, rec.Code, "a key names no operator in the header")
}

// recordingService records the arguments that reach the service.
type recordingService struct {
	Service
	options inventoryapi.WriteOptions
	file    inventoryapi.ImportOptions
	content string
	err     error
}

func (s *recordingService) AdjustStock(
	_ context.Context, _ uuid.UUID, _ inventoryapi.AdjustRequest, o inventoryapi.WriteOptions,
) (inventoryapi.StockChange, error) {
	s.options = o
	return inventoryapi.StockChange{Version: 9}, s.err
}

func (s *recordingService) ImportStock(
	_ context.Context, csv io.Reader, o inventoryapi.ImportOptions,
) (inventoryapi.ImportReport, error) {
	content, err := io.ReadAll(csv)
	s.content, s.file = string(content), o
	return inventoryapi.ImportReport{Rows: []inventoryapi.ImportRow{}}, err
}

// TestAdministrationHeaders: the actor, the version and the key of a change come in headers, and the answer has the new
// version in a header.
func TestAdministrationHeaders(t *testing.T) {
	t.Parallel()
	s := &recordingService{}
	h := newRouter(t, s)
	adjust := "/api/inventory/" + id + "/adjust"

	rec := send(h, http.MethodPost, adjust, "{}", "X-Actor", "olga", "If-Match", `"7"`)
	require.Equal(t, http.StatusOK, rec.Code)
	require.Equal(t, `"9"`, rec.Header().Get("ETag"))
	require.Equal(t, inventoryapi.WriteOptions{Actor: "olga", IfMatch: `"7"`}, s.options)

	rec = send(h, http.MethodPost, adjust, "{}", "X-Actor", "a", "X-Actor", "b")
	require.Equal(t, http.StatusBadRequest, rec.Code)
	rec = send(h, http.MethodPost, adjust, "{}", "If-Match", `"1"`, "If-Match", `"2"`)
	require.Equal(t, http.StatusBadRequest, rec.Code)

	s.err = inventoryapi.Errorf(inventoryapi.PreconditionFailed, "If-Match", "why")
	require.Equal(t, http.StatusPreconditionFailed, send(h, http.MethodPost, adjust, "{}").Code)
	s.err = inventoryapi.Errorf(inventoryapi.VersionConflict, "expected_version", "why")
	rec = send(h, http.MethodPost, adjust, "{}")
	require.Equal(t, http.StatusConflict, rec.Code)
	require.Contains(t, rec.Body.String(), `"retryable":false`, "the service would refuse the same request again")

	rec = send(h, http.MethodPost, inventoryapi.ImportPath+"?dry_run=true", "a,b",
		"Content-Type", "text/csv; charset=utf-8", "X-Actor", "olga", "Idempotency-Key", "k")
	require.Equal(t, http.StatusOK, rec.Code, rec.Body)
	require.Equal(t, inventoryapi.ImportOptions{Actor: "olga", Key: "k", DryRun: true}, s.file)
	require.Equal(t, "a,b", s.content)
	for _, c := range []string{"application/json", "text/plain", ""} {
		rec = send(h, http.MethodPost, inventoryapi.ImportPath, "a,b", "Content-Type", c)
		require.Equal(t, http.StatusUnsupportedMediaType, rec.Code)
	}
}

// TestImportLimit: the server refuses a body without a length as soon as it has read more than the limit.
func TestImportLimit(t *testing.T) {
	t.Parallel()
	body := io.LimitReader(strings.NewReader(strings.Repeat("x", 2<<20)), 2<<20)
	req := httptest.NewRequest(http.MethodPost, inventoryapi.ImportPath, body)
	req.ContentLength = -1
	req.Header.Set("Content-Type", "text/csv")
	req.Header.Set(servicekey.Header, authtest.ServiceKey)
	rec := httptest.NewRecorder()
	newRouter(t, &recordingService{}).ServeHTTP(rec, req)
	require.Equal(t, http.StatusRequestEntityTooLarge, rec.Code)
	require.Equal(t, problem.ContentType, rec.Header().Get("Content-Type"))
}
