package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRunbookCommands: every command of this binary that a runbook names exists, with its flags.
func TestRunbookCommands(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../docs/runbooks/*.md")
	require.NoError(t, err)
	command := regexp.MustCompile("(?m)(?:`|\\(|^)holdfast ((?:[a-z-]+ ?)+)([^`)\n]*)")
	flag := regexp.MustCompile(`--([a-z-]+)`)
	checked := 0
	for _, page := range pages {
		raw, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range command.FindAllStringSubmatch(string(raw), -1) {
			words := strings.Fields(strings.Split(m[1], " --")[0])
			cmd, _, err := newRoot().Find(words)
			require.NoError(t, err, "%s: %s", page, m[0])
			require.NotEqual(t, "holdfast", cmd.Name(), "%s: %s", page, m[0])
			for _, f := range flag.FindAllStringSubmatch(m[0], -1) {
				require.NotNil(t, cmd.Flags().Lookup(f[1]), "%s: %s", page, m[0])
			}
			checked++
		}
	}
	require.Greater(t, checked, 15)
}
