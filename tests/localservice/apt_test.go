package localservice

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// scripted is an apt-get that does what the script says. Its lines of progress arrive in the channel.
func scripted(t *testing.T, script string) (aptGet, <-chan string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "apt-get")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755))
	told := make(chan string, 10)
	return aptGet{path: path, progress: func(m string) { told <- m }}, told
}

func TestDownloadStopsAtOnceWithEverythingBelowIt(t *testing.T) {
	t.Parallel()
	apt, told := scripted(t, "echo Need to get $$; sleep 300 & wait")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- apt.run(ctx, atOnce, downloadOnly, "install") }()
	var group int
	_, err := fmt.Sscanf(strings.TrimSpace(<-told), "Need to get %d", &group)
	require.NoError(t, err)

	began := time.Now()
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.Less(t, time.Since(began), 10*time.Second)
	require.Eventually(t, func() bool {
		return syscall.Kill(-group, 0) != nil || onlyZombies(group)
	}, 5*time.Second, 10*time.Millisecond, "no process of the group is left")
}

// onlyZombies reports whether all processes of the group have ended. An init that is slow to collect orphans
// leaves them as zombies.
func onlyZombies(group int) bool {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		raw, err := os.ReadFile(stat)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:])) // state, parent, group
		if len(fields) > 2 && fields[2] == fmt.Sprint(group) && fields[0] != "Z" {
			return false
		}
	}
	return true
}

func TestUnpackingMayFinish(t *testing.T) {
	t.Parallel()
	finished := filepath.Join(t.TempDir(), "finished")
	apt, told := scripted(t, "echo Fetched 1 B; sleep 0.3; touch "+finished)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- apt.run(ctx, unpackPatience, "install") }()
	<-told
	cancel()
	require.NoError(t, <-ended)
	require.FileExists(t, finished)
	require.Contains(t, <-told, "finish what it has begun", "a person who waits is told why")
}

func TestSilentMirrorIsAskedOnce(t *testing.T) {
	t.Parallel()
	apt, _ := scripted(t, "echo 'Err:1 somewhere one 1.0'; echo '  Connection failed [IP: 192.0.2.1 80]'; sleep 300")
	began := time.Now()
	err := apt.run(t.Context(), atOnce, downloadOnly, "install", "one", "two")
	require.ErrorIs(t, err, errUnreachable)
	require.ErrorContains(t, err, "Connection failed [IP: 192.0.2.1 80]")
	require.Less(t, time.Since(began), 10*time.Second)
}

func TestAptGetsOwnWordsAreTheError(t *testing.T) {
	t.Parallel()
	apt, _ := scripted(t, "echo 'Reading package lists...'; echo 'E: Unable to locate package one' >&2; exit 100")
	err := apt.run(t.Context(), atOnce, "install", "one")
	require.ErrorContains(t, err, "Unable to locate package one")
	require.NotErrorIs(t, err, errUnreachable, "fresher package lists may help")
}
