package fault

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// soon waits for an event that must happen without a further step of the test.
func soon(t *testing.T, what string, happened <-chan struct{}) {
	t.Helper()
	select {
	case <-happened:
	case <-time.After(20 * time.Second):
		require.Fail(t, "this did not happen: "+what)
	}
}

// result runs a blocking call and delivers its error.
func result(do func() error) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- do() }()
	return ended
}

func ended(t *testing.T, what string, result <-chan error) error {
	t.Helper()
	select {
	case err := <-result:
		return err
	case <-time.After(20 * time.Second):
		require.Fail(t, "this did not end: "+what)
		return nil
	}
}

// blocked waits for a moment and fails if the event happens.
func blocked[T any](t *testing.T, what string, happened <-chan T) {
	t.Helper()
	select {
	case got := <-happened:
		require.Fail(t, "this must not happen: "+what, "%v", got)
	case <-time.After(50 * time.Millisecond):
	}
}

func TestRuleActsAsOftenAsItSays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ times, taken int }{{0, 0}, {1, 1}, {3, 3}, {-1, 10}} {
		var r rules[string]
		rule := r.add(func(s string) bool { return s == "yes" }, newRule(c.times))
		taken := 0
		for range 10 {
			require.Nil(t, r.take("no"))
			if r.take("yes") == rule {
				taken++
			}
		}
		require.Equal(t, c.taken, taken, "times %d", c.times)
	}
}

func TestReleasedRuleActsNoMore(t *testing.T) {
	t.Parallel()
	var r rules[string]
	first, second := r.add(nil, newRule(-1)), r.add(nil, newRule(1))
	require.Same(t, first, r.take(""))
	first.Release()
	first.Release()
	require.Same(t, second, r.take(""), "the next one in turn")
	require.Nil(t, r.take(""))
	second.giveBack()
	require.Same(t, second, r.take(""))
}

func TestConnectionsAreCutWhileNothingIsAsked(t *testing.T) {
	t.Parallel()
	p := NewHTTP(t, "http://127.0.0.1:1")
	address := strings.TrimPrefix(p.URL(), "http://")
	before, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer func() { _ = before.Close() }()
	read := func(c net.Conn) <-chan error {
		return result(func() error { _, err := c.Read(make([]byte, 1)); return err })
	}
	first := read(before)
	blocked(t, "the connection is cut", first)
	p.Down()
	require.Error(t, ended(t, "the connection", first))
	if during, err := net.Dial("tcp", address); err == nil { // it may be cut before Dial returns
		defer func() { _ = during.Close() }()
		require.Error(t, ended(t, "the new connection", read(during)))
	}
}

func TestWhatWaitedBeforeDownNeverGoesOn(t *testing.T) {
	t.Parallel()
	s := newSwitch()
	defer s.close()
	before := s.era()
	s.Hang()
	waited := result(func() error { return s.await(before) })
	s.Down()
	s.Up()
	require.ErrorIs(t, ended(t, "the wait", waited), context.Canceled)
	require.NoError(t, s.await(s.era()))
}
