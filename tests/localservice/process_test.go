package localservice

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wholeLine matches a line of TestLogIsBounded that was written and kept from its first byte to its last.
var wholeLine = regexp.MustCompile(`^line (\d+) of a log$`)

// TestLogIsBounded lets a program write several times as much to its log as the limit. The log stays small, holds the
// last lines, and the program goes on writing at the log's new end, not at its earlier offset.
func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "server.log")
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	require.NoError(t, err)
	const limit = 64 << 10
	stop := make(chan struct{})
	var bounding sync.WaitGroup
	bounding.Go(func() { boundLog(log, limit, time.Millisecond, stop) })

	const script = `i=0; while [ $i -lt 60000 ]; do i=$((i+1)); echo "line $i of a log"; done`
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", script)
	cmd.Stdout = out
	require.NoError(t, cmd.Run())
	require.NoError(t, out.Close())
	require.Eventually(t, func() bool {
		info, err := os.Stat(log)
		return err == nil && info.Size() <= limit
	}, 10*time.Second, time.Millisecond)
	close(stop)
	bounding.Wait()

	lines := []string{}
	for _, name := range []string{oldLog(log), log} {
		f, err := os.Open(name)
		require.NoError(t, err)
		defer f.Close() //nolint:errcheck // only read
		for scan := bufio.NewScanner(f); scan.Scan(); {
			lines = append(lines, scan.Text())
		}
	}
	require.NotEmpty(t, lines)
	require.Less(t, len(lines), 30_000, "earlier parts are dropped")
	last := 0
	for i, line := range lines {
		require.NotContains(t, line, "\x00")
		found := wholeLine.FindStringSubmatch(line)
		if found == nil {
			continue // the line was cut when the log was emptied
		}
		number, err := strconv.Atoi(found[1])
		require.NoError(t, err)
		require.Greater(t, number, last, "line %d", i)
		last = number
	}
	require.Equal(t, 60_000, last)
}
