package main

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSeedFlags: without --reset, the command refuses flags that belong to --reset before it opens anything.
func TestSeedFlags(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--force", "--yes"} {
		cmd := newSeed()
		cmd.SetArgs([]string{"--dataset", "test", flag})
		cmd.SetOut(io.Discard)
		cmd.SetErr(io.Discard)
		require.ErrorContains(t, cmd.Execute(), "are for --reset", flag)
	}
}
