package main

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/api/server"
	"holdfast/gateway"
	"holdfast/internal/codecserver"
	"holdfast/internal/config"
	"holdfast/internal/eventprocess"
	"holdfast/internal/payment/sandboxserver"
	"holdfast/internal/temporalclient"
	"holdfast/inventory"
	"holdfast/workers"
)

// processes are the processes of this binary with their configurations.
var processes = map[string]reflect.Type{
	"gateway":   reflect.TypeFor[gateway.Config](),
	"api":       reflect.TypeFor[server.Config](),
	"inventory": reflect.TypeFor[inventory.Config](),
	"worker":    reflect.TypeFor[workers.Config](),
	"events":    reflect.TypeFor[eventprocess.Config](),
	"codec":     reflect.TypeFor[codecserver.Config](),
	"audit": reflect.TypeFor[struct {
		auditProcess
		auditConfig
		auditProvider
		Temporal temporalclient.Config
	}](),
	"payment-sandbox": reflect.TypeFor[sandboxserver.Config](),
}

// TestEnvironmentExample compares .env.example with the configuration structs: the file has every variable with its
// default, and no other.
func TestEnvironmentExample(t *testing.T) {
	t.Parallel()
	want := map[string]string{}
	collect(reflect.TypeFor[config.Common](), want)
	collect(reflect.TypeFor[profiles](), want)
	collect(reflect.TypeFor[databases](), want)
	collect(reflect.TypeFor[syncConfig](), want)
	for _, c := range processes {
		collect(c, want)
	}

	raw, err := os.ReadFile("../../.env.example")
	require.NoError(t, err)
	got := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^(# )?([A-Z_]+)=(\S*)`).FindAllStringSubmatch(string(raw), -1) {
		got[m[2]] = ""
		if m[1] != "" {
			got[m[2]] = m[3]
		}
	}
	require.Equal(t, want, got)
}

func collect(c reflect.Type, into map[string]string) {
	for i := range c.NumField() {
		f := c.Field(i)
		if tag := f.Tag.Get("env"); tag != "" {
			name, _, _ := strings.Cut(tag, ",")
			into[name] = f.Tag.Get("envDefault")
		} else if f.Type.Kind() == reflect.Struct {
			collect(f.Type, into)
		}
	}
}

// TestConfigurationFaultsAreNamedTogether: a process that starts without any configuration names all faults at once.
func TestConfigurationFaultsAreNamedTogether(t *testing.T) {
	t.Parallel()
	_, err := config.LoadFrom[workers.Config](map[string]string{})
	for _, name := range []string{"ORDERS_DATABASE_URL", "SERVICE_API_KEYS", "TEMPORAL_WORKER_BUILD_ID", ".env.example"} {
		require.ErrorContains(t, err, name)
	}

	_, err = config.LoadFrom[gateway.Config](map[string]string{
		"JWT_SECRET": "short", "SERVICE_API_KEYS": "k", "API_URL": "nowhere",
	})
	require.ErrorContains(t, err, "JWT_SECRET")
	require.ErrorContains(t, err, "API_URL")
}
