package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/internal/temporalclient"
	"holdfast/tests/testenv"
)

// The embedded Temporal server leaves goroutines behind, so this package does not check for leaked ones.
func TestMain(m *testing.M) { os.Exit(testenv.Run(m)) }

func TestTestenvPassesTheExitStatus(t *testing.T) {
	variables := []string{
		testenv.PostgresVariable,
		testenv.RedisVariable,
		testenv.AMQPVariable,
		testenv.TemporalVariable,
	}
	for _, variable := range variables {
		t.Setenv(variable, "named:"+variable) // the test needs no running service
	}
	for _, tc := range []struct {
		script string
		want   error
	}{
		{"exit 0", nil},
		{"exit 7", exitCode(7)},
		{"kill -TERM $$", exitCode(143)},
		{"echo $" + testenv.RedisVariable, nil},
	} {
		root := rootCommand()
		var out, log bytes.Buffer
		root.SetOut(&out)
		root.SetErr(&log)
		root.SetArgs([]string{"testenv", "--", "sh", "-c", tc.script})

		err := root.ExecuteContext(t.Context())

		if tc.want == nil {
			require.NoError(t, err, tc.script)
		} else {
			require.ErrorIs(t, err, tc.want, tc.script)
		}
		if strings.HasPrefix(tc.script, "echo") {
			require.Equal(t, "named:"+testenv.RedisVariable+"\n", out.String())
		}
		for _, variable := range variables {
			require.Contains(t, log.String(), variable+", named:"+variable, "a report of each service, whole")
		}
	}
}

func TestTemporalEndsWithItsStandardInput(t *testing.T) {
	stdin, holder := io.Pipe()
	stdout, printed := io.Pipe()
	root := rootCommand()
	root.SetIn(stdin)
	root.SetOut(printed)
	root.SetArgs([]string{
		"temporal",
		"--postgres-url", testenv.Postgres(t),
		"--port", "0",
		"--ui-port", "-1",
		"--exit-on-stdin-close",
	})
	ended := make(chan error, 1)
	go func() { ended <- root.ExecuteContext(context.Background()) }()

	address, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	cfg := temporalclient.Config{Address: strings.TrimSpace(address), Namespace: "temporal-system"}
	c, err := temporalclient.Dial(t.Context(), cfg, nil)
	require.NoError(t, err, "the server serves when it prints its address")
	c.Close()

	require.NoError(t, holder.Close())
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(30 * time.Second):
		require.Fail(t, "the command goes on although its standard input is closed")
	}
}
