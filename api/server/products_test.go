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
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/api"
	"holdfast/api/orderapi"
	"holdfast/api/starter"
	"holdfast/internal/auth"
	"holdfast/internal/auth/authtest"
	"holdfast/internal/database"
	"holdfast/internal/httpx"
	"holdfast/internal/orderstore"
	"holdfast/internal/servicetoken"
	"holdfast/internal/telemetry"
	"holdfast/inventory/inventoryapi"
	"holdfast/tests/eventcheck"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// catalogueServer is the orders interface on a database of its own.
type catalogueServer struct {
	t        testing.TB
	url      string
	pool     *pgxpool.Pool
	stock    *toldInventory
	sellable *sellableSync
	store    *orderstore.Store

	workflows *scripted
}

// with returns the same server for a subtest.
func (s catalogueServer) with(t *testing.T) catalogueServer {
	t.Helper()
	s.t = t
	return s
}

// toldInventory stands in for the inventory service. It keeps the sellable flags by version, as inventory does.
type toldInventory struct {
	Inventory
	mu   sync.Mutex
	down bool
	sold map[uuid.UUID]inventoryapi.Sellable
	held map[uuid.UUID]inventoryapi.Reservation
	wait map[uuid.UUID]inventoryapi.Backorder
}

func (i *toldInventory) GetBackorder(_ context.Context, id uuid.UUID) (inventoryapi.Backorder, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	row, ok := i.wait[id]
	if !ok {
		return row, inventoryapi.BackorderNotFound
	}
	return row, nil
}

func (i *toldInventory) GetReservation(_ context.Context, id uuid.UUID) (inventoryapi.Reservation, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	row, ok := i.held[id]
	switch {
	case i.down:
		return row, &inventoryapi.UnavailableError{Cause: errors.New("down")}
	case !ok:
		return row, inventoryapi.ReservationNotFound
	}
	return row, nil
}

// hold makes inventory hold a reservation of two units in a status, for a minute.
func (i *toldInventory) hold(id uuid.UUID, status inventoryapi.Status) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.held[id] = inventoryapi.Reservation{
		ReservationID: id,
		Status:        status,
		ExpiresAt:     time.Now().Add(time.Minute),
		Lines: []inventoryapi.ReservationLine{
			{LineNo: 1, ProductID: uuid.New(), Location: "MAIN", Quantity: 2, RemainingStock: 5, ReservedQuantity: 3},
		},
	}
}

