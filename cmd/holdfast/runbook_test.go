package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRunbookCommands: every command of this binary that a runbook names exists, with its flags, and takes the
// arguments that the runbook gives it. Every command of Temporal that works in a namespace names ours, because the
// default is another one, in which no worker polls.
func TestRunbookCommands(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../docs/runbooks/*.md")
	require.NoError(t, err)
	ours := regexp.MustCompile("(?m)(?:`|\\(|^(?:[A-Z_]+=\\S+ )?)holdfast ([^`)#\n]*)")
	temporals := regexp.MustCompile("`temporal ([^`]*)`")
	checked, namespaced := 0, 0
	for _, page := range pages {
		raw, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range ours.FindAllStringSubmatch(string(raw), -1) {
			root := newRoot()
			root.SetOut(io.Discard)
			cmd, rest, err := root.Find(strings.Fields(m[1]))
			require.NoError(t, err, "%s: %s", page, m[0])
			require.NotEqual(t, root, cmd, "%s: %s", page, m[0])
			require.NoError(t, cmd.ParseFlags(rest), "%s: %s", page, m[0])
			require.NoError(t, cmd.ValidateArgs(cmd.Flags().Args()), "%s: %s", page, m[0])
			checked++
		}
		for _, m := range temporals.FindAllStringSubmatch(string(raw), -1) {
			if strings.HasPrefix(m[1], "operator cluster ") {
				continue
			}
			require.Contains(t, m[1], "--namespace holdfast", "%s: %s", page, m[0])
			namespaced++
		}
	}
	require.Greater(t, checked, 15)
	require.Greater(t, namespaced, 5)
}
