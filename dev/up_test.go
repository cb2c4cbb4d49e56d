package main

import (
	"bufio"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEverySignalIsAnswered(t *testing.T) {
	said, out := io.Pipe()
	end := answerSignals(out)
	lines := bufio.NewScanner(said)
	for _, want := range []string{stopping, "still stopping, which takes a few seconds …"} {
		require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
		require.True(t, lines.Scan())
		require.Equal(t, want, lines.Text())
	}
	end()
}
