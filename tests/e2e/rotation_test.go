package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/tests/platform"
)

// TestSecretsChangeWhileOrdersRun follows the steps of the guide on secrets: internal tokens, service keys and the
// secret of clients' tokens change, one process restarts after another, and after each restart an order is placed and
// paid. Afterwards nothing accepts the old secrets.
func TestSecretsChangeWhileOrdersRun(t *testing.T) {
	t.Parallel()
	p := platform.Start(t)
	product := p.Product(100)
	buy := func(after string) {
		id := p.Place("alice", http.StatusCreated, platform.OneLine(product, 1)).Str("order_id")
		paid := p.Pay("alice", id, "pm_ok")
		require.Equal(t, http.StatusOK, paid.Status, "%s: %s", after, paid.Raw)
	}
	oldInternal, newInternal := p.Variable("INTERNAL_TOKEN_SECRETS"), strings.Repeat("new-internal-", 3)
	oldKey, newKey := p.Variable("SERVICE_API_KEYS"), "a-new-service-key"
	oldJWT, newJWT := p.Variable("JWT_SECRET"), strings.Repeat("new-jwt-", 4)
	buy("before")

	for _, step := range []struct{ internal, keys, jwt, previous string }{
		{oldInternal + "," + newInternal, oldKey + "," + newKey, oldJWT, ""},
		{newInternal + "," + oldInternal, newKey + "," + oldKey, newJWT, oldJWT},
		{newInternal, newKey, newJWT, oldJWT},
	} {
		p.Configure("INTERNAL_TOKEN_SECRETS", step.internal, "SERVICE_API_KEYS", step.keys,
			"JWT_SECRET", step.jwt, "JWT_SECRET_PREVIOUS", step.previous)
		for _, name := range []string{"inventory", "worker", "gateway", "payment-sandbox", "api"} {
			p.Process(name).Stop()
			p.Start(name)
			buy(name + " has " + step.internal)
		}
	}

	p.Process("gateway").Stop()
	p.Configure("JWT_SECRET_PREVIOUS", "")
	p.Start("gateway")
	a := p.Do("alice", http.MethodGet, "/api/orders", nil) // with a token of the old secret
	require.Equal(t, http.StatusUnauthorized, a.Status, a.Raw)
	direct := p.For(t)
	direct.Gateway = "http://" + p.Process("inventory").Address()
	for key, want := range map[string]int{oldKey: http.StatusUnauthorized, newKey: http.StatusOK} {
		a := direct.Do("", http.MethodGet, "/api/inventory/stats", nil, "X-API-Key", key)
		require.Equal(t, want, a.Status, a.Raw)
	}
}
