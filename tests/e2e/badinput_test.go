package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/tests/platform"
)

// badRequest is a request with a mistake, and its answer.
type badRequest struct {
	name, method, path, body string
	status                   int
	code, field              string
}

func badInput(t *testing.T, s *platform.Platform) {
	product := s.Product(1000).String()
	body := fmt.Sprintf(`{"lines":[{"product_id":%q,"quantity":1}]}`, product)
	id := s.Do("alice", http.MethodPost, "/api/orders", body).Str("order_id")

	requests := badOrders(product)
	requests = append(requests, badReservations(product)...)
	requests = append(requests, badActions(id)...)
	requests = append(requests, badReads()...)
	for _, c := range requests {
		t.Run(c.name, func(t *testing.T) {
			a := s.For(t).Do("alice", c.method, c.path, c.body)
			require.Equal(t, c.status, a.Status, a.Raw)
			require.Equal(t, "application/problem+json", a.Header.Get("Content-Type"), a.Raw)
			require.Equal(t, c.code, a.Str("code"), a.Raw)
			if c.field != "" {
				require.Equal(t, c.field, a.Str("field"), a.Raw)
			}
			require.NotEmpty(t, a.Str("correlation_id"))
		})
	}
	badHeaders(t, s, body)
}

// with adds a member at the beginning of a JSON object that has members.
func with(body, member string) string { return strings.Replace(body, "{", "{"+member+",", 1) }

// badOrders are orders with a mistake.
func badOrders(product string) []badRequest {
	line := func(quantity string) string {
		return fmt.Sprintf(`{"lines":[{"product_id":%q,"quantity":%s}]}`, product, quantity)
	}
	one := line("1")
	pricedLine := fmt.Sprintf(`{"lines":[{"product_id":%q,"quantity":1,"unit_price":1}]}`, product)
	unknown := fmt.Sprintf(`{"lines":[{"product_id":%q,"quantity":1}]}`, uuid.NewString())
	manyLines := strings.Repeat(fmt.Sprintf(`{"product_id":%q,"quantity":1},`, product), 101)
	manyLines = `{"lines":[` + strings.TrimSuffix(manyLines, ",") + `]}`
	large := `{"lines":[],"email":"` + strings.Repeat("a", 1<<20) + `"}`
	longName := `"metadata":{"` + strings.Repeat("a", 101) + `":"b"}`

	requests := []badRequest{
		{"unknown product", "", "", unknown, 422, "unknown_product", "lines[0].product_id"},
		{"no price", "", "", with(one, `"currency":"JPY"`), 422, "no_price", "lines[0].product_id"},
		{"zero", "", "", line("0"), 422, "invalid_quantity", "lines[0].quantity"},
		{"negative", "", "", line("-1"), 422, "invalid_quantity", "lines[0].quantity"},
		{"too many", "", "", line("1001"), 422, "invalid_quantity", "lines[0].quantity"},
		{"over a mebibyte", "", "", large, 413, "body_too_large", ""},
	}
	for _, c := range []struct{ name, body, field string }{
		{"no body", "", ""},
		{"no JSON", "{", ""},
		{"two values", one + "{}", ""},
		{"an array", "[]", ""},
		{"null", "null", ""},
		{"no lines", "{}", "lines"},
		{"empty lines", `{"lines":[]}`, "lines"},
		{"unknown field", with(one, `"price":1`), "price"},
		{"unknown field of a line", pricedLine, "lines[0].unit_price"},
		{"huge", line("99999999999999999999999999"), "lines[0].quantity"},
		{"a fraction", line("1.5"), "lines[0].quantity"},
		{"a string", line(`"1"`), "lines[0].quantity"},
		{"null quantity", line("null"), "lines[0].quantity"},
		{"no product id", `{"lines":[{"product_id":"x","quantity":1}]}`, "lines[0].product_id"},
		{"unknown currency", with(one, `"currency":"QQQ"`), "currency"},
		{"ttl", with(one, `"ttl_seconds":0`), "ttl_seconds"},
		{"email", with(one, `"email":"nobody"`), "email"},
		{"a NUL in an address", with(one, `"ship_to":{"name":"a\u0000b"}`), "ship_to.name"},
		{"a NUL in metadata", with(one, `"metadata":{"a":"\u0000"}`), "metadata.a"},
		{"a NUL in the name of metadata", with(one, `"metadata":{"a\u0000":"b"}`), "metadata.a\uFFFD"},
		{"a long name of metadata", with(one, longName), "metadata"},
		{"101 lines", manyLines, "lines"},
	} {
		requests = append(requests, badRequest{c.name, "", "", c.body, 400, "invalid_input", c.field})
	}
	for i := range requests {
		requests[i].method, requests[i].path = http.MethodPost, "/api/orders"
	}
	return requests
}

// badReservations are requests for reservations without an order with a mistake.
func badReservations(product string) []badRequest {
	reserve := func(product string, members ...string) string {
		body := fmt.Sprintf(`{"order_id":%q,"product_id":%q`, uuid.NewString(), product)
		return strings.Join(append([]string{body}, members...), ",") + "}"
	}
	noProduct := fmt.Sprintf(`{"order_id":%q}`, uuid.NewString())
	lines := fmt.Sprintf(`"lines":[{"product_id":%q,"quantity":1}]`, product)
	both, tooMany := reserve(product, `"quantity":1`, lines), reserve(product, `"quantity":1001`)
	unknown := reserve(uuid.NewString(), `"quantity":1`)

	path := "/api/inventory/reserve"
	one, confirm := path+"/"+uuid.NewString(), "/api/inventory/confirm/"+uuid.NewString()
	return []badRequest{
		{"reservation of nothing", "POST", path, "{}", 400, "invalid_input", "order_id"},
		{"reservation without lines", "POST", path, noProduct, 400, "invalid_input", "product_id"},
		{"reservation without quantity", "POST", path, reserve(product), 400, "invalid_input", "quantity"},
		{"reservation both ways", "POST", path, both, 400, "invalid_input", "lines"},
		{"reservation of too many", "POST", path, tooMany, 422, "invalid_quantity", "quantity"},
		{"reservation of an unknown product", "POST", path, unknown, 422, "unknown_product", "product_id"},
		{"unknown reservation", "GET", one, "", 404, "reservation_not_found", "reservation_id"},
		{"unknown reservation to release", "DELETE", one, "", 404, "reservation_not_found", "reservation_id"},
		{"no reservation id", "DELETE", path + "/x", "", 400, "invalid_input", "reservation_id"},
		{"expiring stock from outside", "POST", one + "/expire", "{}", 404, "route_not_found", ""},
		{"confirming as a customer", "POST", confirm, "", 403, "forbidden", ""},
	}
}

