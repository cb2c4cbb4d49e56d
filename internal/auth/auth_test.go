package auth_test

import (
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
	v := auth.NewVerifier(cfg)
	own, err := auth.Sign(cfg, "alice", auth.Operator, time.Minute)
	require.NoError(t, err)
	id, err := v.Verify(own)
	require.NoError(t, err)
	require.Equal(t, auth.Identity{Issuer: "holdfast", Subject: "alice", Role: auth.Operator}, id)

	good := func() jwt.MapClaims {
		return jwt.MapClaims{"iss": "holdfast", "aud": "holdfast", "sub": "alice", "role": "customer", "exp": time.Now().Add(time.Minute).Unix()}
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
	_, err = v.Verify(hs(func(jwt.MapClaims) {}))
	require.NoError(t, err)
	for name, token := range map[string]string{
		"no expiry":        hs(func(c jwt.MapClaims) { delete(c, "exp") }),
		"expired":          hs(func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Minute).Unix() }),
		"another issuer":   hs(func(c jwt.MapClaims) { c["iss"] = "other" }),
		"another audience": hs(func(c jwt.MapClaims) { c["aud"] = "other" }),
		"no subject":       hs(func(c jwt.MapClaims) { delete(c, "sub") }),
		"no role":          hs(func(c jwt.MapClaims) { delete(c, "role") }),
		"an unknown role":  hs(func(c jwt.MapClaims) { c["role"] = "root" }),
		"not signed":       sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, func(jwt.MapClaims) {}),
		"another method":   sign(jwt.SigningMethodHS512, []byte(cfg.Secret), func(jwt.MapClaims) {}),
		"another secret":   sign(jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), func(jwt.MapClaims) {}),
		"nothing":          "",
	} {
		_, err := v.Verify(token)
		require.Error(t, err, name)
	}
	require.Error(t, auth.Config{Secret: "short"}.Validate())
	_, err = auth.Sign(cfg, "alice", "root", time.Minute)
	require.Error(t, err)
}
