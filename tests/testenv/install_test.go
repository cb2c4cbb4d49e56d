package testenv

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/tests/localservice"
)

// An empty PATH makes a machine without Redis and without apt-get. PostgreSQL is found outside PATH.
func TestOnlyTheProgramAskedForMustBeThere(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if len(localservice.Missing(localservice.PostgresPackage)) > 0 {
		t.Skip("PostgreSQL lives in PATH on this machine")
	}
	env := New(io.Discard)
	require.NoError(t, env.install(t.Context(), localservice.PostgresPackage))
	err := env.install(t.Context(), localservice.RedisPackage)
	require.ErrorIs(t, err, localservice.ErrMayNotInstall)
	require.ErrorContains(t, err, "redis-server")
}
