package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/api"
	"holdfast/api/orderapi"
	"holdfast/internal/auth"
	"holdfast/internal/database"
	"holdfast/internal/httpx"
	"holdfast/internal/orderstore"
	"holdfast/internal/telemetry"
	"holdfast/inventory/inventoryapi"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// catalogueServer is the interface on a database of its own, as far as products go.
type catalogueServer struct {
	t      testing.TB
	url    string
	pool   *pgxpool.Pool
	stock  *toldInventory
	teller *teller

	workflows *scripted
}

// with returns the same server for a subtest.
func (s catalogueServer) with(t *testing.T) catalogueServer {
	t.Helper()
	s.t = t
	return s
}

// toldInventory stands in for the inventory service, as far as it is told what is sold: by version, as that does.
type toldInventory struct {
	Inventory
	mu   sync.Mutex
	down bool
	sold map[uuid.UUID]inventoryapi.Sellable
}

func (i *toldInventory) SetSellable(_ context.Context, id uuid.UUID, in inventoryapi.SellableRequest) (inventoryapi.Sellable, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.down {
		return inventoryapi.Sellable{}, &inventoryapi.UnavailableError{Cause: errors.New("down")}
	}
	if in.CatalogueVersion > i.sold[id].CatalogueVersion {
		i.sold[id] = inventoryapi.Sellable{ProductID: id, Sellable: *in.Sellable, CatalogueVersion: in.CatalogueVersion}
	}
	return i.sold[id], nil
}

func (i *toldInventory) of(id uuid.UUID) inventoryapi.Sellable {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.sold[id]
}

func (i *toldInventory) stop(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

var testAuth = auth.Config{Secret: strings.Repeat("s", 32), Issuer: "holdfast", Audience: "holdfast"}

func startCatalogue(t testing.TB) catalogueServer {
	t.Helper()
	url := testenv.Database(t)
	_, err := database.Migrate(t.Context(), url, database.Orders)
	require.NoError(t, err)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	log := slog.New(slog.DiscardHandler)
	contract, err := httpx.ReadContract(api.Spec)
	require.NoError(t, err)
	router := httpx.NewRouter(httpx.Options{
		Log: log, Registry: telemetry.NewRegistry(), Health: httpx.NewHealth(), LargeBodies: contract.LargeBodies(),
	})
	store, stock := orderstore.New(pool), &toldInventory{sold: map[uuid.UUID]inventoryapi.Sellable{}}
	workflows := &scripted{}
	h := &handlers{store: store, workflows: workflows, log: log, inventory: stock, teller: newTeller(store, stock, log)}
	require.NoError(t, Register(router, h, auth.NewVerifier(testAuth)))
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	return catalogueServer{t, server.URL, pool, stock, h.teller, workflows}
}

// send sends a request as an operator unless role says otherwise; headers are pairs.
func (s catalogueServer) send(role auth.Role, method, path, body string, headers ...string) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	token, err := auth.Sign(testAuth, "somebody", role, time.Minute)
	require.NoError(s.t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	require.NoError(s.t, err)
	raw, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	require.NoError(s.t, res.Body.Close())
	return res, string(raw)
}

func (s catalogueServer) create(body string) (orderapi.Product, *http.Response) {
	s.t.Helper()
	res, raw := s.send(auth.Operator, http.MethodPost, "/api/products", body)
	require.Equal(s.t, http.StatusCreated, res.StatusCode, raw)
	return decode[orderapi.Product](s.t, raw), res
}

func decode[T any](t testing.TB, raw string) (out T) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(raw), &out), raw)
	return out
}

