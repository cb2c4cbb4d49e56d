package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/tests/testenv"
)

// TestReadersFindTheStack: without databases in the environment, the commands that only read take those of `make up` in
// this folder; with one of them, the file is not read; and a command that writes never reads it.
func TestReadersFindTheStack(t *testing.T) {
	orders, inventory := testenv.Database(t), testenv.Database(t)
	t.Chdir(t.TempDir())
	for _, name := range []string{"ORDERS_DATABASE_URL", "INVENTORY_DATABASE_URL", "SANDBOX_DATABASE_URL"} {
		t.Setenv(name, "")
	}
	audit := []string{"audit", "--skip", "workflows,payments", "--settle", "1s"}
	for _, args := range [][]string{{"migrate", "status"}, audit} {
		_, err := execute(t, args...)
		require.ErrorContains(t, err, "ORDERS_DATABASE_URL is", args)
	}

	require.NoError(t, os.Mkdir(".holdfast", 0o755))
	settings := "# Written by `make up`.\nORDERS_DATABASE_URL=" + orders + "\nINVENTORY_DATABASE_URL=" + inventory + "\n"
	require.NoError(t, os.WriteFile(stackEnv, []byte(settings), 0o600))
	_, err := execute(t, "migrate")
	require.ErrorContains(t, err, "ORDERS_DATABASE_URL is", "it writes")
	t.Setenv("ORDERS_DATABASE_URL", orders)
	for _, args := range [][]string{{"migrate", "status"}, audit} {
		_, err := execute(t, args...)
		require.ErrorContains(t, err, "INVENTORY_DATABASE_URL is", args)
	}
	t.Setenv("INVENTORY_DATABASE_URL", inventory)
	_, err = execute(t, "migrate")
	require.NoError(t, err)
	out, err := execute(t, "migrate", "status")
	require.NoError(t, err)
	require.NotContains(t, out, stackEnv)

	t.Setenv("ORDERS_DATABASE_URL", "")
	t.Setenv("INVENTORY_DATABASE_URL", "")
	const note = "The environment names no database: using .holdfast/env, the settings of `make up`.\n"
	out, err = execute(t, "migrate", "status")
	require.NoError(t, err)
	require.NotContains(t, out, "not applied")
	require.Contains(t, out, note)
	out, err = execute(t, audit...)
	require.NoError(t, err, out)
	require.Contains(t, out, note)

	_, err = execute(t, "audit", "--schedule", "1h")
	require.ErrorContains(t, err, "ORDERS_DATABASE_URL is", "a process is configured by its environment only")
}

// TestStackFillsWhatIsNotSet: the settings of `make up` replace no variable of the environment, nor one given as a file.
func TestStackFillsWhatIsNotSet(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.Mkdir(".holdfast", 0o755))
	settings := "ORDERS_DATABASE_URL=stack\nTEMPORAL_ADDRESS=stack\nTEMPORAL_NAMESPACE=stack\nTEMPORAL_API_KEY=stack\n" +
		"JWT_SECRET=of-the-stack-with-enough-bytes-in-it\nJWT_ISSUER=stack\n"
	require.NoError(t, os.WriteFile(stackEnv, []byte(settings), 0o600))
	for name, value := range map[string]string{
		"ORDERS_DATABASE_URL":    "",
		"INVENTORY_DATABASE_URL": "",
		"SANDBOX_DATABASE_URL":   "",
		"TEMPORAL_ADDRESS":       "mine",
		"TEMPORAL_NAMESPACE":     "stack",
		"TEMPORAL_API_KEY_FILE":  "/mine",
		"JWT_SECRET":             "",
		"JWT_ISSUER":             "mine",
	} {
		t.Setenv(name, value)
	}

	var stderr strings.Builder
	vars, err := readerEnvironment(&stderr)
	require.NoError(t, err)
	require.Equal(t, "stack", vars["ORDERS_DATABASE_URL"])
	require.Equal(t, "mine", vars["TEMPORAL_ADDRESS"])
	require.Empty(t, vars["TEMPORAL_API_KEY"])
	require.Equal(t, "The environment names no database: using .holdfast/env, the settings of `make up`, except "+
		"TEMPORAL_ADDRESS, TEMPORAL_API_KEY, JWT_ISSUER, which the environment sets.\n", stderr.String())

	cfg, err := tokenConfig()
	require.NoError(t, err)
	require.Equal(t, "of-the-stack-with-enough-bytes-in-it", cfg.Secret)
	require.Equal(t, "mine", cfg.Issuer)
}

// TestUnknownSubcommand: a typo is an error, also below a command that does nothing by itself.
func TestUnknownSubcommand(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"order", "plaec", "BAG-GRA"}, {"deploy", "statsu"}} {
		_, err := execute(t, args...)
		require.ErrorContains(t, err, "unknown command \""+args[1]+"\" for \"holdfast "+args[0]+"\"")
	}
	out, err := execute(t, "order")
	require.NoError(t, err)
	require.Contains(t, out, "holdfast order [command]")
}

// TestNoGateway: the error of a command without `make up` says what to start.
func TestNoGateway(t *testing.T) {
	t.Setenv("JWT_SECRET", "a-secret-of-a-test-with-enough-bytes-in-it")
	_, err := execute(t, "order", "show", "--gateway", "http://127.0.0.1:1")
	require.ErrorContains(t, err, "no gateway answers at http://127.0.0.1:1; is the platform running (`make up`)?")
}
