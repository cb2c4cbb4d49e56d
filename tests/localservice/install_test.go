package localservice

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestServiceStartsAreForbiddenOnlyMeanwhile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "policy-rc.d")
	restore, err := forbidServiceStarts(file)
	require.NoError(t, err)

	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o755), info.Mode().Perm())
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(content), "\nexit 101\n")

	// A killed installation left its policy behind; the next one removes it.
	restore2, err := forbidServiceStarts(file)
	require.NoError(t, err)
	restore2()
	require.NoFileExists(t, file)
	restore()
}

func TestForeignServicePolicyStays(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "policy-rc.d")
	require.NoError(t, os.WriteFile(file, []byte("#!/bin/sh\nexit 0\n"), 0o755))
	restore, err := forbidServiceStarts(file)
	require.NoError(t, err)
	restore()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "#!/bin/sh\nexit 0\n", string(content))
}
