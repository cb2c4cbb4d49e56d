package main

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSeedFlags: what only goes with --reset is refused without it, before anything is opened.
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