// badActions are requests to pay, cancel or extend an order with a mistake.
func badActions(id string) []badRequest {
	pay, cancel, extend := "/api/orders/"+id+"/pay", "/api/orders/"+id+"/cancel", "/api/orders/"+id+"/extend"
	unknown := "/api/orders/" + uuid.NewString()
	good, gold := `{"payment_method":"pm_ok"}`, `{"payment_method":"pm_gold"}`
	long := `{"reason":"` + strings.Repeat("a", 501) + `"}`
	return []badRequest{
		{"unknown order to pay", "POST", unknown + "/pay", good, 404, "order_not_found", "order_id"},
		{"no method to pay", "POST", pay, `{}`, 400, "invalid_input", "payment_method"},
		{"empty method to pay", "POST", pay, `{"payment_method":""}`, 400, "invalid_input", "payment_method"},
		{"an unknown method to pay", "POST", pay, gold, 402, "payment_declined", ""},
		{"unknown order to cancel", "POST", unknown + "/cancel", "{}", 404, "order_not_found", "order_id"},
		{"a NUL in a reason", "POST", cancel, `{"reason":"a\u0000b"}`, 400, "invalid_input", "reason"},
		{"a reason that is too long", "POST", cancel, long, 400, "invalid_input", "reason"},
		{"an unknown field to cancel", "POST", cancel, `{"why":"x"}`, 400, "invalid_input", "why"},
		{"no time to extend", "POST", extend, `{}`, 400, "invalid_input", "ttl_seconds"},
		{"a negative time to extend", "POST", extend, `{"ttl_seconds":-1}`, 400, "invalid_input", "ttl_seconds"},
	}
}

// badReads are reads with a mistake, and requests for routes that the gateway does not have.
func badReads() []badRequest {
	unknown := uuid.NewString()
	return []badRequest{
		{"no order id", "GET", "/api/orders/x", "", 400, "invalid_input", "order_id"},
		{"unknown order", "GET", "/api/orders/" + unknown, "", 404, "order_not_found", "order_id"},
		{"an unknown status", "GET", "/api/orders?status=lost", "", 400, "invalid_input", "status"},
		{"an unknown time", "GET", "/api/orders?since=yesterday", "", 400, "invalid_input", "since"},
		{"a cursor of another kind", "GET", "/api/orders?cursor=e30", "", 400, "invalid_input", "cursor"},
		{"another customer's orders", "GET", "/api/orders?customer_id=bob", "", 403, "forbidden", "customer_id"},
		{"no product", "GET", "/api/products/" + unknown, "", 404, "product_not_found", "product_id"},
		{"limit", "GET", "/api/products?limit=0", "", 400, "invalid_input", "limit"},
		{"limit of a word", "GET", "/api/products?limit=many", "", 400, "invalid_input", "limit"},
		{"cursor", "GET", "/api/products?cursor=zzz", "", 400, "invalid_input", "cursor"},
		{"availability of nothing", "GET", "/api/inventory/" + unknown, "", 404, "product_not_found", "product_id"},
		{"unknown route", "GET", "/api/nothing", "", 404, "route_not_found", ""},
		{"method", "PUT", "/api/orders", "", 405, "method_not_allowed", ""},
	}
}

// badHeaders sends requests with wrong headers and queries, and a request with unusual ones that is right.
func badHeaders(t *testing.T, s *platform.Platform, body string) {
	wrongType := s.Do("alice", http.MethodPost, "/api/orders", "x", "Content-Type", "text/plain")
	require.Equal(t, http.StatusUnsupportedMediaType, wrongType.Status, wrongType.Raw)
	for _, query := range []string{"%00", "%ff"} {
		a := s.Do(platform.Operator, http.MethodGet, "/api/orders?customer_id="+query, nil)
		require.Equal(t, http.StatusBadRequest, a.Status, a.Raw)
		require.Equal(t, "customer_id", a.Str("field"))
	}

	escaped := s.Do("alice", http.MethodPost, "/api/orders", with(body, `"metadata":{"a":"\\u0000"}`),
		"Content-Type", "Application/JSON; charset=utf-8")
	require.Equal(t, http.StatusCreated, escaped.Status,
		"an escaped backslash does not make a NUL, and media types ignore case: %s", escaped.Raw)
	for _, header := range []string{"application/jsonx", ""} {
		a := s.Do("alice", http.MethodPost, "/api/orders", body, "Content-Type", header)
		require.Equal(t, http.StatusUnsupportedMediaType, a.Status, a.Raw)
	}

	badKey := s.Do("alice", http.MethodPost, "/api/orders", body, "Idempotency-Key", "two words")
	require.Equal(t, http.StatusBadRequest, badKey.Status, badKey.Raw)
	require.Equal(t, "Idempotency-Key", badKey.Str("field"))
}
