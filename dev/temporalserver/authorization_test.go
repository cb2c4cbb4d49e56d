package temporalserver_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/server/common/config"
	"gopkg.in/yaml.v3"

	"holdfast/dev/temporalserver"
	"holdfast/internal/temporalclient"
)

// provider is an identity provider: it signs tokens and serves the key that verifies them.
type provider struct {
	key *rsa.PrivateKey
	url string
}

func newProvider(t *testing.T) provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	encode := base64.RawURLEncoding.EncodeToString
	set := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]any{
			"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "k1",
			"n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes()),
		}}})
	}))
	t.Cleanup(set.Close)
	return provider{key, set.URL}
}

// token returns a token with the permissions. A nil change leaves the claims as they are.
func (p provider) token(t *testing.T, permissions []string, change func(claims map[string]any)) string {
	t.Helper()
	claims := map[string]any{
		"sub": "holdfast", "aud": "temporal", "exp": time.Now().Add(time.Hour).Unix(), "permissions": permissions,
	}
	if change != nil {
		change(claims)
	}
	part := func(v any) string {
		raw, err := json.Marshal(v)
		require.NoError(t, err)
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	signed := part(map[string]any{"alg": "RS256", "kid": "k1", "typ": "JWT"}) + "." + part(claims)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, p.key, crypto.SHA256, sum[:])
	require.NoError(t, err)
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// certificate returns a certificate of 127.0.0.1 that is its own authority, and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},

		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	rawKey, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	cert = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
	return cert, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: rawKey}))
}

// documented returns the authorization of the configuration in the guide.
func documented(t *testing.T) config.Authorization {
	t.Helper()
	guide, err := os.ReadFile("../../docs/guides/temporal-authorization.md")
	require.NoError(t, err)
	_, block, found := bytes.Cut(guide, []byte("```yaml\n"))
	require.True(t, found)
	block, _, _ = bytes.Cut(block, []byte("```"))
	var c config.Config
	require.NoError(t, yaml.Unmarshal(block, &c))
	return c.Global.Authorization
}

// TestAuthorization: with the configuration of the guide, a client can do what the permissions in its token say, in the
// namespace that they name, and nothing without a valid token. A worker needs no more than to write.
func TestAuthorization(t *testing.T) {
	t.Parallel()
	issuer, other := newProvider(t), newProvider(t)
	rules := documented(t)
	require.Len(t, rules.JWTKeyProvider.KeySourceURIs, 1)
	rules.JWTKeyProvider.KeySourceURIs[0] = issuer.url
	cert, key := certificate(t)
	server := start(t, temporalserver.Config{
		Database:      "authorized",
		UIPort:        temporalserver.NoUI,
		Authorization: &temporalserver.Authorization{Rules: rules, Certificate: cert, Key: key, CA: cert},
	})
	with := func(token string) temporalclient.Config {
		return temporalclient.Config{Address: server.Address(), Namespace: "orders", CA: cert, APIKey: token}
	}
	admin := with(issuer.token(t, []string{"temporal-system:admin"}, nil))
	require.NoError(t, temporalclient.EnsureNamespace(t.Context(), admin, temporalclient.Retention, attributes))

	worker := with(issuer.token(t, []string{"orders:write"}, nil))
	require.NoError(t, temporalclient.EnsureNamespace(t.Context(), worker, temporalclient.Retention, attributes),
		"nothing is missing, so no right to make it is needed")
	require.Equal(t, "hello Ada", runVersioned(t, worker, "order-1", "Ada"))

	read := func(c client.Client) error {
		_, err := c.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Namespace: "orders"})
		return err
	}
	terminate := func(c client.Client) error { return c.TerminateWorkflow(t.Context(), "order-1", "", "a test") }
	reader := dial(t, with(issuer.token(t, []string{"orders:read"}, nil)))
	require.NoError(t, read(reader))
	var denied *serviceerror.PermissionDenied
	require.ErrorAs(t, terminate(reader), &denied)

	all := []string{"orders:admin"}
	expired := func(c map[string]any) { c["exp"] = time.Now().Add(-time.Minute).Unix() }
	elsewhere := func(c map[string]any) { c["aud"] = "another system" }
	for name, token := range map[string]string{
		"no token":            "",
		"no permission":       issuer.token(t, nil, nil),
		"another namespace":   issuer.token(t, []string{"other:admin"}, nil),
		"another provider":    other.token(t, all, nil),
		"an expired token":    issuer.token(t, all, expired),
		"another audience":    issuer.token(t, all, elsewhere),
		"not a token":         "guess",
		"a word for the role": issuer.token(t, []string{"orders:owner"}, nil),
	} {
		c, err := temporalclient.Lazy(with(token), nil)
		require.NoError(t, err)
		t.Cleanup(c.Close)
		for _, do := range []func(client.Client) error{read, terminate} {
			require.ErrorAs(t, do(c), &denied, name)
		}
	}
}
