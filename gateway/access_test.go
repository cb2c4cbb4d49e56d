package gateway

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
	"holdfast/internal/servicekey"
	"holdfast/internal/servicetoken"
	"holdfast/inventory/inventoryapi"
)

var administrationRoutes = []string{
	"POST /api/inventory/1/receive",
	"POST /api/inventory/1/adjust",
	"POST /api/inventory/1/transfer",
	"PUT /api/inventory/1/threshold",
	"PUT /api/inventory/1/locations/near",
	"DELETE /api/inventory/1/locations/near",
	"PUT /api/inventory/locations/near",
	"POST /api/inventory/import",
}

// request sends a request with a token for subject and role; the role "" means without a token.
func request(
	t *testing.T, edge, route, body, subject string, role auth.Role, headers map[string]string,
) *http.Response {
	t.Helper()
	method, path, _ := strings.Cut(route, " ")
	req, err := http.NewRequestWithContext(t.Context(), method, edge+path, strings.NewReader(body))
	require.NoError(t, err)
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	if role != "" {
		token, err := auth.Sign(testAuth, subject, role, time.Minute)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
	}

	transport := &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: 10 * time.Second}
	res, err := (&http.Client{Transport: transport}).Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res
}

// TestOnlyOperatorsAdminister: requests of operators and admins reach inventory with the subject of their token as the
// actor, whatever headers they send. Requests of customers and requests without a token do not reach it.
func TestOnlyOperatorsAdminister(t *testing.T) {
	t.Parallel()
	var seen *http.Request
	var body []byte
	edge := start(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("ETag", `"8"`)
	})

	for _, route := range administrationRoutes {
		require.Equal(t, http.StatusUnauthorized, request(t, edge, route, "", "", "", nil).StatusCode, route)
		require.Equal(t, http.StatusForbidden, request(t, edge, route, "", "alice", auth.Customer, nil).StatusCode, route)
		require.Equal(t, http.StatusForbidden, request(t, edge, route, "", " olga", auth.Operator, nil).StatusCode, route)
		require.Nil(t, seen, route)

		for _, role := range []auth.Role{auth.Operator, auth.Admin} {
			res := request(t, edge, route, `{"reason":"r"}`, "ölga", role, map[string]string{
				"X-Actor":         "mallory",
				"If-Match":        `"7"`,
				"Idempotency-Key": "k",
				servicekey.Header: "stolen",
				"Connection":      "X-Actor, If-Match",
			})
			require.Equal(t, http.StatusOK, res.StatusCode, route)
			require.Equal(t, `"8"`, res.Header.Get("ETag"), route)
			method, path, _ := strings.Cut(route, " ")
			require.Equal(t, method, seen.Method)
			require.Equal(t, path, seen.URL.Path)
			require.Equal(t, []string{"ölga"}, seen.Header.Values("X-Actor"), route)
			require.Empty(t, seen.Header.Values(servicekey.Header))
			as, ok := vouched(seen.Header, servicetoken.Inventory)
			require.True(t, ok)
			require.Equal(t, []string{"ölga", string(role)}, []string{as.Subject, as.Role})
			require.JSONEq(t, `{"reason":"r"}`, string(body))
			require.Empty(t, seen.Header.Get("Authorization"))
		}

		require.Equal(t, "k", seen.Header.Get("Idempotency-Key"))
		request(t, edge, route, "", "olga", auth.Operator, map[string]string{"If-Match": `"7"`})
		require.Equal(t, `"7"`, seen.Header.Get("If-Match"), route)
		seen = nil
	}

	res := request(t, edge, "GET /api/inventory/1", "", "alice", auth.Customer, map[string]string{"X-Actor": "mallory"})
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Empty(t, seen.Header.Values("X-Actor"), "a client cannot name an actor anywhere")
}

// TestImportMayBeLarge: a file may be larger than any other body, within its own limit.
func TestImportMayBeLarge(t *testing.T) {
	t.Parallel()
	received := 0
	edge := start(t, func(_ http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		received = int(n)
	})

	large := strings.Repeat("x", inventoryapi.MaxImportBytes)
	res := request(t, edge, "POST /api/inventory/import", large, "olga", auth.Operator, nil)
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, len(large), received)

	// The gateway refuses these by their length alone. Without the header, the client might still be writing when the
	// connection closes.
	ask := map[string]string{"Expect": "100-continue"}
	res = request(t, edge, "POST /api/inventory/import", large+"x", "olga", auth.Operator, ask)
	require.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode)
	res = request(t, edge, "POST /api/inventory/1/adjust", large, "olga", auth.Operator, ask)
	require.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode)
}
