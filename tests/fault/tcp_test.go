package fault_test

import (
	"bufio"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/tests/fault"
)

// TestTCPSwitch: data that is sent while the proxy hangs arrives once the proxy is up, and Down cuts the connection.
func TestTCPSwitch(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close() //nolint:errcheck // a test's echo
				for lines := bufio.NewScanner(c); lines.Scan(); {
					_, _ = c.Write(append(lines.Bytes(), '\n'))
				}
			}()
		}
	}()
	p := fault.NewTCP(t, l.Addr().String())
	c, err := net.Dial("tcp", p.Address())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	answers := bufio.NewReader(c)
	ask := func(patience time.Duration) error {
		require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
		if _, err := c.Write([]byte("hello\n")); err != nil {
			return err
		}
		_, err := answers.ReadString('\n')
		return err
	}
	require.NoError(t, ask(10*time.Second))

	p.Hang()
	var timeout net.Error
	require.ErrorAs(t, ask(50*time.Millisecond), &timeout)
	require.True(t, timeout.Timeout())
	p.Up()
	require.NoError(t, ask(10*time.Second))

	p.Down()
	require.Error(t, ask(10*time.Second))
	other, err := net.Dial("tcp", p.Address())
	if err == nil { // accepted by the system and cut by the proxy
		require.NoError(t, other.SetDeadline(time.Now().Add(10*time.Second)))
		_, err = other.Read(make([]byte, 1))
		require.NoError(t, other.Close())
	}
	require.Error(t, err)
}
