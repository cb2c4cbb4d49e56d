package auth_test

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
)

var cfg = auth.Config{Secret: strings.Repeat("s", 32), Issuer: "holdfast", Audience: "holdfast"}

func TestVerify(t *testing.T) {
	t.Parallel()
	v, err := auth.NewVerifier(t.Context(), cfg, nil)
	require.NoError(t, err)
	own, err := auth.Sign(cfg, "alice", auth.Operator, time.Minute)
	require.NoError(t, err)
	id, err := v.Verify(own)
	require.NoError(t, err)
	require.Equal(t, auth.Identity{Issuer: "holdfast", Subject: "alice", Role: auth.Operator}, id)

	good := func() jwt.MapClaims {
		return jwt.MapClaims{
			"iss":  "holdfast",
			"aud":  "holdfast",
			"sub":  "alice",
			"role": "customer",
			"exp":  time.Now().Add(time.Minute).Unix(),
		}
	}
	sign := func(method jwt.SigningMethod, key any, change func(jwt.MapClaims)) string {
		c := good()
		change(c)
		token, err := jwt.NewWithClaims(method, c).SignedString(key)
		require.NoError(t, err)
		return token
	}
	hs := func(change func(jwt.MapClaims)) string {
		return sign(jwt.SigningMethodHS256, []byte(cfg.Secret), change)
	}
	unchanged := func(jwt.MapClaims) {}
	otherSecret := []byte(strings.Repeat("x", 32))
	_, err = v.Verify(hs(unchanged))
	require.NoError(t, err)

	for _, c := range []struct{ name, token, words string }{
		{"no expiry", hs(func(c jwt.MapClaims) { delete(c, "exp") }), "no exp, iss or aud"},
		{"expired", hs(func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Minute).Unix() }), "it has expired"},
		{"a date after the year 9999", hs(func(c jwt.MapClaims) { c["exp"] = 1e30 }), "up to the year 9999"},
		{"a date beyond float64", hs(func(c jwt.MapClaims) { c["exp"] = json.RawMessage("1e400") }), "seconds since 1970"},
		{"a date in words", hs(func(c jwt.MapClaims) { c["exp"] = "tomorrow" }), "seconds since 1970"},
		{"a date before 1970", hs(func(c jwt.MapClaims) { c["nbf"] = -1e30 }), "seconds since 1970"},
		{"not yet", hs(func(c jwt.MapClaims) { c["nbf"] = time.Now().Add(time.Minute).Unix() }), "not valid yet"},
		{"issued later", hs(func(c jwt.MapClaims) { c["iat"] = time.Now().Add(time.Minute).Unix() }), "issued in the future"},
		{"another issuer", hs(func(c jwt.MapClaims) { c["iss"] = "other" }), "its issuer"},
		{"another audience", hs(func(c jwt.MapClaims) { c["aud"] = "other" }), "its audience"},
		{"no subject", hs(func(c jwt.MapClaims) { delete(c, "sub") }), "its subject must have"},
		{"a list for a subject", hs(func(c jwt.MapClaims) { c["sub"] = []string{"a"} }), "not a JSON Web Token"},
		{"a control character", hs(func(c jwt.MapClaims) { c["sub"] = "a\x1b" }), "control or direction characters"},
		{"a direction character", hs(func(c jwt.MapClaims) { c["sub"] = "a\u202e" }), "control or direction characters"},
		{"the platform", hs(func(c jwt.MapClaims) { c["sub"] = "system" }), "its subject is reserved"},
		{"the platform in capitals", hs(func(c jwt.MapClaims) { c["sub"] = "System" }), "its subject is reserved"},
		{"Temporal", hs(func(c jwt.MapClaims) { c["sub"] = "TEMPORAL-operator" }), "its subject is reserved"},
		{"Temporal with a space", hs(func(c jwt.MapClaims) { c["sub"] = "temporal-operator " }), "its subject is reserved"},
		{"no role", hs(func(c jwt.MapClaims) { delete(c, "role") }), "its role must be one of"},
		{"a list of roles", hs(func(c jwt.MapClaims) { c["role"] = []string{"shop"} }), "claims in JSON"},
		{"an unknown role", hs(func(c jwt.MapClaims) { c["role"] = "root" }), "its role must be one of"},
		{"not signed", sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, unchanged), "not signed by HS256"},
		{"another method", sign(jwt.SigningMethodHS512, []byte(cfg.Secret), unchanged), "not signed by HS256"},
		{"another secret", sign(jwt.SigningMethodHS256, otherSecret, unchanged), "not signed by HS256"},
		{"nothing", "", "not a JSON Web Token"},
		{"no Base64", "a.b.%", "not a JSON Web Token"},
	} {
		_, err := v.Verify(c.token)
		require.ErrorContains(t, err, c.words, c.name)
		others := strings.ReplaceAll(err.Error(), "header and claims in JSON", "")
		require.NotRegexp(t, "json|strconv|claim|Go |unmarshal|illegal", others, c.name)
	}

	for _, subject := range []string{"", "system", "SYSTEM", "temporal-operator", "a\n", strings.Repeat("a", 256)} {
		_, err := auth.Sign(cfg, subject, auth.Customer, time.Minute)
		require.Error(t, err, subject)
	}
	require.Error(t, auth.Config{Secret: "short"}.Validate())
	_, err = auth.Sign(cfg, "alice", "root", time.Minute)
	require.Error(t, err)
}

// TestLoginGuide: the guide has every role, and every variable by which an operator chooses an identity provider.
func TestLoginGuide(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/guides/login.md")
	require.NoError(t, err)
	guide := string(raw)
	for _, role := range auth.Roles() {
		require.Contains(t, guide, "\n| `"+string(role)+"` |")
	}
	fields := reflect.TypeFor[auth.Config]()
	for i := range fields.NumField() {
		require.Contains(t, guide, fields.Field(i).Tag.Get("env"))
	}
}

// TestSecretsRotate: while an operator changes the secret, tokens of both are accepted, and new ones get the new one.
func TestSecretsRotate(t *testing.T) {
	t.Parallel()
	before, during, after := cfg, cfg, cfg
	during.Secret, during.PreviousSecret = strings.Repeat("n", 32), cfg.Secret
	after.Secret = during.Secret
	for _, c := range []struct {
		name          string
		signs, checks auth.Config
		ok            bool
	}{
		{"an old token at a new gateway", before, during, true},
		{"a new token at a new gateway", during, during, true},
		{"a new token afterwards", during, after, true},
		{"an old token afterwards", before, after, false},
		{"a new token at an old gateway", during, before, false},
	} {
		token, err := auth.Sign(c.signs, "alice", auth.Customer, time.Minute)
		require.NoError(t, err)
		v, err := auth.NewVerifier(t.Context(), c.checks, nil)
		require.NoError(t, err)
		_, err = v.Verify(token)
		require.Equal(t, c.ok, err == nil, "%s: %v", c.name, err)
	}
}

// BenchmarkVerify measures what the gateway spends on the token of a request.
func BenchmarkVerify(b *testing.B) {
	token, err := auth.Sign(cfg, "alice", auth.Customer, time.Hour)
	require.NoError(b, err)
	v, err := auth.NewVerifier(b.Context(), cfg, nil)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(token); err != nil {
			b.Fatal(err)
		}
	}
}