// TestProductLife creates, reads, replaces, deactivates and brings back a product.
func TestProductLife(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	p, created := s.create(`{"sku":"MUG-1","name":"Mug","category":"kitchen","prices":[{"amount_minor":1490,"currency":"EUR"},{"amount_minor":200,"currency":"JPY"}]}`)
	path := "/api/products/" + p.ProductID.String()
	require.Equal(t, path, created.Header.Get("Location"))
	require.Equal(t, `"1"`, created.Header.Get("ETag"))
	require.True(t, p.Active)

	read, raw := s.send(auth.Customer, http.MethodGet, path, "")
	require.Equal(t, `"1"`, read.Header.Get("ETag"))
	require.Equal(t, p, decode[orderapi.Product](t, raw))

	replaced, raw := s.send(auth.Admin, http.MethodPut, path, `{"sku":"MUG-2","name":"Mug, blue","prices":[{"amount_minor":1590,"currency":"EUR"}]}`, "If-Match", `"1"`)
	require.Equal(t, http.StatusOK, replaced.StatusCode, raw)
	require.Equal(t, `"2"`, replaced.Header.Get("ETag"))
	got := decode[orderapi.Product](t, raw)
	require.Equal(t, []any{"MUG-2", "Mug, blue", "", int64(2)}, []any{got.SKU, got.Name, got.Category, got.Version})
	require.Len(t, got.Prices, 1, "the other price is gone")

	for range 2 { // idempotent, also by an ETag that has become stale
		gone, raw := s.send(auth.Operator, http.MethodDelete, path, "", "If-Match", `"2"`)
		require.Equal(t, http.StatusNoContent, gone.StatusCode, raw)
	}
	hidden, raw := s.send(auth.Customer, http.MethodGet, path, "")
	require.Equal(t, http.StatusNotFound, hidden.StatusCode, raw)
	seen, raw := s.send(auth.Operator, http.MethodGet, path, "")
	require.Equal(t, http.StatusOK, seen.StatusCode, raw)
	require.Equal(t, `"3"`, seen.Header.Get("ETag"), "the second deactivation changed nothing")
	require.False(t, decode[orderapi.Product](t, raw).Active)
	for header, status := range map[string]int{`"3"`: 304, `W/"3"`: 304, `"2", "3"`: 304, `*`: 304, `"2"`: 200, `3`: 200, `"0"`: 200} {
		again, raw := s.send(auth.Operator, http.MethodGet, path, "", "If-None-Match", header)
		require.Equal(t, status, again.StatusCode, "%s: %s", header, raw)
		require.Equal(t, `"3"`, again.Header.Get("ETag"), header)
		require.Equal(t, status == 304, raw == "", header)
	}

	taken, raw := s.send(auth.Operator, http.MethodPost, "/api/products", `{"sku":"MUG-2","name":"Other","prices":[]}`)
	require.Equal(t, http.StatusConflict, taken.StatusCode, raw)
	require.Contains(t, raw, "product "+p.ProductID.String()+" has this SKU and is inactive; bring it back with PUT")
	weak, raw := s.send(auth.Operator, http.MethodPut, path, `{"sku":"MUG-2","name":"Mug","active":true,"prices":[]}`, "If-Match", `W/"3"`)
	require.Equal(t, http.StatusPreconditionFailed, weak.StatusCode, "If-Match compares strongly (RFC 9110, 13.1.1): %s", raw)
	for _, query := range []string{"?active=false", "?active=any"} {
		_, raw = s.send(auth.Operator, http.MethodGet, "/api/products"+query, "")
		require.Len(t, decode[orderapi.ProductList](t, raw).Items, 1, "operators find it again")
		res, raw := s.send(auth.Customer, http.MethodGet, "/api/products"+query, "")
		require.Equal(t, http.StatusForbidden, res.StatusCode, raw)
	}
	_, raw = s.send(auth.Operator, http.MethodGet, "/api/products", "")
	require.Empty(t, decode[orderapi.ProductList](t, raw).Items)
	back, raw := s.send(auth.Operator, http.MethodPut, path, `{"sku":"MUG-2","name":"Mug","active":true,"prices":[]}`, "If-Match", `"1", "x", W/"2", "3"`)
	require.Equal(t, http.StatusOK, back.StatusCode, raw)
	require.Contains(t, raw, `"prices":[]`)
	anyVersion, raw := s.send(auth.Operator, http.MethodPut, path, `{"sku":"MUG-2","name":"Mug","active":false,"prices":[]}`, "If-Match", `*`)
	require.Equal(t, http.StatusOK, anyVersion.StatusCode, raw)
}

