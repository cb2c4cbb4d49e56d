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

func badInput(t *testing.T, s *platform.Platform) {
	product := s.Product(1000).String()
	id := s.Do("alice", http.MethodPost, "/api/orders", fmt.Sprintf(`{"lines":[{"product_id":%q,"quantity":1}]}`, product)).Str("order_id")
	line := func(quantity string) string {
		return fmt.Sprintf(`{"lines":[{"product_id":%q,"quantity":%s}]}`, product, quantity)
	}
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		code, field              string
	}{
		{"no body", "POST", "/api/orders", "", 400, "invalid_input", ""},
		{"no JSON", "POST", "/api/orders", "{", 400, "invalid_input", ""},
		{"two values", "POST", "/api/orders", line("1") + "{}", 400, "invalid_input", ""},
		{"an array", "POST", "/api/orders", "[]", 400, "invalid_input", ""},
		{"null", "POST", "/api/orders", "null", 400, "invalid_input", ""},
		{"no lines", "POST", "/api/orders", "{}", 400, "invalid_input", "lines"},
		{"empty lines", "POST", "/api/orders", `{"lines":[]}`, 400, "invalid_input", "lines"},
		{"unknown field", "POST", "/api/orders", strings.Replace(line("1"), "{", `{"price":1,`, 1), 400, "invalid_input", "price"},
		{"unknown field of a line", "POST", "/api/orders", fmt.Sprintf(`{"lines":[{"product_id":%q,"quantity":1,"unit_price":1}]}`, product), 400, "invalid_input", "lines[0].unit_price"},
		{"zero", "POST", "/api/orders", line("0"), 400, "invalid_input", "lines[0].quantity"},
		{"negative", "POST", "/api/orders", line("-1"), 400, "invalid_input", "lines[0].quantity"},
		{"too many", "POST", "/api/orders", line("1001"), 400, "invalid_input", "lines[0].quantity"},
		{"huge", "POST", "/api/orders", line("99999999999999999999999999"), 400, "invalid_input", "lines[0].quantity"},
		{"a fraction", "POST", "/api/orders", line("1.5"), 400, "invalid_input", "lines[0].quantity"},
		{"a string", "POST", "/api/orders", line(`"1"`), 400, "invalid_input", "lines[0].quantity"},
		{"null quantity", "POST", "/api/orders", line("null"), 400, "invalid_input", "lines[0].quantity"},
		{"no product id", "POST", "/api/orders", `{"lines":[{"product_id":"x","quantity":1}]}`, 400, "invalid_input", "lines[0].product_id"},
		{"unknown product", "POST", "/api/orders", fmt.Sprintf(`{"lines":[{"product_id":%q,"quantity":1}]}`, uuid.NewString()), 422, "unknown_product", "lines[0].product_id"},
		{"no price", "POST", "/api/orders", strings.Replace(line("1"), "{", `{"currency":"JPY",`, 1), 422, "no_price", "lines[0].product_id"},
		{"unknown currency", "POST", "/api/orders", strings.Replace(line("1"), "{", `{"currency":"QQQ",`, 1), 400, "invalid_input", "currency"},
		{"ttl", "POST", "/api/orders", strings.Replace(line("1"), "{", `{"ttl_seconds":0,`, 1), 400, "invalid_input", "ttl_seconds"},
		{"email", "POST", "/api/orders", strings.Replace(line("1"), "{", `{"email":"nobody",`, 1), 400, "invalid_input", "email"},
		{"a NUL in an address", "POST", "/api/orders", strings.Replace(line("1"), "{", `{"ship_to":{"name":"a\u0000b"},`, 1), 400, "invalid_input", "ship_to.name"},
		{"a NUL in metadata", "POST", "/api/orders", strings.Replace(line("1"), "{", `{"metadata":{"a":"\u0000"},`, 1), 400, "invalid_input", "metadata.a"},
		{"a NUL in the name of metadata", "POST", "/api/orders", strings.Replace(line("1"), "{", `{"metadata":{"a\u0000":"b"},`, 1), 400, "invalid_input", "metadata.a\uFFFD"},
		{"a long name of metadata", "POST", "/api/orders", strings.Replace(line("1"), "{", `{"metadata":{"`+strings.Repeat("a", 101)+`":"b"},`, 1), 400, "invalid_input", "metadata"},
		{"a NUL in a reason", "POST", "/api/orders/" + id + "/cancel", `{"reason":"a\u0000b"}`, 400, "invalid_input", "reason"},
		{"101 lines", "POST", "/api/orders", `{"lines":[` + strings.TrimSuffix(strings.Repeat(fmt.Sprintf(`{"product_id":%q,"quantity":1},`, product), 101), ",") + `]}`, 400, "invalid_input", "lines"},
		{"over a mebibyte", "POST", "/api/orders", `{"lines":[],"email":"` + strings.Repeat("a", 1<<20) + `"}`, 413, "body_too_large", ""},
		{"no order id", "GET", "/api/orders/x", "", 400, "invalid_input", "order_id"},
		{"unknown order", "GET", "/api/orders/" + uuid.NewString(), "", 404, "order_not_found", "order_id"},
		{"unknown order to pay", "POST", "/api/orders/" + uuid.NewString() + "/pay", `{"payment_method":"pm_ok"}`, 404, "order_not_found", "order_id"},
		{"no method to pay", "POST", "/api/orders/" + id + "/pay", `{}`, 400, "invalid_input", "payment_method"},
		{"empty method to pay", "POST", "/api/orders/" + id + "/pay", `{"payment_method":""}`, 400, "invalid_input", "payment_method"},
		{"a method nobody knows", "POST", "/api/orders/" + id + "/pay", `{"payment_method":"pm_gold"}`, 402, "payment_declined", ""},
		{"no product", "GET", "/api/products/" + uuid.NewString(), "", 404, "product_not_found", "product_id"},
		{"limit", "GET", "/api/products?limit=0", "", 400, "invalid_input", "limit"},
		{"limit of a word", "GET", "/api/products?limit=many", "", 400, "invalid_input", "limit"},
		{"cursor", "GET", "/api/products?cursor=zzz", "", 400, "invalid_input", "cursor"},
		{"availability of nothing", "GET", "/api/inventory/" + uuid.NewString(), "", 404, "product_not_found", "product_id"},
		{"unknown route", "GET", "/api/nothing", "", 404, "route_not_found", ""},
		{"method", "PUT", "/api/orders", "", 405, "method_not_allowed", ""},
		{"expiring stock from outside", "POST", "/api/inventory/reserve/" + uuid.NewString() + "/expire", "{}", 404, "route_not_found", ""},
		{"reservation of nothing", "POST", "/api/inventory/reserve", "{}", 400, "invalid_input", "order_id"},
		{"reservation without lines", "POST", "/api/inventory/reserve", fmt.Sprintf(`{"order_id":%q}`, uuid.NewString()), 400, "invalid_input", "product_id"},
		{"reservation without quantity", "POST", "/api/inventory/reserve", fmt.Sprintf(`{"order_id":%q,"product_id":%q}`, uuid.NewString(), product), 400, "invalid_input", "quantity"},
		{"reservation both ways", "POST", "/api/inventory/reserve", fmt.Sprintf(`{"order_id":%q,"product_id":%q,"quantity":1,"lines":[{"product_id":%q,"quantity":1}]}`, uuid.NewString(), product, product), 400, "invalid_input", "lines"},
		{"reservation of too many", "POST", "/api/inventory/reserve", fmt.Sprintf(`{"order_id":%q,"product_id":%q,"quantity":1001}`, uuid.NewString(), product), 400, "invalid_input", "quantity"},
		{"reservation of an unknown product", "POST", "/api/inventory/reserve", fmt.Sprintf(`{"order_id":%q,"product_id":%q,"quantity":1}`, uuid.NewString(), uuid.NewString()), 422, "unknown_product", "product_id"},
		{"unknown reservation", "GET", "/api/inventory/reserve/" + uuid.NewString(), "", 404, "reservation_not_found", "reservation_id"},
		{"unknown reservation to release", "DELETE", "/api/inventory/reserve/" + uuid.NewString(), "", 404, "reservation_not_found", "reservation_id"},
		{"no reservation id", "DELETE", "/api/inventory/reserve/x", "", 400, "invalid_input", "reservation_id"},
		{"confirming as a customer", "POST", "/api/inventory/confirm/" + uuid.NewString(), "", 403, "forbidden", ""},
		{"unknown order to cancel", "POST", "/api/orders/" + uuid.NewString() + "/cancel", "{}", 404, "order_not_found", "order_id"},
		{"a reason that is too long", "POST", "/api/orders/" + id + "/cancel", `{"reason":"` + strings.Repeat("a", 501) + `"}`, 400, "invalid_input", "reason"},
		{"an unknown field to cancel", "POST", "/api/orders/" + id + "/cancel", `{"why":"x"}`, 400, "invalid_input", "why"},
		{"no time to extend", "POST", "/api/orders/" + id + "/extend", `{}`, 400, "invalid_input", "ttl_seconds"},
		{"a negative time to extend", "POST", "/api/orders/" + id + "/extend", `{"ttl_seconds":-1}`, 400, "invalid_input", "ttl_seconds"},
		{"an unknown status", "GET", "/api/orders?status=lost", "", 400, "invalid_input", "status"},
		{"an unknown time", "GET", "/api/orders?since=yesterday", "", 400, "invalid_input", "since"},
		{"a cursor of another kind", "GET", "/api/orders?cursor=e30", "", 400, "invalid_input", "cursor"},
		{"somebody else's orders", "GET", "/api/orders?customer_id=bob", "", 403, "forbidden", "customer_id"},
	} {
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
	wrongType := s.Do("alice", http.MethodPost, "/api/orders", "x", "Content-Type", "text/plain")
	require.Equal(t, http.StatusUnsupportedMediaType, wrongType.Status, wrongType.Raw)
	for _, query := range []string{"%00", "%ff"} {
		a := s.Do(platform.Operator, http.MethodGet, "/api/orders?customer_id="+query, nil)
		require.Equal(t, http.StatusBadRequest, a.Status, a.Raw)
		require.Equal(t, "customer_id", a.Str("field"))
	}
	escaped := s.Do("alice", http.MethodPost, "/api/orders", strings.Replace(line("1"), "{", `{"metadata":{"a":"\\u0000"},`, 1), "Content-Type", "Application/JSON; charset=utf-8")
	require.Equal(t, http.StatusCreated, escaped.Status, "six characters are no NUL, and types know no case: %s", escaped.Raw)
	for header, want := range map[string]int{"application/jsonx": http.StatusUnsupportedMediaType, "": http.StatusUnsupportedMediaType} {
		a := s.Do("alice", http.MethodPost, "/api/orders", line("1"), "Content-Type", header)
		require.Equal(t, want, a.Status, a.Raw)
	}
	badKey := s.Do("alice", http.MethodPost, "/api/orders", line("1"), "Idempotency-Key", "two words")
	require.Equal(t, http.StatusBadRequest, badKey.Status, badKey.Raw)
	require.Equal(t, "Idempotency-Key", badKey.Str("field"))
}
