package auth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"holdfast/internal/auth"
)

// identityProvider is an HTTP server with a key set.
type identityProvider struct {
	*httptest.Server
	reads atomic.Int64

	mu   sync.Mutex
	keys []json.RawMessage
	down bool
}

func newIdentityProvider(t *testing.T, keys ...json.RawMessage) *identityProvider {
	t.Helper()
	p := &identityProvider{keys: keys}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.reads.Add(1)
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.down {
			http.Error(w, "down", http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": p.keys})
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *identityProvider) publish(down bool, keys ...json.RawMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down, p.keys = down, keys
}

func (p *identityProvider) verifier(t *testing.T, change func(*auth.Config)) *auth.Verifier {
	t.Helper()
	c := auth.Config{JWKSURL: p.URL, Refresh: time.Hour, Issuer: "holdfast", Audience: "holdfast"}
	if change != nil {
		change(&c)
	}
	require.NoError(t, c.Validate())
	v, err := auth.NewVerifier(t.Context(), c, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	return v
}

// published returns a public key as a key set has it.
func published(t *testing.T, kid string, public crypto.PublicKey, alg jwkset.ALG, use jwkset.USE) json.RawMessage {
	t.Helper()
	jwk, err := jwkset.NewJWKFromKey(public, jwkset.JWKOptions{
		Metadata: jwkset.JWKMetadataOptions{KID: kid, ALG: alg, USE: use},
	})
	require.NoError(t, err)
	raw, err := json.Marshal(jwk.Marshal())
	require.NoError(t, err)
	return raw
}

// signed returns alice's token, signed with a key under the name kid.
func signed(t *testing.T, method jwt.SigningMethod, key any, kid string) string {
	t.Helper()
	token := jwt.NewWithClaims(method, jwt.MapClaims{
		"iss":  "holdfast",
		"aud":  "holdfast",
		"sub":  "alice",
		"role": "customer",
		"exp":  time.Now().Add(time.Minute).Unix(),
	})
	if kid != "" {
		token.Header["kid"] = kid
	}
	out, err := token.SignedString(key)
	require.NoError(t, err)
	return out
}

func newRSA(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	return key
}

// TestKeySet: tokens signed with a published key are accepted, and no others.
func TestKeySet(t *testing.T) {
	t.Parallel()
	rsaKey, other := newRSA(t), newRSA(t)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	v := newIdentityProvider(t,
		published(t, "rsa", rsaKey.Public(), "", ""),
		published(t, "only-256", rsaKey.Public(), jwkset.AlgRS256, jwkset.UseSig),
		published(t, "ec", ecKey.Public(), jwkset.AlgES256, jwkset.UseSig),
		published(t, "encrypts", rsaKey.Public(), "", jwkset.UseEnc),
	).verifier(t, func(c *auth.Config) { c.Algorithms = []string{"RS256", "RS512", "ES256"} })
	require.NoError(t, v.Ready(t.Context()))

	for name, token := range map[string]string{
		"RS256":           signed(t, jwt.SigningMethodRS256, rsaKey, "rsa"),
		"RS512":           signed(t, jwt.SigningMethodRS512, rsaKey, "rsa"),
		"ES256":           signed(t, jwt.SigningMethodES256, ecKey, "ec"),
		"RS256 by itself": signed(t, jwt.SigningMethodRS256, rsaKey, "only-256"),
	} {
		id, err := v.Verify(token)
		require.NoError(t, err, name)
		require.Equal(t, auth.Identity{Issuer: "holdfast", Subject: "alice", Role: auth.Customer}, id, name)
	}

	for name, c := range map[string]struct{ token, words string }{
		"an algorithm not allowed":   {signed(t, jwt.SigningMethodPS256, rsaKey, "rsa"), "not signed by RS256"},
		"another than the key's own": {signed(t, jwt.SigningMethodRS512, rsaKey, "only-256"), "names no key"},
		"another key":                {signed(t, jwt.SigningMethodRS256, other, "rsa"), "not signed by RS256"},
		"a key for encryption":       {signed(t, jwt.SigningMethodRS256, rsaKey, "encrypts"), "names no key"},
		"another kind of key":        {signed(t, jwt.SigningMethodES256, ecKey, "rsa"), "not signed by RS256"},
		"no kid":                     {signed(t, jwt.SigningMethodRS256, rsaKey, ""), "names no key"},
		"not signed": {
			signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "rsa"), "not signed by RS256",
		},
	} {
		_, err := v.Verify(c.token)
		require.ErrorContains(t, err, c.words, name)
	}
}

// TestKeySetIsNoSecret: a public key, in each form in which an attacker could take it for a secret, signs no token. Nor
// does a secret that the key set itself publishes.
func TestKeySetIsNoSecret(t *testing.T) {
	t.Parallel()
	key := newRSA(t)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(t, err)
	jwk := published(t, "rsa", key.Public(), "", "")
	secret := []byte(strings.Repeat("s", 32))
	symmetric := json.RawMessage(`{"kty":"oct","kid":"oct","k":"` + base64.RawURLEncoding.EncodeToString(secret) + `"}`)
	provider := newIdentityProvider(t, jwk, symmetric)
	v := provider.verifier(t, nil)

	forms := map[string][]byte{
		"DER":     der,
		"PEM":     pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		"PKCS #1": x509.MarshalPKCS1PublicKey(&key.PublicKey),
		"JWK":     jwk,
		"modulus": key.N.Bytes(),
		"nothing": {},
		"secret":  secret,
	}
	for form, bytes := range forms {
		for _, kid := range []string{"rsa", "oct", ""} {
			for _, method := range []jwt.SigningMethod{
				jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512,
			} {
				_, err := v.Verify(signed(t, method, bytes, kid))
				require.ErrorContains(t, err, "not signed by RS256 or ES256", "%s %s", form, kid)
			}
		}
	}

	for _, c := range []auth.Config{
		{JWKSURL: provider.URL, Refresh: time.Hour, Algorithms: []string{"RS256", "HS256"}},
		{JWKSURL: provider.URL, Refresh: time.Hour, Algorithms: []string{"none"}},
		{JWKSURL: provider.URL, Refresh: time.Hour, Secret: string(secret)},
		{JWKSURL: "http://id.example/keys", Refresh: time.Hour},
		{JWKSURL: "file:///etc/keys", Refresh: time.Hour},
		{JWKSURL: provider.URL, Refresh: time.Second},
		{JWKSURL: provider.URL, Refresh: time.Hour, PreviousSecret: string(secret)},
		{JWKSURL: provider.URL, Refresh: time.Hour, Leeway: time.Hour},
		{Secret: string(secret), Algorithms: []string{"RS256"}},
		{Secret: string(secret), PreviousSecret: "short"},
		{},
	} {
		require.Error(t, c.Validate(), "%+v", c)
	}
	_, err = auth.Sign(auth.Config{JWKSURL: provider.URL}, "alice", auth.Customer, time.Minute)
	require.ErrorContains(t, err, "JWT_SECRET is not set")
}

// TestKeysRotate: a token with a new key is accepted at once, without a restart, and a key that is withdrawn is not
// accepted after the next read.
func TestKeysRotate(t *testing.T) {
	t.Parallel()
	first, second := newRSA(t), newRSA(t)
	old, fresh := published(t, "1", first.Public(), "", ""), published(t, "2", second.Public(), "", "")
	provider := newIdentityProvider(t, old)
	v := provider.verifier(t, nil)
	_, err := v.Verify(signed(t, jwt.SigningMethodRS256, first, "1"))
	require.NoError(t, err)

	provider.publish(false, fresh)
	_, err = v.Verify(signed(t, jwt.SigningMethodRS256, second, "2"))
	require.NoError(t, err)
	_, err = v.Verify(signed(t, jwt.SigningMethodRS256, first, "1"))
	require.ErrorContains(t, err, "names no key")
}

// TestProviderDown: while the identity provider does not answer, the known keys stay valid. A verifier that never read
// a key says that it is not ready, and does not call a token wrong.
func TestProviderDown(t *testing.T) {
	t.Parallel()
	key := newRSA(t)
	jwk := published(t, "1", key.Public(), "", "")
	provider := newIdentityProvider(t, jwk)
	v := provider.verifier(t, nil)
	provider.publish(true)
	_, err := v.Verify(signed(t, jwt.SigningMethodRS256, key, "unknown")) // reads the key set, in vain
	require.ErrorContains(t, err, "names no key")
	require.EqualValues(t, 2, provider.reads.Load())
	_, err = v.Verify(signed(t, jwt.SigningMethodRS256, key, "1"))
	require.NoError(t, err)

	late := provider.verifier(t, nil)
	require.ErrorIs(t, late.Ready(t.Context()), auth.ErrNoKeys)
	_, err = late.Verify(signed(t, jwt.SigningMethodRS256, key, "1"))
	require.ErrorIs(t, err, auth.ErrNoKeys)
}

// TestUnknownKeyFlood: a flood of tokens with unknown keys, each with a name of its own, makes the platform read the
// key set once, and no request with a known key waits for it although the identity provider does not answer.
func TestUnknownKeyFlood(t *testing.T) {
	t.Parallel()
	key := newRSA(t)
	jwk := published(t, "1", key.Public(), "", "")
	hangs := make(chan struct{})
	var reads atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if reads.Add(1) > 1 {
			select {
			case <-hangs:
			case <-r.Context().Done():
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []json.RawMessage{jwk}})
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(hangs) })
	v := (&identityProvider{Server: server}).verifier(t, nil)
	good, bad := signed(t, jwt.SigningMethodRS256, key, "1"), make([]string, 200)
	for i := range bad {
		bad[i] = signed(t, jwt.SigningMethodRS256, key, rand.Text())
	}

	var flood sync.WaitGroup
	for _, token := range bad {
		flood.Go(func() {
			_, err := v.Verify(token)
			if err == nil || !strings.Contains(err.Error(), "names no key") {
				t.Errorf("an unknown key: %v", err)
			}
		})
	}
	var took []time.Duration
	for range 200 {
		began := time.Now()
		_, err := v.Verify(good)
		require.NoError(t, err)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	require.Less(t, took[len(took)/2], 500*time.Millisecond, "half of the requests with a known key")

	flood.Wait()
	require.EqualValues(t, 2, reads.Load(), "the first read, and one because of the flood")
}

// TestKeySetIsNotRedirected: the keys come from the configured address and from no other.
func TestKeySetIsNotRedirected(t *testing.T) {
	t.Parallel()
	provider := newIdentityProvider(t, published(t, "1", newRSA(t).Public(), "", ""))
	redirects := httptest.NewServer(http.RedirectHandler(provider.URL, http.StatusFound))
	t.Cleanup(redirects.Close)
	v := (&identityProvider{Server: redirects}).verifier(t, nil)
	require.ErrorIs(t, v.Ready(t.Context()), auth.ErrNoKeys)
	require.Zero(t, provider.reads.Load())
}

// TestVerifierStops: a verifier with a key set ends with its context; TestMain looks for goroutines that it left.
func TestVerifierStops(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	provider := newIdentityProvider(t, published(t, "1", newRSA(t).Public(), "", ""))
	_, err := auth.NewVerifier(ctx, auth.Config{JWKSURL: provider.URL, Refresh: time.Hour}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
}
