package server

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"holdfast/api"
	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/auth/authtest"
	"holdfast/internal/httpx"
	"holdfast/internal/httpx/httpxtest"
	"holdfast/internal/problem"
	"holdfast/internal/servicetoken"
	"holdfast/internal/telemetry"
	"holdfast/workflows/orderflow"
)

// TestBodiesHaveOneMeaning sends a valid body of every operation, spoiled in every way at every member. The server
// refuses each with its place before a handler sees it: these handlers have no store and would panic.
func TestBodiesHaveOneMeaning(t *testing.T) {
	t.Parallel()
	router := httpx.NewRouter(httpx.Options{
		Log:      slog.New(slog.NewTextHandler(io.Discard, nil)),
		Registry: telemetry.NewRegistry(),
		Health:   httpx.NewHealth(),
	})
	guard := authtest.Guard(t, servicetoken.API, api.Spec)
	require.NoError(t, Register(router, &handlers{log: slog.New(slog.DiscardHandler)}, guard))

	send := func(o httpxtest.Operation, body string) (*httptest.ResponseRecorder, problem.Problem) {
		req := httptest.NewRequest(o.Method, o.Path, strings.NewReader(body))
		role := auth.Admin
		if o.Path == "/api/orders" {
			role = auth.Shop // which alone may send every field
		}
		authtest.Authorize(t, req.Header, servicetoken.API, "olga", role)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("If-Match", "*")
		rec := httptest.NewRecorder()
		router.ServeHTTP(rec, req)
		var p problem.Problem
		require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &p), rec.Body)
		return rec, p
	}

	for _, o := range httpxtest.Operations(t, api.Spec) {
		if o.Path != "/api/inventory/reserve" { // this operation takes one of two forms
			rec, _ := send(o, httpxtest.Write(t, o.Body))
			require.Equal(t, http.StatusInternalServerError, rec.Code,
				"%s %s reaches its handler: %s", o.Method, o.Path, rec.Body)
		}
		for _, bad := range httpxtest.Spoil(t, o.Body) {
			rec, p := send(o, bad.Body)
			name := o.Method + " " + o.Path + " " + bad.Name + ": " + rec.Body.String()
			require.Equal(t, http.StatusBadRequest, rec.Code, name)
			require.Equal(t, problem.InvalidInput, p.Code, name)
			if bad.Inside {
				require.True(t, strings.HasPrefix(p.Field, bad.Field), name)
			} else {
				require.Equal(t, bad.Field, p.Field, name)
			}
		}
	}
}

// TestRulesAreInWords: every pattern has its words, because clients must not see regular expressions.
func TestRulesAreInWords(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(api.Spec)
	require.NoError(t, err)
	patterns := 0
	for name, schema := range doc.Components.Schemas {
		for property, s := range schema.Value.Properties {
			if s.Value.Pattern != "" {
				patterns++
				require.NotEmpty(t, s.Value.Extensions["x-rule"], "%s.%s", name, property)
			}
		}
	}
	require.Positive(t, patterns)
}

// TestEveryValueIsBounded: the contract bounds every value that a client sends: a text by its length, its format or a
// list of values, a number from both sides, and a list and an object by the number of their members.
func TestEveryValueIsBounded(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(api.Spec)
	require.NoError(t, err)
	checked := 0
	var check func(where string, s *openapi3.Schema)
	check = func(where string, s *openapi3.Schema) {
		checked++
		switch {
		case len(s.AllOf) == 1:
			check(where, s.AllOf[0].Value)
		case s.Type.Is(openapi3.TypeString):
			fixed := strings.HasPrefix(s.Pattern, "^") && strings.HasSuffix(s.Pattern, "$") &&
				!strings.ContainsAny(s.Pattern, "*+")
			require.True(t, s.MaxLength != nil || s.Format != "" || len(s.Enum) > 0 || fixed, "%s has no maxLength", where)
		case s.Type.Is(openapi3.TypeInteger):
			require.True(t, s.Min != nil && s.Max != nil, "%s has no minimum or no maximum", where)
		case s.Type.Is(openapi3.TypeArray):
			require.NotNil(t, s.MaxItems, "%s has no maxItems", where)
			check(where+"[]", s.Items.Value)
		case s.Type.Is(openapi3.TypeObject):
			for name, property := range s.Properties {
				check(where+"."+name, property.Value)
			}
			if free := s.AdditionalProperties.Schema; free != nil {
				require.NotNil(t, s.MaxProps, "%s has no maxProperties", where)
				check(where+".*", free.Value)
			}
		}
	}

	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			for _, p := range slices.Concat(item.Parameters, op.Parameters) {
				check(method+" "+path+" "+p.Value.Name, p.Value.Schema.Value)
			}
			if op.RequestBody == nil {
				continue
			}
			if body := op.RequestBody.Value.Content["application/json"]; body != nil {
				check(method+" "+path, body.Schema.Value)
			}
		}
	}
	require.Greater(t, checked, 50)
}

