package servicetoken_test

import (
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"holdfast/internal/servicetoken"
)

var (
	oldSecret = strings.Repeat("old-", 8)
	newSecret = strings.Repeat("new-", 8)
)

func config(secrets ...string) servicetoken.Config { return servicetoken.Config{Secrets: secrets} }

// TestTokenNamesCaller: the called service learns which service calls, for whom and with which role.
func TestTokenNamesCaller(t *testing.T) {
	t.Parallel()
	signer := servicetoken.NewSigner(config(newSecret), "gateway")
	verifier := servicetoken.NewVerifier(config(newSecret), servicetoken.API)
	as := servicetoken.Caller{Subject: "alice", Issuer: "https://id.example", Role: "customer"}

	token, err := signer.Sign(servicetoken.API, as)
	require.NoError(t, err)
	got, err := verifier.Verify(token)
	require.NoError(t, err)
	as.Service = "gateway"
	require.Equal(t, as, got)
}

// TestRotation: while an operator changes the secret, a service with the new one first and a service with the old one
// first accept each other's tokens. Afterwards the old secret is of no use.
func TestRotation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		signs, accepts servicetoken.Config
		ok             bool
	}{
		{config(oldSecret), config(oldSecret, newSecret), true}, // the new secret is added at the end, service by service
		{config(oldSecret, newSecret), config(oldSecret), true},
		{config(newSecret, oldSecret), config(oldSecret, newSecret), true}, // then the new one is put first
		{config(oldSecret, newSecret), config(newSecret, oldSecret), true},
		{config(newSecret), config(newSecret, oldSecret), true}, // then the old one is removed
		{config(oldSecret), config(newSecret), false},
	} {
		token, err := servicetoken.NewSigner(c.signs, "worker").Sign(servicetoken.Inventory, servicetoken.Caller{})
		require.NoError(t, err)
		_, err = servicetoken.NewVerifier(c.accepts, servicetoken.Inventory).Verify(token)
		require.Equal(t, c.ok, err == nil, "%v %v: %v", c.signs, c.accepts, err)
	}
}

// TestForgedTokens: each token that our own services would not make is refused.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	verifier := servicetoken.NewVerifier(config(newSecret, oldSecret), servicetoken.Inventory)
	sign := func(method jwt.SigningMethod, key any, change func(jwt.MapClaims)) string {
		c := jwt.MapClaims{
			"iss": "gateway",
			"aud": "inventory",
			"sub": "olga",
			"iat": time.Now().Unix(),
			"exp": time.Now().Add(time.Minute).Unix(),
		}
		change(c)
		token, err := jwt.NewWithClaims(method, c).SignedString(key)
		require.NoError(t, err)
		return token
	}
	hs := func(change func(jwt.MapClaims)) string {
		return sign(jwt.SigningMethodHS256, []byte(newSecret), change)
	}
	unchanged := func(jwt.MapClaims) {}
	_, err := verifier.Verify(hs(unchanged))
	require.NoError(t, err)

	for name, token := range map[string]string{
		"for another service": hs(func(c jwt.MapClaims) { c["aud"] = "api" }),
		"for no service":      hs(func(c jwt.MapClaims) { delete(c, "aud") }),
		"expired":             hs(func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-10 * time.Second).Unix() }),
		"without an expiry":   hs(func(c jwt.MapClaims) { delete(c, "exp") }),
		"for a day":           hs(func(c jwt.MapClaims) { c["exp"] = time.Now().Add(24 * time.Hour).Unix() }),
		"without an issue":    hs(func(c jwt.MapClaims) { delete(c, "iat") }),
		"issued later":        hs(func(c jwt.MapClaims) { c["iat"] = time.Now().Add(30 * time.Second).Unix() }),
		"of no service":       hs(func(c jwt.MapClaims) { delete(c, "iss") }),
		"another secret":      sign(jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), unchanged),
		"another method":      sign(jwt.SigningMethodHS512, []byte(newSecret), unchanged),
		"not signed":          sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, unchanged),
		"nothing":             "",
		"no token":            "a.b.c",
	} {
		_, err := verifier.Verify(token)
		require.Error(t, err, name)
	}
	require.ErrorContains(t, config("short").Validate(), "INTERNAL_TOKEN_SECRETS")
}

// BenchmarkHop measures what a request costs more for its identity: one signature and one verification.
func BenchmarkHop(b *testing.B) {
	signer := servicetoken.NewSigner(config(newSecret, oldSecret), "gateway")
	verifier := servicetoken.NewVerifier(config(newSecret, oldSecret), servicetoken.API)
	as := servicetoken.Caller{Subject: "0198c0de-0000-7000-8000-000000000001", Issuer: "holdfast", Role: "customer"}
	for b.Loop() {
		token, err := signer.Sign(servicetoken.API, as)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := verifier.Verify(token); err != nil {
			b.Fatal(err)
		}
	}
}
