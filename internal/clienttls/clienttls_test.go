package clienttls_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"holdfast/internal/clienttls"
	"holdfast/internal/config"
	"holdfast/internal/database"
	"holdfast/internal/rabbitmq"
	"holdfast/internal/redisclient"
	"holdfast/internal/temporalclient"
	"holdfast/tests/localservice"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// authority issues certificates for one test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := certificate("an authority of the tests")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(raw)
	require.NoError(t, err)
	return authority{t, cert, key, encode("CERTIFICATE", raw)}
}

func certificate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

func encode(kind string, raw []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}))
}

// issue returns a certificate for the address 127.0.0.1 and its key, in PEM.
func (a authority) issue(name string) (cert, key string) {
	a.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	template := certificate(name)
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	require.NoError(a.t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(a.t, err)
	return encode("CERTIFICATE", raw), encode("PRIVATE KEY", pkcs8)
}

// options are those of a server with a certificate of a.
func (a authority) options() localservice.Options {
	cert, key := a.issue("server")
	return localservice.Options{
		Dir:      a.t.TempDir(),
		Volatile: true,
		TLS:      &localservice.TLS{CA: a.pem, Certificate: cert, Key: key},
	}
}

// file writes content to a file, as an operator mounts a secret.
func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret.pem")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// client returns the variables with which a process trusts a and shows a certificate of it.
func (a authority) client(prefix, ca, cert, key string) map[string]string {
	certificate, private := a.issue("client")
	return map[string]string{
		prefix + ca + "_FILE":   file(a.t, a.pem),
		prefix + cert + "_FILE": file(a.t, certificate),
		prefix + key + "_FILE":  file(a.t, private),
	}
}

func load[T any](t *testing.T, vars map[string]string, more ...string) T {
	t.Helper()
	all := map[string]string{}
	for k, v := range vars {
		all[k] = v
	}
	for i := 0; i+1 < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	cfg, err := config.LoadFrom[T](all)
	require.NoError(t, err)
	return cfg
}

// within bounds one attempt to connect.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// TestPostgres: the pool speaks TLS with a real PostgreSQL, and refuses a server that another authority has certified.
func TestPostgres(t *testing.T) {
	t.Parallel()
	trusted, other := newAuthority(t), newAuthority(t)
	server, err := localservice.StartPostgres(within(t), trusted.options())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop(context.WithoutCancel(t.Context()))) })
	ping := func(ca string) (encrypted bool, err error) {
		url := fmt.Sprintf("postgres://%s@127.0.0.1:%d/postgres?sslmode=verify-full&sslrootcert=%s",
			localservice.PostgresUser, server.Port(), file(t, ca))
		pool, err := database.Open(t.Context(), url, database.Pool{MaxConns: 1, ConnectTimeout: 5 * time.Second}, "tls", nil)
		require.NoError(t, err)
		defer pool.Close()
		err = pool.QueryRow(within(t), "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&encrypted)
		return encrypted, err
	}

	encrypted, err := ping(trusted.pem)
	require.NoError(t, err)
	require.True(t, encrypted)
	_, err = ping(other.pem)
	require.ErrorContains(t, err, "certificate signed by unknown authority")
}

// TestRedis: the client shows its certificate to a real Redis that wants one, and refuses a server that another
// authority has certified.
func TestRedis(t *testing.T) {
	t.Parallel()
	trusted, other := newAuthority(t), newAuthority(t)
	server, err := localservice.StartRedis(within(t), trusted.options())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop(context.WithoutCancel(t.Context()))) })
	ping := func(vars map[string]string) error {
		cfg := load[redisclient.Config](t, vars, "REDIS_URL", server.TLSURL())
		client, err := redisclient.Open(cfg, "tls", slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		require.NoError(t, err)
		defer client.Close() //nolint:errcheck // of a test
		return client.Ping(within(t)).Err()
	}

	require.NoError(t, ping(trusted.client("REDIS_TLS_", "CA", "CERTIFICATE", "KEY")))
	require.Error(t, ping(map[string]string{"REDIS_TLS_CA": trusted.pem}), "without a certificate")
	require.ErrorContains(t, ping(map[string]string{"REDIS_TLS_CA": other.pem}), "unknown authority")
	require.ErrorContains(t, ping(nil), "unknown authority")
}

