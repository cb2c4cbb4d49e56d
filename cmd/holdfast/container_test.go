package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func execute(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&out)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func TestHealthCommand(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ready" {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte("no database"))
		}
	}))
	defer server.Close()
	t.Setenv("WORKER_LISTEN", strings.Replace(server.Listener.Addr().String(), "127.0.0.1", "0.0.0.0", 1))

	_, err := execute(t, "health", "worker")
	require.NoError(t, err)
	_, err = execute(t, "health", server.URL+"/ready")
	require.NoError(t, err)
	_, err = execute(t, "health", server.URL+"/health")
	require.ErrorContains(t, err, "503 Service Unavailable: no database")
	_, err = execute(t, "health", "shop")
	require.ErrorContains(t, err,
		`"shop" is no process; it is one of api, audit, codec, events, gateway, inventory, payment-sandbox, worker`)
	server.Close()
	_, err = execute(t, "health", "worker")
	require.ErrorContains(t, err, "refused")
}

func TestFirstProcess(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ line, want string }{
		{"/holdfast\x00api\x00", "api"},
		{"/sbin/docker-init\x00--\x00/holdfast\x00payment-sandbox\x00", "payment-sandbox"},
		{"/holdfast\x00audit\x00--schedule\x0024h\x00", "audit"},
		{"/holdfast\x00migrate\x00", ""},
	} {
		file := filepath.Join(t.TempDir(), "cmdline")
		require.NoError(t, os.WriteFile(file, []byte(c.line), 0o600))
		got, err := firstProcess(file)
		require.Equal(t, c.want, got)
		require.Equal(t, c.want == "", err != nil)
	}
}

// TestHealthKnowsEachProcess: the health check finds every process under the variable that the process reads.
func TestHealthKnowsEachProcess(t *testing.T) {
	t.Parallel()
	known := map[string]string{}
	collect(reflect.TypeFor[listens](), known)
	for name, configuration := range processes {
		require.Contains(t, listens{}.byProcess(), name)
		own := map[string]string{}
		collect(configuration, own)
		found := 0
		for variable, standard := range own {
			if strings.HasSuffix(variable, "_LISTEN") && variable != "GATEWAY_LISTEN" { // which is for clients only
				require.Equal(t, standard, known[variable], "%s: the default of %s", name, variable)
				found++
			}
		}
		require.Equal(t, 1, found, name)
	}
	require.Len(t, listens{}.byProcess(), len(processes))
}

func TestSecretsCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := execute(t, "secrets", "generate", "--dir", dir)
	require.NoError(t, err)
	read := func(name string) string {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		raw, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		return string(raw)
	}
	first := map[string]string{}
	for _, secret := range secretFiles {
		name := secret.name
		first[name] = read(name)
		require.GreaterOrEqual(t, len(strings.TrimSpace(first[name])), 50)
	}
	require.NotEqual(t, first["jwt_secret"], first["service_api_keys"])

	_, err = execute(t, "secrets", "generate", "--dir", dir)
	require.NoError(t, err)
	for _, secret := range secretFiles {
		name := secret.name
		require.Equal(t, first[name], read(name), "an existing secret stays")
	}
	left, err := filepath.Glob(filepath.Join(dir, ".new-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}
