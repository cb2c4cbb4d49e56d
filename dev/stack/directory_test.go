package stack

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/tests/localservice"
)

func TestOneStackPerDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := localservice.Lock(dir)
	require.NoError(t, err)

	_, err = Start(t.Context(), dir, io.Discard)

	require.ErrorContains(t, err, fmt.Sprintf("another `make up` of this folder is running, process %d", os.Getpid()))
	require.ErrorContains(t, err, fmt.Sprintf("`kill %d`", os.Getpid()))
	require.NotContains(t, err.Error(), "3000", "the error is not about ports that another program has")
	require.NoError(t, first.Close())
}

func TestForeignDirectoryNamesTheRemedy(t *testing.T) {
	t.Parallel()
	me := os.Geteuid()
	dir := filepath.Join(t.TempDir(), "stack")
	require.NoError(t, checkOwner(dir, me+1), "it does not exist yet")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "log"), 0o755))
	require.NoError(t, checkOwner(dir, me))

	other := me + 1 // another user
	err := checkOwner(dir, other)
	require.ErrorContains(t, err, "was used by "+userName(me))
	require.ErrorContains(t, err, fmt.Sprintf("`sudo chown -R %s: %s`", userName(other), dir))

	require.NoError(t, os.Symlink("/somewhere/else", filepath.Join(dir, "postgres")))
	err = checkOwner(dir, other)
	require.NotContains(t, err.Error(), "chown", "chown does not reach the target of a link")
	require.ErrorContains(t, err, "`sudo rm -rf "+dir+"`")
	require.NoError(t, checkOwner(dir, 0), "root may use everything")
}

func TestSummaryNamesOnlyWhatIsThere(t *testing.T) {
	t.Parallel()
	s := &Stack{ports: knownPorts}
	var out bytes.Buffer
	s.Describe(&out, "token")
	require.NotContains(t, out.String(), "RabbitMQ")
	s.rabbitUI = "http://127.0.0.1:15674"
	s.Describe(&out, "token")
	require.Contains(t, out.String(), "http://127.0.0.1:15674")

	require.NotContains(t, out.String(), "encrypted", "there are no keys")
	s.vars = map[string]string{"TEMPORAL_PAYLOAD_KEYS": "a-key"}
	s.Describe(&out, "token")
	require.Contains(t, out.String(), "what orders hold is encrypted there")
	out.Reset()
	s.vars["TEMPORAL_PAYLOAD_KEYS"] = "plain,a-key"
	s.Describe(&out, "token")
	require.Contains(t, out.String(), "new orders are not encrypted")
	require.NotContains(t, out.String(), "what orders hold is encrypted")
}
