package main

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
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

// TestStackFillsWhatIsNotSet: the settings of `make up` replace no variable of the environment, given as a file or not.
// A token without a secret in the environment is all of the stack.
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
	require.Equal(t, "stack", cfg.Issuer, "secret and issuer come from the same place")
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

// TestArguments: the error of a command with too few or too many arguments says which, and how the command is used.
func TestArguments(t *testing.T) {
	t.Parallel()
	for wants, args := range map[string][]string{
		"order place needs PRODUCT; as in: holdfast order place BAG-GRA 2 --card pm_ok": {"order", "place"},
		"deploy ramp needs PERCENT; as in: holdfast deploy ramp 1f2e3d4c5b6a 10":        {"deploy", "ramp", "1"},
		"\"3\" is one argument too many for order place; as in: holdfast order place BAG-GRA 2 --card pm_ok": {
			"order", "place", "BAG-GRA", "2", "3",
		},
		"order list takes no arguments, and \"HF-1\" is one":                                      {"order", "list", "HF-1"},
		"unknown command \"statsu\" for \"holdfast migrate\"; holdfast migrate --help lists them": {"migrate", "statsu"},
	} {
		_, err := execute(t, args...)
		require.EqualError(t, err, wants)
	}
	_, err := execute(t, "audit", "now")
	require.EqualError(t, err, "audit takes no arguments, and \"now\" is one")
	require.Equal(t, exitIncomplete, exitStatus(err))
}

// TestEveryNeededArgumentHasAnExample: a command that needs an argument has an example for its error.
func TestEveryNeededArgumentHasAnExample(t *testing.T) {
	t.Parallel()
	var check func(cmd *cobra.Command)
	checked := 0
	check = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			check(c)
		}
		if cmd.Args == nil || cmd.Args(cmd, nil) == nil {
			return
		}
		checked++
		require.Contains(t, cmd.Args(cmd, nil).Error(), "; as in: "+cmd.CommandPath()+" ")
	}
	check(newRoot())
	require.Greater(t, checked, 5)
}

// TestNothingRuns: the error of a command without `make up` says at which address nothing answers and what to do.
func TestNothingRuns(t *testing.T) {
	const address = "127.0.0.1:1"
	t.Chdir(t.TempDir())
	t.Setenv("JWT_SECRET", "a-secret-of-a-test-with-enough-bytes-in-it")
	t.Setenv("TEMPORAL_ADDRESS", address)
	for _, name := range []string{"ORDERS", "INVENTORY"} {
		t.Setenv(name+"_DATABASE_URL", "postgres://holdfast:secret@"+address+"/"+strings.ToLower(name))
	}
	for _, one := range []struct {
		setting string
		status  int
		args    []string
	}{
		{"--gateway", 1, []string{"order", "show", "--gateway", "http://" + address}},
		{"--gateway", 1, []string{"story", "HF-104233", "--gateway", "http://" + address}},
		{"TEMPORAL_ADDRESS", 1, []string{"deploy", "status"}},
		{"TEMPORAL_ADDRESS", 1, []string{"deploy", "prepare"}},
		{"TEMPORAL_ADDRESS", exitUnread, []string{"replay", "--open"}},
		{"ORDERS_DATABASE_URL", 1, []string{"migrate"}},
		{"ORDERS_DATABASE_URL", 1, []string{"migrate", "status"}},
		{"INVENTORY_DATABASE_URL", exitIncomplete, []string{"audit"}},
	} {
		_, err := execute(t, one.args...)
		require.ErrorContains(t, err, address+"; is the platform running (`make up`), and is "+one.setting+" right?")
		require.ErrorContains(t, err, "nothing answers at ")
		require.NotContains(t, err.Error(), "dial", "the cause of the network")
		require.Equal(t, one.status, exitStatus(err), one.args)
	}
}
