package auth_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"holdfast/internal/auth"
	"holdfast/internal/auth/authtest"
	"holdfast/internal/servicekey"
	"holdfast/internal/servicetoken"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const document = `{"openapi":"3.0.3","info":{"title":"t","version":"1"},"x-services":true,"paths":{
	"/orders/{id}":{"get":{"x-gateway":["customer","operator"],"responses":{"200":{"description":"ok"}}},
		"delete":{"x-gateway":["admin"],"responses":{"200":{"description":"ok"}}}},
	"/reserve":{"post":{"responses":{"200":{"description":"ok"}}}}}}`

// guarded returns a router with the document's routes and one that the document lacks. Their answer is who asked.
func guarded(guard *auth.Guard) http.Handler {
	router := gin.New()
	routes := router.Group("", guard.Require)
	answer := func(c *gin.Context) {
		id := auth.From(c)
		if err := auth.CheckActor(c, c.Query("actor")); err != nil {
			c.String(http.StatusForbidden, "the actor")
			return
		}
		c.String(http.StatusOK, "%s %s %s", id.Issuer, id.Subject, id.Role)
	}
	routes.GET("/orders/:id", answer)
	routes.DELETE("/orders/:id", answer)
	routes.POST("/reserve", answer)
	routes.GET("/forgotten", answer)
	return router
}

func ask(h http.Handler, route, path string, headers map[string]string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(route, path, nil)
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec
}

// TestGuard: a service admits an internal token and a service key and nothing else, and each only to what its document
// gives it.
func TestGuard(t *testing.T) {
	t.Parallel()
	h := guarded(authtest.Guard(t, servicetoken.API, []byte(document)))
	internal := func(caller servicetoken.Caller) map[string]string {
		token, err := servicetoken.NewSigner(authtest.Internal, "gateway").Sign(servicetoken.API, caller)
		require.NoError(t, err)
		return map[string]string{servicetoken.Header: token}
	}
	user := func(role auth.Role) map[string]string {
		return map[string]string{servicetoken.Header: authtest.Token(t, servicetoken.API, "alice", role)}
	}
	forInventory := map[string]string{
		servicetoken.Header: authtest.Token(t, servicetoken.Inventory, "alice", auth.Customer),
		servicekey.Header:   authtest.ServiceKey, // no way around a token that is refused
	}
	clients, err := auth.Sign(auth.Config{
		Secret: authtest.Internal.Secrets[0], Issuer: "holdfast", Audience: "holdfast",
	}, "alice", auth.Customer, time.Minute)
	require.NoError(t, err)
	none, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"iss": "gateway", "aud": "api"}).
		SignedString(jwt.UnsafeAllowNoneSignatureType)
	require.NoError(t, err)
	key := map[string]string{servicekey.Header: authtest.ServiceKey}

	for _, c := range []struct {
		name, method, path string
		headers            map[string]string
		status             int
		body               string
	}{
		{"nothing", "GET", "/orders/1", nil, 401, ""},
		{"a client's token", "GET", "/orders/1", map[string]string{"Authorization": "Bearer " + clients}, 401, ""},
		{"a client's token in the header", "GET", "/orders/1", map[string]string{servicetoken.Header: clients}, 401, ""},
		{"a token that is not signed", "GET", "/orders/1", map[string]string{servicetoken.Header: none}, 401, ""},
		{"a token for another service", "GET", "/orders/1", forInventory, 401, ""},
		{"another key", "POST", "/reserve", map[string]string{servicekey.Header: "another"}, 401, ""},
		{"an empty key", "POST", "/reserve", map[string]string{servicekey.Header: ""}, 401, ""},
		{"headers of old", "GET", "/orders/1", map[string]string{"X-User-ID": "alice", "X-User-Role": "admin"}, 401, ""},

		{"a customer", "GET", "/orders/1", user(auth.Customer), 200, "holdfast alice customer"},
		{"a customer who deletes", "DELETE", "/orders/1", user(auth.Customer), 403, ""},
		{"an admin who deletes", "DELETE", "/orders/1", user(auth.Admin), 200, "holdfast alice admin"},
		{"an admin who reads", "GET", "/orders/1", user(auth.Admin), 403, ""},
		{"a user who reserves", "POST", "/reserve", user(auth.Admin), 403, ""},
		{"an unknown role", "GET", "/orders/1", user("root"), 403, ""},
		{"a route that no document has", "GET", "/forgotten", user(auth.Admin), 403, ""},
		{"a service at a route that no document has", "GET", "/forgotten", key, 403, ""},

		{"a service", "POST", "/reserve", key, 200, ""},
		{
			"a service with a bearer key", "POST", "/reserve",
			map[string]string{"Authorization": "Bearer " + authtest.ServiceKey},
			200, "",
		},
		{"a service as the platform", "POST", "/reserve?actor=system", key, 200, ""},
		{"a service as a user", "POST", "/reserve?actor=olga", key, 403, "the actor"},
		{"a service for a user", "POST", "/reserve?actor=olga", internal(servicetoken.Caller{Subject: "olga"}), 200, ""},
		{
			"a service for another user", "POST", "/reserve?actor=olga",
			internal(servicetoken.Caller{Subject: "alice"}), 403, "the actor",
		},
		{"a service for itself", "POST", "/reserve?actor=system", internal(servicetoken.Caller{}), 200, ""},
		{"a user as the platform", "GET", "/orders/1?actor=system", user(auth.Customer), 403, "the actor"},
	} {
		rec := ask(h, c.method, c.path, c.headers)
		require.Equal(t, c.status, rec.Code, "%s: %s", c.name, rec.Body)
		require.Contains(t, rec.Body.String(), c.body, c.name)
		if c.status == http.StatusUnauthorized {
			require.Contains(t, rec.Body.String(), `"unauthenticated"`, c.name)
		}
	}
}

// TestDocumentWithoutRoles: a service does not start with an operation that declares no role.
func TestDocumentWithoutRoles(t *testing.T) {
	t.Parallel()
	for says, fault := range map[string]string{
		`"x-gateway":["customer"],`: "",
		``:                          "GET /a declares no role",
		`"x-gateway":[],`:           "GET /a declares no role",
		`"x-gateway":["root"],`:     `there is no role "root"`,
		`"x-gateway":"customer",`:   "the roles are a list",
	} {
		_, err := auth.NewGuard(authtest.Internal, nil, servicetoken.API, []byte(`{"openapi":"3.0.3",
			"info":{"title":"t","version":"1"},"paths":{"/a":{"get":{`+says+`"responses":{"200":{"description":"ok"}}}}}}`))
		if fault == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, fault)
	}
}

// TestServiceKeysRotate: while an operator changes the service key, both are valid.
func TestServiceKeysRotate(t *testing.T) {
	t.Parallel()
	for keys, valid := range map[[2]string][]string{
		{"old", "new"}: {"old", "new"},
		{"new"}:        {"new"},
	} {
		guard, err := auth.NewGuard(authtest.Internal, keys[:], servicetoken.Inventory, []byte(document))
		require.NoError(t, err)
		h := guarded(guard)
		for _, key := range []string{"old", "new", ""} {
			want := http.StatusUnauthorized
			for _, v := range valid {
				if v == key {
					want = http.StatusOK
				}
			}
			require.Equal(t, want, ask(h, "POST", "/reserve", map[string]string{servicekey.Header: key}).Code, key)
		}
	}
}