// TestRabbitMQ: a session shows its certificate to a real RabbitMQ that wants one, and refuses a server that another
// authority has certified, also if the address says that it shall not look.
func TestRabbitMQ(t *testing.T) {
	t.Parallel()
	trusted, other := newAuthority(t), newAuthority(t)
	starting, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	t.Cleanup(cancel)
	server, err := localservice.StartRabbitMQ(starting, trusted.options())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop(context.WithoutCancel(t.Context()))) })
	open := func(vars map[string]string, query string) error {
		cfg := load[rabbitmq.Config](t, vars, "AMQP_URL", server.TLSURL()+query)
		connector := rabbitmq.NewConnector(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		session, err := connector.Open(within(t), "tls")
		if err == nil {
			session.Close()
		}
		return err
	}

	require.NoError(t, open(trusted.client("AMQP_TLS_", "CA", "CERTIFICATE", "KEY"), ""))
	require.Error(t, open(map[string]string{"AMQP_TLS_CA": trusted.pem}, ""), "without a certificate")
	require.ErrorContains(t, open(map[string]string{"AMQP_TLS_CA": other.pem}, ""), "unknown authority")
	require.ErrorContains(t, open(nil, "?verify=verify_none"), "unknown authority")
}

// TestTemporal: a client shows its certificate and its API key to a listener with mutual TLS before a real Temporal.
func TestTemporal(t *testing.T) {
	t.Parallel()
	trusted, other := newAuthority(t), newAuthority(t)
	behind, err := url.Parse("http://" + testenv.Temporal(t, nil).Address)
	require.NoError(t, err)
	plain := &http.Transport{Protocols: new(http.Protocols)}
	plain.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(plain.CloseIdleConnections)
	proxy := &httputil.ReverseProxy{
		Transport:     plain,
		FlushInterval: -1,
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(behind) },
	}
	edge := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer an-api-key" {
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Grpc-Status", "16") // unauthenticated
			w.Header().Set("Grpc-Message", "no API key")
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	cert, key := trusted.issue("server")
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	require.NoError(t, err)
	clients := x509.NewCertPool()
	clients.AddCert(trusted.cert)
	edge.TLS = &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{pair},
		ClientCAs:    clients,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}
	edge.EnableHTTP2 = true
	edge.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	edge.StartTLS()
	t.Cleanup(edge.Close)

	dial := func(vars map[string]string, more ...string) error {
		more = append(more, "TEMPORAL_ADDRESS", edge.Listener.Addr().String(), "TEMPORAL_NAMESPACE", "temporal-system")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		c, err := temporalclient.Dial(ctx, load[temporalclient.Config](t, vars, more...), nil)
		if err == nil {
			c.Close()
		}
		return err
	}
	own := trusted.client("TEMPORAL_TLS_", "SERVER_CA_CERT_DATA", "CLIENT_CERT_DATA", "CLIENT_KEY_DATA")
	foreign := other.client("TEMPORAL_TLS_", "SERVER_CA_CERT_DATA", "CLIENT_CERT_DATA", "CLIENT_KEY_DATA")
	require.NoError(t, dial(own, "TEMPORAL_API_KEY_FILE", file(t, "an-api-key")))
	require.ErrorContains(t, dial(own), "no API key")
	require.Error(t, dial(foreign, "TEMPORAL_API_KEY", "an-api-key"), "another authority")
	require.Error(t, dial(nil, "TEMPORAL_API_KEY", "an-api-key"), "no certificate")
}

// TestFaultsAreNamed: a setting that cannot work stops the process at its start, and its message does not repeat a key.
func TestFaultsAreNamed(t *testing.T) {
	t.Parallel()
	cert, key := newAuthority(t).issue("client")
	_, otherKey := newAuthority(t).issue("client")
	for _, c := range []struct {
		config clienttls.Config
		fault  string
	}{
		{clienttls.Config{}, ""},
		{clienttls.Config{Certificate: cert, Key: key}, ""},
		{clienttls.Config{CA: "no PEM"}, "no certificate in PEM"},
		{clienttls.Config{Certificate: cert}, "are set together"},
		{clienttls.Config{Key: key}, "are set together"},
		{clienttls.Config{Certificate: cert, Key: otherKey}, "do not belong together"},
		{clienttls.Config{Certificate: cert, Key: "no PEM"}, "do not belong together"},
	} {
		_, err := c.config.Build()
		if c.fault == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, c.fault)
		require.NotContains(t, err.Error(), "PRIVATE KEY")
	}

	_, err := config.LoadFrom[redisclient.Config](map[string]string{
		"REDIS_URL": "redis://127.0.0.1:6379/0", "REDIS_TLS_CERTIFICATE": cert, "REDIS_TLS_KEY": key,
	})
	require.ErrorContains(t, err, "begins with rediss://")
	_, err = config.LoadFrom[rabbitmq.Config](map[string]string{
		"AMQP_URL": "amqp://guest:guest@127.0.0.1/", "AMQP_TLS_CERTIFICATE": cert, "AMQP_TLS_KEY": key,
	})
	require.ErrorContains(t, err, "begins with amqps://")
	_, err = config.LoadFrom[temporalclient.Config](map[string]string{"TEMPORAL_TLS_CLIENT_CERT_DATA": cert})
	require.ErrorContains(t, err, "are set together")
}