// TestProductRefusals is the table of what is refused and how.
func TestProductRefusals(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	p, _ := s.create(`{"sku":"A-1","name":"One","prices":[]}`)
	s.create(`{"sku":"A-2","name":"Two","prices":[]}`)
	path, nowhere := "/api/products/"+p.ProductID.String(), "/api/products/"+uuid.NewString()
	valid := `{"sku":"B-1","name":"Thing","prices":[{"amount_minor":1,"currency":"EUR"}]}`
	with := func(old, replacement string) string { return strings.Replace(valid, old, replacement, 1) }
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		code, field              string
	}{
		{"no body", "POST", "/api/products", "", nil, 400, "invalid_input", ""},
		{"not JSON", "POST", "/api/products", "{", nil, 400, "invalid_input", ""},
		{"two values", "POST", "/api/products", valid + valid, nil, 400, "invalid_input", ""},
		{"no SKU", "POST", "/api/products", `{"name":"x","prices":[]}`, nil, 400, "invalid_input", "sku"},
		{"no prices", "POST", "/api/products", `{"sku":"B-1","name":"x"}`, nil, 400, "invalid_input", "prices"},
		{"small letters", "POST", "/api/products", with("B-1", "b-1"), nil, 400, "invalid_input", "sku"},
		{"a long SKU", "POST", "/api/products", with("B-1", strings.Repeat("A", 65)), nil, 400, "invalid_input", "sku"},
		{"a SKU with a line break", "POST", "/api/products", with("B-1", `B-1\n`), nil, 400, "invalid_input", "sku"},
		{"an empty name", "POST", "/api/products", with("Thing", ""), nil, 400, "invalid_input", "name"},
		{"a blank name", "POST", "/api/products", with("Thing", "  "), nil, 400, "invalid_input", "name"},
		{"a long name", "POST", "/api/products", with("Thing", strings.Repeat("é", 201)), nil, 400, "invalid_input", "name"},
		{"a NUL", "POST", "/api/products", with("Thing", `a\u0000`), nil, 400, "invalid_input", "name"},
		{"a long description", "POST", "/api/products", with(`"name"`, `"description":"`+strings.Repeat("x", 5001)+`","name"`), nil, 400, "invalid_input", "description"},
		{"a long category", "POST", "/api/products", with(`"name"`, `"category":"`+strings.Repeat("x", 101)+`","name"`), nil, 400, "invalid_input", "category"},
		{"active of a word", "POST", "/api/products", with(`"name"`, `"active":"yes","name"`), nil, 400, "invalid_input", "active"},
		{"a negative price", "POST", "/api/products", with(":1,", ":-1,"), nil, 400, "invalid_input", "prices[0].amount_minor"},
		{"a fraction of a cent", "POST", "/api/products", with(":1,", ":1.5,"), nil, 400, "invalid_input", "prices[0].amount_minor"},
		{"a price beyond all bounds", "POST", "/api/products", with(":1,", ":1000000000001,"), nil, 400, "invalid_input", "prices[0].amount_minor"},
		{"no currency", "POST", "/api/products", with(`,"currency":"EUR"`, ""), nil, 400, "invalid_input", "prices[0].currency"},
		{"an unknown currency", "POST", "/api/products", with("EUR", "QQQ"), nil, 400, "invalid_input", "prices[0].currency"},
		{"two prices in one currency", "POST", "/api/products", with("}]", `},{"amount_minor":2,"currency":"EUR"}]`), nil, 400, "invalid_input", "prices[1].currency"},
		{"an unknown field", "POST", "/api/products", with(`"name"`, `"stock":1,"name"`), nil, 400, "invalid_input", "stock"},
		{"a SKU that is taken", "POST", "/api/products", with("B-1", "A-1"), nil, 409, "already_exists", "sku"},
		{"another type", "POST", "/api/products", valid, []string{"Content-Type", "text/csv"}, 415, "unsupported_media_type", "Content-Type"},
		{"replace without If-Match", "PUT", path, valid, nil, 428, "precondition_required", "If-Match"},
		{"replace with a stale ETag", "PUT", path, valid, []string{"If-Match", `"7"`}, 412, "precondition_failed", "If-Match"},
		{"replace with no ETag", "PUT", path, valid, []string{"If-Match", "one"}, 400, "invalid_input", "If-Match"},
		{"replace with an ETag without quotes", "PUT", path, valid, []string{"If-Match", "1"}, 400, "invalid_input", "If-Match"},
		{"replace with version 0", "PUT", path, valid, []string{"If-Match", `"0"`}, 412, "precondition_failed", "If-Match"},
		{"replace with a weak ETag", "PUT", path, valid, []string{"If-Match", `W/"1"`}, 412, "precondition_failed", "If-Match"},
		{"replace with stale ETags", "PUT", path, valid, []string{"If-Match", `"7", "8"`}, 412, "precondition_failed", "If-Match"},
		{"replace nothing by ETags", "PUT", nowhere, valid, []string{"If-Match", `"7", "8"`}, 404, "product_not_found", "product_id"},
		{"replace with a list cut off", "PUT", path, valid, []string{"If-Match", `"1",`}, 400, "invalid_input", "If-Match"},
		{"replace nothing", "PUT", nowhere, valid, []string{"If-Match", `"1"`}, 404, "product_not_found", "product_id"},
		{"replace by a taken SKU", "PUT", path, with("B-1", "A-2"), []string{"If-Match", `"1"`}, 409, "already_exists", "sku"},
		{"no product id", "PUT", "/api/products/x", valid, []string{"If-Match", `"1"`}, 400, "invalid_input", "product_id"},
		{"deactivate nothing", "DELETE", nowhere, "", nil, 404, "product_not_found", "product_id"},
		{"deactivate with a stale ETag", "DELETE", path, "", []string{"If-Match", `"7"`}, 412, "precondition_failed", "If-Match"},
		{"create under a key", "POST", "/api/products", valid, []string{"Idempotency-Key", "k"}, 400, "invalid_input", "Idempotency-Key"},
		{"replace under a key", "PUT", path, valid, []string{"If-Match", `"1"`, "Idempotency-Key", "k"}, 400, "invalid_input", "Idempotency-Key"},
		{"deactivate under a key", "DELETE", path, "", []string{"Idempotency-Key", ""}, 400, "invalid_input", "Idempotency-Key"},
		{"import under a key", "POST", "/api/products/import", "sku,name\nA,B\n", []string{"Content-Type", "text/csv", "Idempotency-Key", "k"}, 400, "invalid_input", "Idempotency-Key"},
		{"a signed limit", "GET", "/api/products?limit=%2B5", "", nil, 400, "invalid_input", "limit"},
		{"activity of a word", "GET", "/api/products?active=yes", "", nil, 400, "invalid_input", "active"},
		{"dry run of a number", "POST", "/api/products/import?dry_run=1", "sku,name\nA,B\n", []string{"Content-Type", "text/csv"}, 400, "invalid_input", "dry_run"},
		{"dry run of a word", "POST", "/api/products/import?dry_run=maybe", "sku,name\nA,B\n", []string{"Content-Type", "text/csv"}, 400, "invalid_input", "dry_run"},
		{"import of JSON", "POST", "/api/products/import", "{}", nil, 415, "unsupported_media_type", "Content-Type"},
		{"import of nothing", "POST", "/api/products/import", "", []string{"Content-Type", "text/csv"}, 400, "invalid_input", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, raw := s.send(auth.Operator, c.method, c.path, c.body, c.headers...)
			require.Equal(t, c.status, res.StatusCode, raw)
			require.Equal(t, "application/problem+json", res.Header.Get("Content-Type"))
			got := decode[struct{ Code, Field string }](t, raw)
			require.Equal(t, []string{c.code, c.field}, []string{got.Code, got.Field}, raw)
		})
	}
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/api/products", valid}, {"PUT", path, valid}, {"DELETE", path, ""}, {"POST", "/api/products/import", "sku,name\nB-1,Thing\n"},
	} {
		headers := []string{"If-Match", `"1"`}
		if strings.HasSuffix(c.path, "import") {
			headers = append(headers, "Content-Type", "text/csv")
		}
		res, raw := s.send(auth.Customer, c.method, c.path, c.body, headers...)
		require.Equal(t, http.StatusForbidden, res.StatusCode, "%s %s: %s", c.method, c.path, raw)
	}
	list, raw := s.send(auth.Customer, http.MethodGet, "/api/products", "")
	require.Equal(t, http.StatusOK, list.StatusCode)
	for _, left := range decode[orderapi.ProductList](t, raw).Items {
		require.EqualValues(t, 1, left.Version, "nothing of all that has changed anything")
	}
}

// TestReplaceRace: of many who read the same version, one replaces it and all others hear that it has changed.
func TestReplaceRace(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	p, _ := s.create(`{"sku":"RACE","name":"Race","prices":[{"amount_minor":1,"currency":"EUR"}]}`)
	var mu sync.Mutex
	got := map[int]int{}
	var winner string
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			name := fmt.Sprintf("Racer %d", i)
			res, raw := s.send(auth.Operator, http.MethodPut, "/api/products/"+p.ProductID.String(),
				fmt.Sprintf(`{"sku":"RACE","name":%q,"prices":[{"amount_minor":%d,"currency":"USD"}]}`, name, i+2), "If-Match", `"1"`)
			mu.Lock()
			defer mu.Unlock()
			got[res.StatusCode]++
			if res.StatusCode == http.StatusOK {
				winner = raw
			}
		})
	}
	wg.Wait()
	require.Equal(t, map[int]int{http.StatusOK: 1, http.StatusPreconditionFailed: 9}, got)
	_, raw := s.send(auth.Customer, http.MethodGet, "/api/products/"+p.ProductID.String(), "")
	require.JSONEq(t, winner, raw, "row and prices are the winner's")
}
