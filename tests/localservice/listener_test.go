package localservice_test

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/tests/localservice"
)

func TestListenersNamesTheProgram(t *testing.T) {
	t.Parallel()
	own, err := os.Getwd()
	require.NoError(t, err)
	for _, address := range []string{"127.0.0.1", "0.0.0.0", "[::]"} {
		port, err := localservice.Port(0, "test", slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		require.Empty(t, localservice.Listeners(port))

		l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", address, port))
		require.NoError(t, err, address)
		found := localservice.Listeners(port)
		require.Len(t, found, 1, address)
		require.Equal(t, os.Getpid(), found[0].PID, address)
		require.Equal(t, own, found[0].Dir)
		require.Contains(t, found[0].String(), fmt.Sprintf("localservice.te, process %d", os.Getpid()),
			"the kernel keeps 15 letters of a name")

		require.NoError(t, l.Close())
		require.Empty(t, localservice.Listeners(port))
	}
}

// A program on another address of the machine, such as a container bridge's, leaves 127.0.0.1 free.
func TestListenerElsewhereIsNotInTheWay(t *testing.T) {
	t.Parallel()
	port, err := localservice.Port(0, "test", slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.2:%d", port))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	require.Empty(t, localservice.Listeners(port))
}