func (i *toldInventory) SetSellable(
	_ context.Context, id uuid.UUID, in inventoryapi.SellableRequest,
) (inventoryapi.Sellable, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.down {
		return inventoryapi.Sellable{}, &inventoryapi.UnavailableError{Cause: errors.New("down")}
	}
	if in.CatalogueVersion > i.sold[id].CatalogueVersion {
		i.sold[id] = inventoryapi.Sellable{
			ProductID: id, Sellable: *in.Sellable, CatalogueVersion: in.CatalogueVersion,
		}
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

func startCatalogue(t testing.TB) catalogueServer {
	t.Helper()
	url := testenv.Database(t)
	_, err := database.Migrate(t.Context(), url, database.Orders)
	require.NoError(t, err)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	eventcheck.AtEnd(t, pool, "orders")

	log := slog.New(slog.DiscardHandler)
	contract, err := httpx.ReadContract(api.Spec)
	require.NoError(t, err)
	router := httpx.NewRouter(httpx.Options{
		Log: log, Registry: telemetry.NewRegistry(), Health: httpx.NewHealth(), LargeBodies: contract.LargeBodies(),
	})

	store, stock := orderstore.New(pool), &toldInventory{
		sold: map[uuid.UUID]inventoryapi.Sellable{},
		held: map[uuid.UUID]inventoryapi.Reservation{},
		wait: map[uuid.UUID]inventoryapi.Backorder{},
	}
	workflows := &scripted{}
	h := &handlers{
		store:     store,
		workflows: workflows,
		log:       log,
		inventory: stock,
		sellable:  newSellableSync(store, stock, log),
	}
	h.starter = starter.New(starter.Config{MaxConcurrent: 20, MaxWaiting: 1000}, store, workflows, log)
	running, stop := context.WithCancel(t.Context())
	var loop sync.WaitGroup
	loop.Go(func() { h.starter.Run(running) })
	t.Cleanup(func() { stop(); loop.Wait() })
	require.NoError(t, Register(router, h, authtest.Guard(t, servicetoken.API, api.Spec)))
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	return catalogueServer{
		t:         t,
		url:       server.URL,
		pool:      pool,
		stock:     stock,
		sellable:  h.sellable,
		store:     store,
		workflows: workflows,
	}
}

// send sends a request with a token of the role; headers are pairs of name and value.
func (s catalogueServer) send(role auth.Role, method, path, body string, headers ...string) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	authtest.Authorize(s.t, req.Header, servicetoken.API, "somebody", role)
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
	p, created := s.create(`{"sku":"MUG-1","name":"Mug","category":"kitchen",
		"prices":[{"amount_minor":1490,"currency":"EUR"},{"amount_minor":200,"currency":"JPY"}]}`)
	path := "/api/products/" + p.ProductID.String()
	require.Equal(t, path, created.Header.Get("Location"))
	require.Equal(t, `"1"`, created.Header.Get("ETag"))
	require.True(t, p.Active)

	read, raw := s.send(auth.Customer, http.MethodGet, path, "")
	require.Equal(t, `"1"`, read.Header.Get("ETag"))
	require.Equal(t, p, decode[orderapi.Product](t, raw))

	replaced, raw := s.send(auth.Admin, http.MethodPut, path,
		`{"sku":"MUG-2","name":"Mug, blue","prices":[{"amount_minor":1590,"currency":"EUR"}]}`, "If-Match", `"1"`)
	require.Equal(t, http.StatusOK, replaced.StatusCode, raw)
	require.Equal(t, `"2"`, replaced.Header.Get("ETag"))
	got := decode[orderapi.Product](t, raw)
	require.Equal(t, []any{"MUG-2", "Mug, blue", "", int64(2)}, []any{got.SKU, got.Name, got.Category, got.Version})
	require.Len(t, got.Prices, 1, "the other price is gone")

	for range 2 { // idempotent, also with a stale ETag
		gone, raw := s.send(auth.Operator, http.MethodDelete, path, "", "If-Match", `"2"`)
		require.Equal(t, http.StatusNoContent, gone.StatusCode, raw)
	}
	hidden, raw := s.send(auth.Customer, http.MethodGet, path, "")
	require.Equal(t, http.StatusNotFound, hidden.StatusCode, raw)
	seen, raw := s.send(auth.Operator, http.MethodGet, path, "")
	require.Equal(t, http.StatusOK, seen.StatusCode, raw)
	require.Equal(t, `"3"`, seen.Header.Get("ETag"), "the second deactivation changed nothing")
	require.False(t, decode[orderapi.Product](t, raw).Active)

	for header, status := range map[string]int{
		`"3"`:      304,
		`W/"3"`:    304,
		`"2", "3"`: 304,
		`*`:        304,
		`"2"`:      200,
		`3`:        200,
		`"0"`:      200,
	} {
		again, raw := s.send(auth.Operator, http.MethodGet, path, "", "If-None-Match", header)
		require.Equal(t, status, again.StatusCode, "%s: %s", header, raw)
		require.Equal(t, `"3"`, again.Header.Get("ETag"), header)
		require.Equal(t, status == 304, raw == "", header)
	}

	taken, raw := s.send(auth.Operator, http.MethodPost, "/api/products", `{"sku":"MUG-2","name":"Other","prices":[]}`)
	require.Equal(t, http.StatusConflict, taken.StatusCode, raw)
	require.Contains(t, raw, "product "+p.ProductID.String()+" has this SKU and is inactive; bring it back with PUT")

	active := `{"sku":"MUG-2","name":"Mug","active":true,"prices":[]}`
	weak, raw := s.send(auth.Operator, http.MethodPut, path, active, "If-Match", `W/"3"`)
	require.Equal(t, http.StatusPreconditionFailed, weak.StatusCode,
		"If-Match compares strongly (RFC 9110, 13.1.1): %s", raw)

	for _, query := range []string{"?active=false", "?active=any"} {
		_, raw = s.send(auth.Operator, http.MethodGet, "/api/products"+query, "")
		require.Len(t, decode[orderapi.ProductList](t, raw).Items, 1, "operators find the inactive product")
		res, raw := s.send(auth.Customer, http.MethodGet, "/api/products"+query, "")
		require.Equal(t, http.StatusForbidden, res.StatusCode, raw)
	}
	_, raw = s.send(auth.Operator, http.MethodGet, "/api/products", "")
	require.Empty(t, decode[orderapi.ProductList](t, raw).Items)

	back, raw := s.send(auth.Operator, http.MethodPut, path, active, "If-Match", `"1", "x", W/"2", "3"`)
	require.Equal(t, http.StatusOK, back.StatusCode, raw)
	require.Contains(t, raw, `"prices":[]`)
	inactive := `{"sku":"MUG-2","name":"Mug","active":false,"prices":[]}`
	anyVersion, raw := s.send(auth.Operator, http.MethodPut, path, inactive, "If-Match", `*`)
	require.Equal(t, http.StatusOK, anyVersion.StatusCode, raw)
}

// TestProductRefusals checks the status, code and field of each refusal.
func TestProductRefusals(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	p, _ := s.create(`{"sku":"A-1","name":"One","prices":[]}`)
	s.create(`{"sku":"A-2","name":"Two","prices":[]}`)
	path, nowhere := "/api/products/"+p.ProductID.String(), "/api/products/"+uuid.NewString()
	valid := `{"sku":"B-1","name":"Thing","prices":[{"amount_minor":1,"currency":"EUR"}]}`
	with := func(old, replacement string) string { return strings.Replace(valid, old, replacement, 1) }
	refused := func(name, method, path, body string, headers []string, status int, code, field string) {
		t.Run(name, func(t *testing.T) {
			res, raw := s.send(auth.Operator, method, path, body, headers...)
			require.Equal(t, status, res.StatusCode, raw)
			require.Equal(t, "application/problem+json", res.Header.Get("Content-Type"))
			got := decode[struct{ Code, Field string }](t, raw)
			require.Equal(t, []string{code, field}, []string{got.Code, got.Field}, raw)
		})
	}

	for _, c := range []struct{ name, body, field string }{
		{"no body", "", ""},
		{"not JSON", "{", ""},
		{"two values", valid + valid, ""},
		{"no SKU", `{"name":"x","prices":[]}`, "sku"},
		{"no prices", `{"sku":"B-1","name":"x"}`, "prices"},
		{"small letters", with("B-1", "b-1"), "sku"},
		{"a long SKU", with("B-1", strings.Repeat("A", 65)), "sku"},
		{"a SKU with a line break", with("B-1", `B-1\n`), "sku"},
		{"an empty name", with("Thing", ""), "name"},
		{"a blank name", with("Thing", "  "), "name"},
		{"a long name", with("Thing", strings.Repeat("é", 201)), "name"},
		{"a NUL", with("Thing", `a\u0000`), "name"},
		{"a long description", with(`"name"`, `"description":"`+strings.Repeat("x", 5001)+`","name"`), "description"},
		{"a long category", with(`"name"`, `"category":"`+strings.Repeat("x", 101)+`","name"`), "category"},
		{"active of a word", with(`"name"`, `"active":"yes","name"`), "active"},
		{"a negative price", with(":1,", ":-1,"), "prices[0].amount_minor"},
		{"a fraction of a cent", with(":1,", ":1.5,"), "prices[0].amount_minor"},
		{"a price beyond all bounds", with(":1,", ":1000000000001,"), "prices[0].amount_minor"},
		{"no currency", with(`,"currency":"EUR"`, ""), "prices[0].currency"},
		{"an unknown currency", with("EUR", "QQQ"), "prices[0].currency"},
		{"two prices in one currency", with("}]", `},{"amount_minor":2,"currency":"EUR"}]`), "prices[1].currency"},
		{"an unknown field", with(`"name"`, `"stock":1,"name"`), "stock"},
	} {
		refused(c.name, "POST", "/api/products", c.body, nil, 400, "invalid_input", c.field)
	}

	ifMatch := func(tags string) []string { return []string{"If-Match", tags} }
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		code, field              string
	}{
		{"a SKU that is taken", "POST", "/api/products", with("B-1", "A-1"), nil, 409, "already_exists", "sku"},
		{"replace without If-Match", "PUT", path, valid, nil, 428, "precondition_required", "If-Match"},
		{"replace with a stale ETag", "PUT", path, valid, ifMatch(`"7"`), 412, "precondition_failed", "If-Match"},
		{"replace with no ETag", "PUT", path, valid, ifMatch("one"), 400, "invalid_input", "If-Match"},
		{"replace with an ETag without quotes", "PUT", path, valid, ifMatch("1"), 400, "invalid_input", "If-Match"},
		{"replace with version 0", "PUT", path, valid, ifMatch(`"0"`), 412, "precondition_failed", "If-Match"},
		{"replace with a weak ETag", "PUT", path, valid, ifMatch(`W/"1"`), 412, "precondition_failed", "If-Match"},
		{"replace with stale ETags", "PUT", path, valid, ifMatch(`"7", "8"`), 412, "precondition_failed", "If-Match"},
		{"replace nothing by ETags", "PUT", nowhere, valid, ifMatch(`"7", "8"`), 404, "product_not_found", "product_id"},
		{"replace with a list cut off", "PUT", path, valid, ifMatch(`"1",`), 400, "invalid_input", "If-Match"},
		{"replace nothing", "PUT", nowhere, valid, ifMatch(`"1"`), 404, "product_not_found", "product_id"},
		{"replace by a taken SKU", "PUT", path, with("B-1", "A-2"), ifMatch(`"1"`), 409, "already_exists", "sku"},
		{"no product id", "PUT", "/api/products/x", valid, ifMatch(`"1"`), 400, "invalid_input", "product_id"},
		{"deactivate nothing", "DELETE", nowhere, "", nil, 404, "product_not_found", "product_id"},
		{"deactivate with a stale ETag", "DELETE", path, "", ifMatch(`"7"`), 412, "precondition_failed", "If-Match"},
		{"a signed limit", "GET", "/api/products?limit=%2B5", "", nil, 400, "invalid_input", "limit"},
		{"activity of a word", "GET", "/api/products?active=yes", "", nil, 400, "invalid_input", "active"},
	} {
		refused(c.name, c.method, c.path, c.body, c.headers, c.status, c.code, c.field)
	}

	key, csv, row := []string{"Idempotency-Key", "k"}, []string{"Content-Type", "text/csv"}, "sku,name\nA,B\n"
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		field                    string
	}{
		{"create under a key", "POST", "/api/products", valid, key, "Idempotency-Key"},
		{"replace under a key", "PUT", path, valid, slices.Concat(ifMatch(`"1"`), key), "Idempotency-Key"},
		{"deactivate under a key", "DELETE", path, "", []string{"Idempotency-Key", ""}, "Idempotency-Key"},
		{"import under a key", "POST", "/api/products/import", row, slices.Concat(csv, key), "Idempotency-Key"},
		{"dry run of a number", "POST", "/api/products/import?dry_run=1", row, csv, "dry_run"},
		{"dry run of a word", "POST", "/api/products/import?dry_run=maybe", row, csv, "dry_run"},
		{"import of nothing", "POST", "/api/products/import", "", csv, ""},
	} {
		refused(c.name, c.method, c.path, c.body, c.headers, 400, "invalid_input", c.field)
	}
	refused("another type", "POST", "/api/products", valid, csv, 415, "unsupported_media_type", "Content-Type")
	refused("import of JSON", "POST", "/api/products/import", "{}", nil, 415, "unsupported_media_type", "Content-Type")

	for _, c := range []struct{ method, path, body string }{
		{"POST", "/api/products", valid},
		{"PUT", path, valid},
		{"DELETE", path, ""},
		{"POST", "/api/products/import", "sku,name\nB-1,Thing\n"},
	} {
		headers := ifMatch(`"1"`)
		if strings.HasSuffix(c.path, "import") {
			headers = append(headers, csv...)
		}
		res, raw := s.send(auth.Customer, c.method, c.path, c.body, headers...)
		require.Equal(t, http.StatusForbidden, res.StatusCode, "%s %s: %s", c.method, c.path, raw)
	}

	list, raw := s.send(auth.Customer, http.MethodGet, "/api/products", "")
	require.Equal(t, http.StatusOK, list.StatusCode)
	for _, left := range decode[orderapi.ProductList](t, raw).Items {
		require.EqualValues(t, 1, left.Version, "no refused request changes a product")
	}
}

// TestReplaceRace: of many clients that read the same version, one replaces it, and all others get 412.
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
			body := fmt.Sprintf(
				`{"sku":"RACE","name":"Racer %d","prices":[{"amount_minor":%d,"currency":"USD"}]}`, i, i+2)
			res, raw := s.send(auth.Operator, http.MethodPut, "/api/products/"+p.ProductID.String(), body,
				"If-Match", `"1"`)

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