// TestThePlatformsActorsAreReserved: a token cannot have the name of an actor that the workflows record for themselves.
func TestThePlatformsActorsAreReserved(t *testing.T) {
	t.Parallel()
	for _, actor := range []string{orderflow.ActorSystem, orderflow.ActorTemporal} {
		_, err := auth.Sign(auth.Config{Secret: strings.Repeat("s", 32)}, actor, auth.Admin, time.Minute)
		require.ErrorContains(t, err, "reserved")
	}
}

func checkAgainst(f *testing.F, method, route string) func([]byte) error {
	f.Helper()
	contract, err := httpx.ReadContract(api.Spec)
	require.NoError(f, err)
	if err := contract.CheckBody(method, route, []byte(`{}`)); err != nil {
		require.ErrorAs(f, err, new(*problem.Problem), "the contract has this operation")
	}
	return func(raw []byte) error { return contract.CheckBody(method, route, raw) }
}

const (
	fuzzLine  = `{"product_id":"90806882-983d-5164-87bd-3b84bc6ad730","quantity":1}`
	fuzzOrder = `"order_id":"7d444840-9dc0-11d1-b245-5ffdce74fad2"`
)

func FuzzCreateOrder(f *testing.F) {
	httpxtest.FuzzBody[orderapi.CreateOrder](f, checkAgainst(f, "POST", "/api/orders"),
		`{"lines":[`+fuzzLine+`]}`,
		`{"lines":[`+fuzzLine+`],"currency":"EUR","payment_method":"pm_ok","ttl_seconds":900,`+
			`"ship_to":{"name":"A","country":"DE"},"email":"a@b","metadata":{"a":"b"}}`,
		`{"lines":[`+fuzzLine+`],"metadata":{"a":"\u0000"},"metadata":{}}`,
	)
}

func FuzzPayOrder(f *testing.F) {
	httpxtest.FuzzBody[orderapi.PayOrder](f, checkAgainst(f, "POST", "/api/orders/:order_id/pay"),
		`{"payment_method":"pm_ok"}`,
	)
}

func FuzzCancelOrder(f *testing.F) {
	httpxtest.FuzzBody[orderapi.CancelOrder](f, checkAgainst(f, "POST", "/api/orders/:order_id/cancel"),
		`{"reason":"ordered by mistake"}`,
	)
}

func FuzzExtend(f *testing.F) {
	httpxtest.FuzzBody[orderapi.Extend](f, checkAgainst(f, "POST", "/api/orders/:order_id/extend"),
		`{"ttl_seconds":1800}`,
		`{"ttl_seconds":1e2}`,
	)
}

func FuzzCreateReservation(f *testing.F) {
	httpxtest.FuzzBody[orderapi.CreateReservation](f, checkAgainst(f, "POST", "/api/inventory/reserve"),
		`{`+fuzzOrder+`,"product_id":"90806882-983d-5164-87bd-3b84bc6ad730","quantity":2}`,
		`{`+fuzzOrder+`,"lines":[`+fuzzLine+`],"ttl_seconds":60}`,
	)
}

func FuzzProductInput(f *testing.F) {
	httpxtest.FuzzBody[orderapi.ProductInput](f, checkAgainst(f, "POST", "/api/products"),
		`{"sku":"MUG-NEW","name":"Mug","description":"two\nlines","category":"kitchen","active":false,`+
			`"prices":[{"amount_minor":1490,"currency":"EUR"}]}`,
	)
}
